"""The step: the project's beside the straightforward one, and beside the machine's own peak."""

import machine
from pairs import PAIRS, batches, by_hand, config_of, data_of, method_of
from timing import Row, interleave, median, operations, ratio, repeat, spread

from energy_gan.shapes import Batch

STEPS = {"2D": 60, "MNIST": 5, "64×64": 1}  # in a round
MOST = {"2D": 0.85, "MNIST": 0.82, "64×64": 0.78}
MOST_SHARED = {"2D": 0.78, "MNIST": 0.75, "64×64": 0.70}
LEAST_OF_PEAK = {"MNIST": 0.75, "64×64": 0.60}


def rows(rounds: int) -> list[Row]:
    return [row for name in PAIRS for row in _of_pair(name, rounds)]


def _of_pair(name: str, rounds: int) -> list[Row]:
    config, n = config_of(name), STEPS[name]
    x = next(batches(data_of(config)))
    steps = by_hand(config)
    ours, shared = method_of(config), method_of(config_of(name, "method.draws.reuse=forward"))
    work = {
        "straightforward": lambda: steps.step(x, ours.generator.prior.sample(len(x), device=x.device)),
        "ours": lambda: ours.training_step(Batch(x), 0),
        "shared": lambda: shared.training_step(Batch(x), 0),
    }
    count = {which: operations(one) for which, one in work.items()}
    variants = {which: repeat(one, n) for which, one in work.items()}
    kind, peak = ("product", machine.product()) if name != "64×64" else ("convolution", machine.convolution())
    calls = 20 if kind == "product" else 5
    variants["peak"] = repeat(peak[0], calls)
    times = interleave(variants, rounds)

    def note(which: str) -> str:
        return (
            f"{median(times, which) / n * 1e3:.3g} ms, {count[which] / 1e9:.3g} GFLOP; "
            f"by hand {median(times, 'straightforward') / n * 1e3:.3g} ms, "
            f"{count['straightforward'] / 1e9:.3g} GFLOP; {spread(times, which, 'straightforward')}"
        )

    per_second = [calls * peak[1] / t for t in times["peak"]]
    share = ratio(
        {"step": [count["ours"] * n / t for t in times["ours"]], "peak": per_second}, "step", "peak"
    )
    least = LEAST_OF_PEAK.get(name)
    return [
        Row(f"{name}: step / straightforward step", ratio(times, "ours", "straightforward"), "at most",
            MOST[name], f"batch of {len(x)}; {note('ours')}"),
        Row(f"{name}: with `method.draws.reuse=forward` / straightforward step", ratio(times, "shared",
            "straightforward"), "at most", MOST_SHARED[name], note("shared")),
        Row(f"{name}: share of the machine's float32 peak in the step", share,
            "at least" if least else "stated", least,
            f"peak {sorted(per_second)[rounds // 2] / 1e9:.0f} GFLOP/s, a {kind} of the same rounds"),
    ]  # fmt: skip
