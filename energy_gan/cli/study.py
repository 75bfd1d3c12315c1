"""Trials, their numbers, a page of docs/: `python -m energy_gan.cli.study NAME …`, NAME --help says which.

What is there is not run again, and what was cut short goes on; so a study can be stopped and started.
"""

from energy_gan.cli import Parser, door, given_words
from energy_gan.errors import InputError
from energy_gan.studies.agreement import Entropies, Images, TwoDimensions
from energy_gan.studies.chains import Chains
from energy_gan.studies.family import Family
from energy_gan.studies.few_labels import FewLabels
from energy_gan.studies.held_out_digit import HeldOutDigit
from energy_gan.studies.hypernetwork import Hypernetwork
from energy_gan.studies.kddcup import KDDCup
from energy_gan.studies.multigrid import Multigrid
from energy_gan.studies.scaling import Scaling
from energy_gan.studies.symbols import Symbols

STUDIES = {
    study.name: study
    for study in (
        TwoDimensions,
        Images,
        Entropies,
        Chains,
        Scaling,
        KDDCup,
        HeldOutDigit,
        FewLabels,
        Multigrid,
        Symbols,
        Hypernetwork,
        Family,
    )
}


def main() -> None:
    name, *words = given_words() or [""]
    if name in ("-h", "--help"):
        print(__doc__)
        for study in STUDIES.values():
            print(f"  {study.name:<16}{study.about}")
        return
    if name not in STUDIES:
        given = f"STUDY={name} is unknown" if name and not name.startswith("-") else "no study is named"
        raise InputError(f"{given}: give STUDY=NAME, one of {', '.join(STUDIES)}")
    study = STUDIES[name]
    parser = Parser(f"study {name}", description=study.about)
    study.arguments(parser)
    study(parser.parse_args(words)).run()


if __name__ == "__main__":
    door(main)
