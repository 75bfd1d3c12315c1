"""What to type next, as the program was called: `make sample RUN=… N=10` or `energy-gan sample … --n 10`."""

MAKE = "make"
PLACED = ("RUN", "SWEEP", "SWEEP_ID", "STUDY")  # words of their own, no options
SETTINGS = ("DATA", "METHOD")  # keys of a config

caller = MAKE  # else what stands before a door's name; `energy_gan.__main__` says so


def command(door: str, ARGS: str = "", **variables: str) -> str:  # noqa: N803, as make has it
    """The command of a door, make's variables given.

    Args:
        ARGS: any other words.
    """
    if caller == MAKE:
        words = [f"{name}={_word(value)}" for name, value in variables.items()]
        return " ".join([MAKE, door, *words, *([f"ARGS={_quoted(ARGS)}"] if ARGS else [])])
    words = [_of_a_door(name, value) for name, value in variables.items()]
    return " ".join([caller, door, *words, *([ARGS] if ARGS else [])])


def _of_a_door(name: str, value: str) -> str:
    if name == "RUNS":  # several words
        return value
    value = _word(value)
    if name in PLACED:
        return value
    option = name.lower().replace("_", "-")
    if name in SETTINGS:
        return f"{option}={value}"
    return f"--{option}" if name == "LOCAL" else f"--{option} {value}"


def _word(value: str) -> str:
    return _quoted(value) if " " in value else value


def _quoted(words: str) -> str:
    return words if words == "…" else "'" + words.replace("'", "'\"'\"'") + "'"
