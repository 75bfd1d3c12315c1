"""Every shipped config composes and builds; every mistake in one is a line that names the key."""

import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from energy_gan.errors import InputError
from energy_gan.run.build import build, check
from energy_gan.run.compose import CONF, compose, options
from energy_gan.run.run import Run
from energy_gan.studies.agreement import Entropies, Images

IMAGES = [
    n for n in options("data") if re.search(r"^shape: \[[13], ", (CONF / f"data/{n}.yaml").read_text(), re.M)
]
TEXT = [n for n in options("data") if re.search("^kind: text$", (CONF / f"data/{n}.yaml").read_text(), re.M)]
DATA = [name for name in options("data") if name not in ("points", "kddcup99", *IMAGES, *TEXT)]
ON_GRIDS = {"multigrid", "multigrid_dilated"}  # of images
METHODS = [name for name in options("method") if name not in ON_GRIDS]


PAIRS = [*product(DATA, METHODS), ("points", "kim_bengio"), ("digits", "kim_bengio"), ("digits", "critic")]
PAIRS.remove(("mixture", "exact_likelihood"))  # its grid is one of the plane


def quick(data, method):
    """Whether a pair has something of its own: a recipe, a set's first method, a method's space.

    Each method trains in the plane in tests/methods/test_contract.py, and as a whole run in test_precision.
    """
    recipe = (CONF / f"experiment/{method}/{data}.yaml").is_file()
    return recipe or data in ("mixture", "points", "digits") or method == "kim_bengio"


@pytest.mark.parametrize(
    ("data", "method"),
    [pytest.param(*pair, marks=() if quick(*pair) else pytest.mark.slow) for pair in PAIRS],
)
def test_every_method_builds_on_every_data_set(data, method, table):
    given = [f"data={data}", f"method={method}", "run_dir=run"]
    run = Run(compose([*given, f"data.path={table[0]}"] if data == "points" else given))
    assert run.config["name"] == f"{method}/{data}"
    assert len(run.data.points) >= 300
    assert not Path("run").exists(), "nothing is written before training starts"


LARGE = {
    "images",
    "celeba",
    "cifar10",
    "svhn",
}  # networks of published size, beside recipes of the same parts


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(
            file,
            id=f"{file.parent.name}/{file.stem}",
            marks=pytest.mark.slow if file.stem in LARGE and file.with_stem("small_images").exists() else (),
        )
        for file in sorted(CONF.glob("experiment/*/*.yaml"))
        if (file.stem, file.parent.name) not in PAIRS  # which are built above
    ],
)
def test_every_experiment_composes(file):
    own = file.stem if file.stem in IMAGES else "digits" if "images" in file.stem else None
    own = file.stem if file.stem in TEXT else own
    own = "python_topics" if file.stem.startswith("text") else own
    data = [f"data={own}"] if own else []
    config = compose([f"experiment={file.parent.name}/{file.stem}", "run_dir=run", *data])
    check(config)
    build(config["method"], "method")


VARIANTS = [(kind, name) for kind in (Images, Entropies) for name in kind.variants]


@pytest.mark.parametrize(("kind", "name"), VARIANTS, ids=[name for _, name in VARIANTS])
def test_every_variant_of_a_report_builds(kind, name):
    config = compose([f"data={kind.data[0]}", *kind.variants[name], "run_dir=run"])
    check(config)
    build(config["method"], "method")


@pytest.mark.parametrize("trainer", options("trainer"))
def test_every_trainer_is_checked(trainer):
    check(compose([f"trainer={trainer}", "run_dir=run"]))


