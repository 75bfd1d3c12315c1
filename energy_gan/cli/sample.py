"""Draw samples from a run's generator: `python -m energy_gan.cli.sample RUN --n 1000 --out FILE`.

Points become a table, .csv, .npy or .parquet. Images become one picture, .png, a folder of pictures, for a
name without an ending, or an array, .npy. All but the one picture are written block by block, so that memory
does not limit how many there are; OUT is there once all of it is.

With `--sampler mala` chains first walk in the generator's latent space towards low energies, and
`<name of FILE>_chain.png` shows the energy and the acceptance rate along them. As in the code of Kumar et al.
(2019), there with β = 0.01: `--no-prior --temperature 100 --step-size 0.01`.
"""

import argparse
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from energy_gan.cli import Parser, door
from energy_gan.errors import InputError
from energy_gan.run.compose import only_trust
from energy_gan.system.files import require_room
from energy_gan.system.tables import WRITERS, check_writable, write_table

if TYPE_CHECKING:
    from torch import Tensor

    from energy_gan.model import Model
    from energy_gan.samplers.base import Kernel

STEPS = 100
KERNELS = ("langevin", "mala", "hmc")


def main() -> None:
    parser = Parser("sample", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder or a checkpoint of it")
    parser.add_argument("--n", type=int, help="how many (1000, of images 64)")
    parser.add_argument("--out", type=Path, help="(samples.csv, of images samples.png)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--refine", type=int, default=0, help="steps of MALA on the energy afterwards (0)")
    chains = parser.add_argument_group("chains in latent space")
    chains.add_argument("--sampler", choices=KERNELS)
    chains.add_argument("--steps", type=int, help=f"how many ({STEPS})")
    chains.add_argument("--step-size", type=float, help="(found by trial, for a good acceptance rate)")
    chains.add_argument("--temperature", type=float, help="by which energies are divided (1)")
    chains.add_argument("--no-prior", action="store_true", help="leave −log p(z) out of the chains' target")
    parser.add_argument("trust", nargs="*", help="trust=[my_package], if the run needs classes of it")
    given = parser.parse_args()
    trust = only_trust(given.trust)
    check_chains(given)
    endings = (*WRITERS, ".png", "")
    if given.out:
        check_outputs(given, given.out, endings)

    from energy_gan.reports.pictures import require_images, write_grid
    from energy_gan.run.checkpoints import load

    model = load(given.run, trust)
    are_images = model.kind == "images"
    out = given.out or Path("samples.png" if are_images else "samples.csv")
    check_outputs(given, out, endings)
    if out.suffix not in WRITERS:
        require_images(model, given.run)
    n = given.n if given.n is not None else 64 if are_images else 1000
    told = ""
    if given.sampler:
        samples, told = walk(model, n, given, chain_picture(out))
        blocks = iter([samples])
    elif out.suffix == ".png":
        blocks = iter([model.sample(n, given.seed, given.refine)])
    else:
        blocks = model.sample_blocks(n, given.seed, given.refine)
        check_space(out, n, model.dimension)
    if out.suffix == ".png":
        write_grid(out, next(blocks), columns=max(1, round(n**0.5)))
    elif out.suffix == "":
        write_pictures(out, blocks, n)
    else:
        arrays = (block.numpy() for block in blocks)
        write_table(out, arrays, (n, *model.method.shape), model.columns)
    print(f"{n} samples of {given.run}, in the data's own units -> {out}{told}")


def check_chains(given: argparse.Namespace) -> None:
    """InputError where settings of the chains are given without chains, or chains twice."""
    settings = {
        "--steps": given.steps is not None,
        "--step-size": given.step_size is not None,
        "--temperature": given.temperature is not None,
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


def check_outputs(given: argparse.Namespace, out: Path, endings: tuple[str, ...]) -> None:
    check_writable(out, endings)
    if given.sampler:
        check_writable(chain_picture(out), (".png",))


def chain_picture(out: Path) -> Path:
    return out.with_name(f"{out.stem}_chain.png")


def check_space(out: Path, n: int, numbers: int) -> None:
    """InputError where the disk has no room for so many samples.

    4 bytes a number are what .npy takes; digits take more, a compressed picture or table may take less.
    """
    if out.suffix in (".npy", ".csv"):
        require_room(f"{n} samples", 4 * n * numbers, out, "draw fewer")


def write_pictures(folder: Path, blocks: Iterable["Tensor"], n: int) -> None:
    """One .png for each image, 00000.png, 00001.png, …; the folder takes its name when it has all of them."""
    from torchvision.utils import save_image

    from energy_gan.data.images import viewable

    width = max(5, len(str(n - 1)))
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        images: Iterator[Tensor] = (image for block in blocks for image in viewable(block).clamp(0, 1))
        for number, image in enumerate(images):
            save_image(image, temporary / f"{number:0{width}d}.png")
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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


def kernel_of(name: str) -> "Kernel":
    """The kernel of that name in `KERNELS`."""
    from energy_gan.samplers.hmc import HMC
    from energy_gan.samplers.langevin import Langevin
    from energy_gan.samplers.mala import MALA

    return {"langevin": Langevin, "mala": MALA, "hmc": HMC}[name]()


if __name__ == "__main__":
    door(main)
