"""What a step costs as the work grows, beside its floating-point operations."""

from pairs import batches, config_of, data_of, method_of
from timing import Row, Work, interleave, median, operations, repeat

from energy_gan.shapes import Batch

MOST = 1.1  # growth of time over growth of arithmetic
STEP = 128  # rows of the smallest batch that is timed alone

# name on the axis -> the pair, its sizes, and the overrides that make the pair of that size
KINDS = {
    "batch": ("MNIST", (32, 64, 128, 256, 512, 1024), lambda n: [f"data.batch_size={n}"]),
    "experts": ("MNIST", (32, 128, 512, 2048), lambda n: [f"method.energy.experts={n}"]),
    "latent numbers": ("MNIST", (8, 64, 512, 2048), lambda n: [f"method.generator.prior.latent_dim={n}"]),
    "pixels a side": ("64×64", (16, 32, 64), lambda n: _image(n)),
    "points in the set": ("2D", (1_000, 10_000, 100_000, 1_000_000), lambda n: [f"data.n_points={n}"]),
}
curves: dict[str, dict[str, list[float]]] = {}


def _image(side: int) -> list[str]:
    """The convolutional pair from 32 channels on, a layer for each halving down to 4 pixels."""
    channels = [32 << layer for layer in range(side.bit_length() - 3)]
    return [
        f"data.shape=[3,{side},{side}]",
        f"method.energy.features.channels={channels}".replace(" ", ""),
        f"method.generator.channels={channels[::-1]}".replace(" ", ""),
    ]


def rows(rounds: int) -> list[Row]:
    return [_of_kind(name, rounds) for name in KINDS]


def _of_kind(name: str, rounds: int) -> Row:
    pair, sizes, overrides = KINDS[name]
    works, calls = [_step(pair, overrides(n)) for n in sizes], []
    operation_counts = [operations(work) for work in works]
    for n in sizes:
        calls.append(max(1, STEP // n) if name == "batch" else 50 if pair == "2D" else 1)
    variants = {str(n): repeat(w, c) for n, w, c in zip(sizes, works, calls, strict=True)}
    times = interleave(variants, rounds)
    seconds = [median(times, str(n)) / c for n, c in zip(sizes, calls, strict=True)]
    curves[name] = {"sizes": list(sizes), "seconds": seconds, "operations": operation_counts}
    time, arithmetic = (values[-1] / values[0] for values in (seconds, operation_counts))
    of_each = ", ".join(f"{n:,}: {s * 1e3:.3g}" for n, s in zip(sizes, seconds, strict=True))
    return Row(f"growth of time / of arithmetic: {name}, {pair}", time / arithmetic, "at most", MOST,
               f"{time:.3g} and {arithmetic:.3g} times; ms a step, {of_each}")  # fmt: skip


def _step(pair: str, overrides: list[str]) -> Work:
    """One batch from the loader and the project's step on it."""
    config = config_of(pair, *overrides)
    method, loader = method_of(config), batches(data_of(config))
    return lambda: method.training_step(Batch(next(loader)), 0)
