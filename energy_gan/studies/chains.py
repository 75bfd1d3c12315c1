"""Energies that learn by their own chains: every start with every memory, in the plane."""

from pathlib import Path
from typing import ClassVar

from energy_gan.studies.agreement import TwoDimensions

NEGATIVES = "method.negatives"
STARTS = {"noise": "FromUniform", "data": "FromData"}
MEMORIES = {
    "weighted": ("WeightedChains", "chains=2048", "moved=512", "least_ess=0.5"),
    "persistent": ("PersistentChains", "chains=2048", "moved=512"),
    "accepted": ("Buffer", "size=2048", "n=512", "fresh=0.2", "restarts=accepted"),
    "buffer": ("Buffer", "size=10000", "n=512", "fresh=0.05"),
    "none": ("NoMemory", "n=512"),
}
WEIGH_THE_START = ("weighted", "accepted")  # and the data are of unknown density
PAIRS = [(s, m) for m in MEMORIES for s in STARTS if s == "noise" or m not in WEIGH_THE_START]


def _variant(start: str, memory: str) -> list[str]:
    kind, *settings = MEMORIES[memory]
    at, of = f"{NEGATIVES}.start", f"{NEGATIVES}.memory"
    return [
        "method=convergent", "trainer.max_steps=1000", f"~{at}", f"~{of}",
        f"+{at}._target_=energy_gan.negatives.starts.{STARTS[start]}",
        *([f"+{at}.half_width=2.0"] if start == "noise" else []),
        f"+{of}._target_=energy_gan.negatives.memory.{kind}",
        *([f"+{of}.shape='${{data.shape}}'"] if memory != "none" else []),
        *(f"+{of}.{setting}" for setting in settings),
    ]  # fmt: skip


class Chains(TwoDimensions):
    name = "chains"
    about = "energies by their own chains, every start with every memory -> docs/chains.md"
    held_out = ()
    methods = tuple(f"{start}_{memory}" for start, memory in PAIRS)
    seeds = (0, 1, 2)
    variants: ClassVar = {f"{start}_{memory}": _variant(start, memory) for start, memory in PAIRS}
    columns: ClassVar = {
        "kl_data_energy": ("KL(data‖energy)", min),
        "long_chains_kl": ("KL(long chains‖energy)", min),
        "long_chains_data": ("long chains from data, sd", None),
        "long_chains_noise": ("from noise, sd", None),
        "anatomy_gap": ("gap of the phases, nats", None),
        "failed_tests": ("tests failed", min),
    }
    yardsticks: ClassVar = {
        "gaussian": "Gaussian",
        "kde": "kernel estimate",
        "fresh data": "fresh data: the floor",
    }
    caption = "log densities of data and energy on one scale"
    out = Path("docs/chains.md")
    head = """\
# Energies by their own chains: every start with every memory

Made by `make study STUDY=chains`: the energy of `METHOD=convergent`, 1,000 steps of it, where its 8
moves of MALA a step begin at uniform noise or at the data, and with five memories: none, a buffer of
10,000 of which one in twenty begins anew, 2,048 persistent chains, 2,048 of which one in five is offered a
new place and takes it as a Metropolis move (accepted), and 2,048 with Jarzynski's weights (both not from
the data, whose density nobody knows). Data without a memory is contrastive divergence, noise
without one a short run (`METHOD=short_run` is one of Langevin steps, and a generator). KL in nats,
integrated on a grid; long chains are 1,000 moves from held-out points and from N(0, I), 20,000 samples;
sd are those of the energy over the data; the tests are those of the verdict, six in all. Seconds are of
training as a whole, on one thread of a shared machine."""