def test_the_paper_s_networks_have_the_paper_s_sizes():
    method = build(compose(["data=four_spin", "method=kim_bengio"])["method"], "method")
    widths = [m.weight.shape for m in method.energy.modules() if isinstance(m, torch.nn.Linear)]
    assert widths == [(128, 2), (128, 128), (4, 128)], "2-128-128, and 4 experts"
    widths = [m.weight.shape for m in method.generator.modules() if isinstance(m, torch.nn.Linear)]
    assert widths == [(128, 4), (128, 128), (2, 128)], "4-128-128-2"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data=two_spirals"], "data=two_spirals is unknown: choose one of .*two_spiral"),
        (["logger=null"], "logger=null is no name: choose one of default; a part .* logger.PART=null"),
        (["experiment=null"], "experiment=null is no name: choose one of <method>/<data>$"),
        (["callbacks=[[2]]"], "cannot read the overrides: .*write them as key=value"),
        (
            ["method=coop_weighted", "method.terms.teaching.chains=nan"],
            "method.terms.teaching.chains=nan is of the wrong type: expected an instance of Chains",
        ),
        (["method.draws=3"], "method.draws=3 is of the wrong type: expected an instance of Draws"),
        (["data=5"], "data=5 is no name: choose one of .*celeba, "),
        (["method=nothing"], "method=nothing is unknown: choose one of abp, aligned, .*kim_bengio"),
        (
            ["data=digits", "method=exact_likelihood"],
            "method=exact_likelihood is not made for images, .*critic or fce or",
        ),
        (["data=python_topics", "method=meg"], "method=meg is not made for text, .*give abp or lebm or"),
        (["data=text"], "data.path has no value: give data.path=VALUE"),
        (["data=points"], "data.path has no value: give data.path=VALUE"),
        (["data=points", "data.path=absent.csv"], r"absent.csv does not exist .*give the path"),
        (
            ["method.entropy_weigt=1"],
            "method.entropy_weigt is not a key .*did you mean method.terms.entropy.weight",
        ),
        (["experts=8"], "experts is not a key of the config, did you mean method.energy.experts"),
        (["method.energy.features.hidden=64"], "hidden=64 is of the wrong type: expected a list"),
        (["data.batch_size=[1"], r"data.batch_size='\[1' is of the wrong type"),
        (["seed"], "cannot read the overrides: .*write them as key=value"),
        (["seed=-1"], "seed=-1 is of the wrong type: expected greater than or equal to 0"),
        (["seed=one"], "seed='one' is of the wrong type: expected a valid integer"),
        (["data.batch_size=many"], "data.batch_size='many' is of the wrong type: expected a valid integer"),
        (["data.batch_size=12.5"], "data.batch_size=12.5 is of the wrong type"),
        (["data.batch_size=true"], "data.batch_size=True is of the wrong type"),
        (["data.batch_size=1"], "data: batch_size must be at least 2"),
        (["data.n_points=1"], "there is 1 point to train on: give more, at least 2"),
        (["data.density.std=-0.5"], "data.density: std must be positive and finite, got -0.5"),
        (["method.energy.experts=0"], "method.energy: experts must be at least 1, got 0"),
        (
            ["method=kim_bengio", "method.terms.entropy.reduction=max"],
            "method.terms.entropy.reduction='max' is of the wrong type: expected 'sum' or 'mean'",
        ),
        (["method=kim_bengio", "method.energy_learns.optimizer.lr=-1"], "method: Invalid learning rate: -1"),
        (
            ["method.energy_learns.optimizer.lr=fast"],
            "method.energy_learns.optimizer.lr='fast' is of the wrong type",
        ),
        (["method.generator.activation=step"], "method.generator.activation='step' is of the wrong type"),
        (
            ["+method.energy.depth=3"],
            r"method.energy.depth is unknown: .*ProductOfExperts takes shape, features",
        ),
        (["+trainer.max_step=3"], "trainer.max_step is unknown: .*did you mean max_steps"),
        (["method=kim_bengio", "trainer.max_steps=lots"], "trainer.max_steps='lots' is of the wrong type"),
        (
            ["method.energy._target_=os.system"],
            r"method.energy._target_=os.system is not trusted: .*trust=\[os\]",
        ),
        (
            ["method.energy._target_=energy_gan.run.build.build"],
            "method.energy._target_=energy_gan.run.build.build is nothing that a config builds there",
        ),
        (
            ["method.energy._target_=torch.nn.Nothing"],
            "method.energy._target_=torch.nn.Nothing cannot be imported",
        ),
        (["callbacks.report.n_samples=3"], "callbacks.report: n_samples must be at least 1000, got 3"),
        (["+experts=3"], "experts is unknown: it belongs to no part of the config"),
        (["+callbacks.progres=3"], "callbacks.progres is unknown"),
        (
            ["callbacks.report=null", "++callbacks.report.seed={_target_: torch.nn.ReLU}"],
            "report has no _tar",
        ),
        (["trainer.max_steps=0"], "trainer.max_steps=0 trains nothing: give at least 1"),
        (
            ["trainer.precision=16-mixed"],
            "trainer.precision=16-mixed is not supported: give 32-true or bf16-mixed",
        ),
        (["trainer=gpu"], "trainer: .*(No supported gpu backend|CUDAAccelerator)"),
        (
            ["data=mixture", "method=exact_likelihood"],
            "the negatives must have shape .* the parts do not fit",
        ),
        (["data.density.jitter=0.001", "data.density.std=0.0001"], "asks for .* cells, over max_cells"),
        (
            ["method=kim_bengio", "method.generator.batch_norm=false"],
            "batch_norm=true or method.terms.entropy=null",
        ),
        (
            ["method=aligned", "method.generator=null"],
            "method.generator=None is of the wrong type: expected an instance of Generator",
        ),
        (
            ["method=aligned", "method.objective._target_=energy_gan.objectives.classifier"],
            "the classifier objective takes negatives that count equally",
        ),
        (
            ["method=aligned", "method.objective._target_=energy_gan.objectives.noise_contrast"],
            "noise_contrast needs negatives of a law whose density is known",
        ),
        (["method=aligned_chains", "method.generator.recognition.bits=5"], "recogni|do not go together"),
        (
            [
                "method=aligned_chains",
                "method.generator.recognition.bits=5",
                "method.generator.recognition.uniforms=3",
            ],
            "the recognition network knows latents of 5 bits and 3 uniforms",
        ),
        (
            ["method=aligned", "method.energy_learns.optimizer.betas=[0.9]"],
            "method: the values do not go together",
        ),
        (["method=aligned", "method.generator.prior.bits=70"], "bits must be at most 32, at most 16 where"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(overrides, message):
    with pytest.raises(InputError, match=message) as error:
        Run(compose(["run_dir=run", *overrides]))
    assert "\n" not in str(error.value)
    assert not Path("run").exists()


@pytest.mark.parametrize("name", ["a=b.npy", "it's.npy", "two words.npy", "[1].npy", "Umlaut ä.npy"])
def test_any_file_name_will_do(name, table):
    np.save(name, table[1])
    assert compose(["data=points", f"data.path={name}"])["data"]["shape"] == [3]


def test_a_trusted_package_may_be_a_target(monkeypatch):
    given = ["data=four_spin", "run_dir=run", "method.energy._target_=test_build.MyEnergy"]
    given += [
        f"~method.energy.{key}" for key in ("shape", "features", "experts", "family", "quadratic", "linear")
    ]
    monkeypatch.syspath_prepend(Path(__file__).parent)
    with pytest.raises(InputError, match=r"trust=\[test_build\]"):
        Run(compose(given))
    assert type(Run(compose(given), trust=["test_build"]).method.energy).__name__ == "MyEnergy"


class MyEnergy(torch.nn.Linear):
    """A stranger's energy."""

    def __init__(self):
        super().__init__(2, 1)

    def forward(self, x):
        return super().forward(x)[:, 0]


def test_help_does_not_wait_for_torch():
    code = "import sys; import energy_gan.cli.train, energy_gan.run.compose; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(("steps", "every"), [(6000, 50), (1000, 50), (60, 3), (20, 1), (3, 1)])
def test_a_short_run_logs_more_often(steps, every):
    assert compose([f"trainer.max_steps={steps}"])["trainer"]["log_every_n_steps"] == every
