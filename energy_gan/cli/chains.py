"""Do chains in latent space make better samples? `python -m energy_gan.cli.chains RUN --temperature 1 0.3`.

The generator's samples beside those that chains from the same latents reach, at each temperature: the mean
energy, the acceptance rate, and the numbers of the run's own report. -> RUN/chains.json
"""

from energy_gan.cli import KERNELS, Parser, door, kernel_of, opened
from energy_gan.cli.evaluate import report_of
from energy_gan.system.files import write_json


def main() -> None:
    parser = Parser("chains", __doc__)
    parser.takes_run("the run's folder")
    parser.add_argument("--sampler", choices=KERNELS, default="mala", help="(mala)")
    parser.takes_number("--n", 2, "chains (10000)", default=10_000)
    parser.takes_number("--steps", 1, "of each (50)", default=50)
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="one or several (1)")
    parser.takes_seed()
    given = parser.parse_args()

    from tqdm import tqdm

    from energy_gan.reports.tables import table

    model = opened(given.run, given.trust, ["energy", "generator"])
    report = report_of(given.run, model, trust=given.trust)
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
    write_json(path, rows)
    print(f"{table(rows)}\n-> {path}")


if __name__ == "__main__":
    door(main)
