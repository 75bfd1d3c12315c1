"""The paper's 64×64 pair at full width on a GPU: precisions and batches, beside the card's own bf16 peak."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from pairs import DEVICE, batches, method_of, noise_images
from timing import Row, Work, interleave, median, operations, repeat
from torch import Tensor

from energy_gan.run.compose import compose
from energy_gan.shapes import Batch

BATCHES = (64, 128, 256, 1024)
COMPILED = (128, 1024)  # each size is compiled anew
PRECISIONS = ("float32", "TF32", "bf16", "bf16, channels_last", "bf16, channels_last, compiled")
SIDE = 8192  # of the product that stands for the peak
STEPS = 5  # in a round


def rows(rounds: int) -> list[Row]:
    """None where there is no GPU."""
    return [row for n in BATCHES for row in _of_batch(n, rounds)] if DEVICE.type == "cuda" else []


def _of_batch(n: int, rounds: int) -> Iterator[Row]:
    x = next(batches(noise_images((3, 64, 64), n)))
    count = operations(_step(x, "float32"))
    for precision in PRECISIONS:
        if precision.endswith("compiled") and n not in COMPILED:
            continue
        torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
        torch.backends.cudnn.allow_tf32 = precision != "float32"
        work = {"step": repeat(_step(x, precision), STEPS), "peak": repeat(_product(), STEPS)}
        torch.cuda.reset_peak_memory_stats()
        times = interleave(work, rounds)
        seconds = median(times, "step") / STEPS
        peak = 2.0 * SIDE**3 * STEPS / median(times, "peak")
        yield Row(
            f"64×64, full width, batch of {n}, {precision}: share of the bf16 peak",
            count / seconds / peak,
            note=f"{seconds * 1e3:.3g} ms, {n / seconds:,.0f} images a second, {count / 1e12:.3g} TFLOP, "
            f"{torch.cuda.max_memory_allocated() / 2**30:.2g} GiB; peak {peak / 1e12:.0f} TFLOP/s",
        )


def _step(x: Tensor, precision: str) -> Work:
    method = method_of(compose(["data=celeba", "method=kim_bengio"]))
    if "channels_last" in precision:
        method.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    if precision.endswith("compiled"):
        method.compile_networks()

    def one() -> None:
        with _autocast(precision):
            method.training_step(Batch(x), 0)

    return one


def _autocast(precision: str) -> AbstractContextManager:
    return torch.autocast("cuda", torch.bfloat16) if precision.startswith("bf16") else nullcontext()


def _product() -> Work:
    a, b = (torch.randn(SIDE, SIDE, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return lambda: torch.mm(a, b)
