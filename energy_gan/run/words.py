"""Words of a command line that are no keys of a config: whom to trust, whether to go on."""

from energy_gan.errors import InputError
from energy_gan.system.commands import command


def split_trust(overrides: list[str]) -> tuple[list[str], list[str]]:
    """The overrides, and the packages that `trust=[a,b]` names: it is no key of a config or a file."""
    named = ",".join(o.partition("=")[2].strip("[]") for o in overrides if o.startswith("trust="))
    rest = [o for o in overrides if not o.startswith("trust=")]
    return rest, [name.strip() for name in named.split(",") if name.strip()]


def only_trust(overrides: list[str]) -> list[str]:
    """The packages that `trust=[a,b]` names, where nothing else can be given."""
    rest, trust = split_trust(overrides)
    if rest:
        raise InputError(f"{rest[0]!r} cannot be given here: only trust=[my_package] can, all else is --NAME")
    return trust


def split_resume(overrides: list[str]) -> tuple[list[str], bool]:
    """The overrides, and whether `resume=auto` is among them: no key of a config either."""
    named = [o for o in overrides if o.startswith("resume=")]
    if other := [o for o in named if o != "resume=auto"]:
        raise InputError(
            f"{other[0]} is unknown: give resume=auto, or `{command('resume', RUN='…')}` for a run that is "
            "there"
        )
    return [o for o in overrides if o not in named], bool(named)
