"""Draw samples from a run's generator: `python -m energy_gan.cli.sample RUN --n 1000 --out FILE`.

Points become a table, .csv, .npy or .parquet. Images become one picture, .png, a folder of pictures, for a
name without an ending, or an array, .npy. All but the one picture are written block by block, so that memory
does not limit how many there are; OUT is there once all of it is. Sentences become lines of a .txt, their
words drawn at `--temperature`, 0 for the likeliest ones.

With `--given age=40 city=Oslo` all samples have these cells: chains on the energy with these columns held.

With `--class NAME` all are of one class, of a run whose generator knows classes: METHOD=symbol_vector.

With `--sampler mala` chains first walk in the generator's latent space towards low energies, and
`<name of FILE>_chain.png` shows the energy and the acceptance rate along them. As in the code of Kumar et al.
(2019), there with β = 0.01: `--no-prior --temperature 100 --step-size 0.01`.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from energy_gan.cli import KERNELS, Parser, door, kernel_of, opened
from energy_gan.errors import InputError
from energy_gan.system.files import write_lines
from energy_gan.system.tables import WRITERS, check_writable, require_room_for, write_frames, write_table

if TYPE_CHECKING:
    from torch import Tensor

    from energy_gan.model import Model

STEPS = 100
DEFAULTS = {"points": (1000, "samples.csv"), "images": (64, "samples.png"), "text": (1000, "samples.txt")}


def main() -> None:
    parser = Parser("sample", __doc__)
    parser.takes_run()
    parser.takes_number("--n", 1, "how many (1000, of images 64)")
    parser.takes_out(None, "(samples.csv, of images samples.png)")
    parser.takes_seed()
    parser.takes_number("--refine", 0, "steps of MALA on the energy afterwards (0)", default=0)
    said = "what some columns hold in all samples, as age=40 city=Oslo"
    parser.add_argument("--given", nargs="+", default=[], action="extend", metavar="COLUMN=VALUE", help=said)
    parser.add_argument("--class", dest="of_class", metavar="NAME", help="of which all samples are to be")
    chains = parser.add_argument_group("chains in latent space")
    chains.add_argument("--sampler", choices=KERNELS)
    chains.add_argument("--steps", type=int, help=f"how many ({STEPS})")
    chains.add_argument("--step-size", type=float, help="(found by trial, for a good acceptance rate)")
    said = "by which energies are divided, of text without chains the words' logits (1)"
    chains.add_argument("--temperature", type=float, help=said)
    chains.add_argument("--no-prior", action="store_true", help="leave −log p(z) out of the chains' target")
    given = parser.parse_args()
    check_chains(given)
    held = columns_given(given)
    if given.out:
        check_outputs(given, given.out)

    model = opened(given.run, given.trust, ["generator", *kind_of(given.out)])
    n, out = DEFAULTS[model.kind]
    n, out = given.n or n, given.out or Path(out)
    check_outputs(given, out)
    if given.temperature is not None and not given.sampler:
        if model.kind != "text":
            raise InputError(
                "--temperature is of chains and there are none: give --sampler langevin, mala or hmc; only "
                "text has one of its own"
            )
        if given.temperature < 0:
            raise InputError(f"--temperature of words must be at least 0, got {given.temperature:g}")
        model.learned.generator.temperature = given.temperature
    told = ""
    if given.sampler:
        samples, told = walk(model, n, given, chain_picture(out))
        blocks = iter([samples])
    elif given.of_class is not None:
        blocks = iter([model.sample_class(n, given.of_class, given.seed)])
    elif out.suffix == ".png":
        blocks = iter([model.sample(n, given.seed, given.refine)])
    elif held:
        blocks = iter([model.sample(n, given.seed, given=held)])
    else:
        blocks = model.sample_blocks(n, given.seed, given.refine)
        require_room_for(out, n, model.dimension)
    write(out, blocks, n, model)
    units = "" if model.kind == "text" else ", in the data's own units"
    print(f"{n} samples of {given.run}{units} -> {out}{told}")


def kind_of(out: Path | None) -> list[str]:
    """The kind of data that a file's ending asks for, if it does."""
    if out is None or out.suffix in WRITERS:
        return []
    return ["text"] if out.suffix == ".txt" else ["images"]


def write(out: Path, blocks: Iterator["Tensor"], n: int, model: "Model") -> None:
    """The samples as what the name's ending says."""
    if model.is_table and out.suffix in (".csv", ".parquet"):
        write_frames(out, (model.frame(block) for block in blocks))
        return
    if out.suffix == ".txt":
        write_lines(out, map(model.decode, blocks))
        return
    if out.suffix in WRITERS:
        write_table(out, (block.numpy() for block in blocks), (n, *model.method.shape), model.columns)
        return
    from energy_gan.reports.pictures import write_grid, write_pictures  # with torchvision: a second

    if out.suffix == ".png":
        write_grid(out, next(blocks), columns=max(1, round(n**0.5)))
    else:
        write_pictures(out, blocks, n)


def check_chains(given: argparse.Namespace) -> None:
    """InputError where settings of the chains are given without chains, or chains twice."""
    settings = {
        "--steps": given.steps is not None,
        "--step-size": given.step_size is not None,
        "--no-prior": given.no_prior,
    }
    named = [name for name, is_given in settings.items() if is_given]
    if named and not given.sampler:
        raise InputError(f"{named[0]} is of chains and there are none: give --sampler langevin, mala or hmc")
    if given.sampler and given.refine:
        raise InputError(
            f"--sampler {given.sampler} walks in latent space and --refine {given.refine} among the points: "
            "give one of them"
        )


def columns_given(given: argparse.Namespace) -> dict[str, str]:
    """What columns hold, by name.

    Raises:
        InputError: a word is not COLUMN=VALUE, or --given stands beside what moves samples otherwise.
    """
    held = {}
    for word in given.given:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise InputError(f"--given {word} names no column and value: give COLUMN=VALUE, as age=40")
        held[name] = value
    if given.of_class is not None and (held or given.sampler or given.refine):
        raise InputError("--class takes chains of its own: leave out --given, --sampler and --refine")
    if held and (given.sampler or given.refine):
        raise InputError("--given takes chains of its own: leave out --sampler and --refine")
    return held


def check_outputs(given: argparse.Namespace, out: Path) -> None:
    check_writable(out, (*WRITERS, ".png", ".txt", ""))
    if given.sampler:
        check_writable(chain_picture(out), (".png",))


def chain_picture(out: Path) -> Path:
    return out.with_name(f"{out.stem}_chain.png")


def walk(model: "Model", n: int, given: argparse.Namespace, picture: Path) -> tuple["Tensor", str]:
    """Samples from chains in latent space, drawn along their way, and what to tell of them."""
    from energy_gan.reports.drawing import chain

    samples, trace = model.sample_latent(
        n,
        given.seed,
        kernel_of(given.sampler),
        n_steps=given.steps if given.steps is not None else STEPS,
        step_size=given.step_size,
        temperature=given.temperature if given.temperature is not None else 1.0,
        with_prior=not given.no_prior,
    )
    chain(trace.energy.numpy(), trace.acceptance_rate.numpy()).savefig(picture, dpi=110)
    told = (
        f"\n{given.sampler}: mean energy {trace.energy[0]:.3f} -> {trace.energy[-1]:.3f}, acceptance rate "
        f"{trace.acceptance_rate.mean():.2f}, step size {trace.step_size:.3g} -> {picture}"
    )
    return samples, told


if __name__ == "__main__":
    door(main)
