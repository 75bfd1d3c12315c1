"""Made-up checkpoints and configs: each builds or ends in one line, and none runs or writes anything."""

import copy
import shutil
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from faults import damage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energy_gan.errors import InputError
from energy_gan.run.checkpoints import load
from energy_gan.run.compose import compose, read_config
from energy_gan.run.run import Run

LAST = "checkpoints/step_000000020.ckpt"
OURS = """load fit cli.train.main run.run.Run objectives.mean_energy optim.schedules.cosine samplers.hmc.HMC
    energies.mlp.MLPFeatures energies.experts.LinearExperts energies.experts.DiagonalQuadratic
    generators.priors.NormalPrior generators.mixed_prior.MixedPrior methods.energy_gan.EnergyGAN
    callbacks.trackers.TensorBoard callbacks.checkpoint.SaveCheckpoints data.gaussians.FarModes"""
OTHERS = """os.system builtins.eval lightning.pytorch.cli.instantiate_class torch.load
    lightning.pytorch.Trainer hydra.utils.instantiate torch.nn.Linear torch.nn.Sequential torch.nn.Upsample
    torch.nn.Module torch.nn.MultiheadAttention torch.nn.TransformerEncoder torch.nn.Tanh torch.optim.Adam
    torch.optim.LBFGS torch.nn. x"""
KEYS = """_target_ _partial_ _args_ _recursive_ in_features out_features shape hidden device trust path
    command experts energy lr params features network prior noise folder"""
TARGETS = st.sampled_from([f"energy_gan.{name}" for name in OURS.split()] + OTHERS.split())
NAMES = st.sampled_from(KEYS.split()) | st.text(max_size=4)
# no sizes in between: a thousand times a million numbers would fit into the memory of some machines
NUMBERS = st.sampled_from([0, 1, 2, 3, 5, 17, -1, -2, 2**62, 2**80, 10**400]) | st.sampled_from(
    [0.0, 0.5, 1.0, -3.5, 1e-9, 1e30, float("nan"), float("inf")]
)
WORDS = [
    "",
    "relu",
    "cpu",
    "cuda",
    "meta",
    "auto",
    "${oc.env:HOME}",
    "../up",
    "a\nb",
    "a\0b",
    "???",
    "\ud800",
]
TEXTS = st.sampled_from(WORDS) | st.text(max_size=8)
TREES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=4)
        | st.builds(
            lambda name, rest: {**rest, "_target_": name},
            TARGETS,
            st.dictionaries(NAMES, inner, max_size=3),
        )
    ),
    max_leaves=12,
)
MANY = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trained once for all, its config and its last checkpoint."""
    folder = tmp_path_factory.mktemp("fuzz") / "run"
    run = Run(compose([*damage.GIVEN, "trainer.max_steps=20", f"run_dir='{folder}'"]))
    run.create()
    run.fit()
    return folder, yaml.safe_load((folder / "config.yaml").read_text()), torch.load(folder / LAST)


def nodes(tree):
    """All places of a tree: the container and the key."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from nodes(value)


def changed(tree, draw):
    """The tree with one to three of its places changed, taken away or added to."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        places = list(nodes(tree))
        if not places:
            break
        node, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if kind == "remove":
            del node[key]
        elif kind == "add" and isinstance(node, dict):
            node[draw(NAMES)] = draw(TREES)
        else:
            node[key] = draw(TREES)
    return tree


def survives(work):
    """It comes to something or ends in one line; nothing is written."""
    before = sorted(Path().rglob("*"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = ""
        try:
            work()
        except InputError as error:
            said = str(error)
    assert "\n" not in said
    assert sorted(Path().rglob("*")) == before


def fuzzed_checkpoints(trained, cases):
    @settings(max_examples=cases, **MANY)
    @given(st.data())
    def fuzz(data):
        config = changed(trained[2]["hyper_parameters"], data.draw)
        torch.save({**trained[2], "hyper_parameters": config}, "stranger.ckpt")
        survives(lambda: load("stranger.ckpt"))

    fuzz()


def fuzzed_configs(trained, cases):
    shutil.copytree(trained[0], "run")

    @settings(max_examples=cases, **MANY)
    @given(st.data())
    def fuzz(data):
        config = changed(trained[1], data.draw)
        Path("run/config.yaml").write_text(yaml.safe_dump(config), errors="surrogatepass")
        survives(lambda: Run(read_config(Path("run"))))

    fuzz()


def test_made_up_hyper_parameters_end_well(trained):
    fuzzed_checkpoints(trained, 40)


def test_made_up_configs_end_well(trained):
    fuzzed_configs(trained, 40)


@pytest.mark.slow
def test_two_thousand_made_up_files_end_well(trained):
    fuzzed_checkpoints(trained, 1000)
    fuzzed_configs(trained, 1000)
