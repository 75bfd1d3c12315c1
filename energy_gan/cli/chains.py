"""Do chains in latent space make better samples? `python -m energy_gan.cli.chains RUN --temperature 1 0.3`.

The generator's samples beside those that chains from the same latents reach, at each temperature: the mean
energy, the acceptance rate, and the numbers of the run's own report. -> RUN/chains.json
"""

from pathlib import Path

from energy_gan.cli import Parser, door
from energy_gan.cli.evaluate import report_of
from energy_gan.cli.sample import KERNELS, kernel_of
from energy_gan.errors import InputError
from energy_gan.run.compose import only_trust
from energy_gan.studies.trials import keep


def main() -> None:
    parser = Parser("chains", description=__doc__)
    parser.add_argument("run", metavar="RUN", type=Path, help="the run's folder")
    parser.add_argument("--sampler", choices=KERNELS, default="mala", help="(mala)")
    parser.add_argument("--n", type=int, default=10_000, help="chains (10000)")
    parser.add_argument("--steps", type=int, default=50, help="of each (50)")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="one or several (1)")
    parser.add_argument("--seed", type=int, default=0, help="(0)")
    parser.add_argument("trust", nargs="*", help="trust=[my_package], if the run needs classes of it")
    given = parser.parse_args()
    trust = only_trust(given.trust)
    if given.n < 2:
        raise InputError(f"--n must be at least 2, got {given.n}")

    from tqdm import tqdm

    from energy_gan.reports.tables import table
    from energy_gan.run.checkpoints import load

    model = load(given.run, trust)
    report = report_of(given.run, model, trust=trust)
    rows = {"generator": report.of(model, model.sample(given.n, given.seed))}
    for temperature in tqdm(given.temperature, unit="temperature"):
        samples, trace = model.sample_latent(
            given.n, given.seed, kernel_of(given.sampler), given.steps, temperature=temperature
        )
        told = {
            "acceptance_rate": float(trace.acceptance_rate.mean()),
            "lowest_acceptance_rate": float(trace.acceptance_rate.min()),
            "highest_acceptance_rate": float(trace.acceptance_rate.max()),
            "step_size": trace.step_size,
        }
        rows[f"{given.sampler}, {given.steps} steps at {temperature:g}"] = report.of(model, samples) | told
    path = given.run / "chains.json"
    keep(path, rows)
    print(f"{table(rows)}\n-> {path}")


if __name__ == "__main__":
    door(main)
