"""Every method trains under bf16-mixed on a CPU; what no optimizer here takes is refused in one line."""

import re

import pytest
import torch
from faults.common import FEW, QUICK
from small import FEWER

from energy_gan.generators.base import Draw
from energy_gan.generators.mixture import log_mixture
from energy_gan.generators.output_noise import noise_log_prob
from energy_gan.run.compose import CONF, compose
from energy_gan.run.run import Run

GRIDS = ("multigrid", "multigrid_dilated")
HAVE = sorted(f for f in CONF.glob("experiment/*/*.yaml") if f.stem in ("points", "images"))
# of 8×8 a quarter is 2×2: 5×5 kernels of stride 2 then see one pixel, where oneDNN leaves their outer
# gradients of bfloat16 as memory was. Small images have fully connected grids
HAVE = [f.with_stem("small_images") if f.parent.name in GRIDS else f for f in HAVE]
CLASSES = ("classifier", "jem", "hypernetwork", "symbol_vector")  # points without labels are nothing for them
RECIPES = [  # one of each method; with the other kind of networks it takes its time
    pytest.param(
        f"experiment={file.parent.name}/{file.stem}",
        marks=pytest.mark.slow if file.stem == "images" and (file.parent / "points.yaml").exists() else (),
    )
    for file in HAVE
    if file.parent.name != "default" and not (file.stem == "points" and file.parent.name in CLASSES)
]
NEEDED = FEWER | {"hypernetwork": ["data.batch_size=32"]}  # a point for each network
SMALL = {"points": ["data=two_spiral", *FEW], "images": ["data=digits", "data.batch_size=16"]}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_takes_steps_under_bf16_mixed(recipe):
    few = SMALL["points" if recipe.endswith("points") else "images"]
    given = [recipe, *few, *QUICK, "trainer.precision=bf16-mixed", "callbacks.checkpoint=null", "run_dir=run"]
    given += NEEDED.get(recipe.removeprefix("experiment=").split("/")[0], [])
    config = compose([*given, "trainer.max_steps=2"])
    if "schedules.between" in str(config["method"]):  # one after the other: the last begin late
        config = compose([*given, "trainer.max_steps=5"])
    run = Run(config)
    run.create()
    before = {name: weight.detach().clone() for name, weight in run.method.named_parameters()}
    run.fit()
    after = dict(run.method.named_parameters())
    assert all(weight.dtype == torch.float32 and weight.isfinite().all() for weight in after.values())
    for player in run.method.players:
        mine = {id(weight) for weight in player.parameters}
        assert any(not torch.equal(before[n], w) for n, w in after.items() if id(w) in mine), player.name


@pytest.mark.parametrize("shape", [(5, 1), (5, 2), (5, 2, 2)])
def test_log_densities_are_of_full_precision_whatever_the_networks_are(shape):
    scale = torch.rand(shape) + 0.5
    scale = scale.tril() if len(shape) == 3 else scale
    clean, x = torch.randn(5, 2), torch.randn(7, 2)
    draw = Draw(clean, clean, clean, scale)
    exact = log_mixture(x, draw), noise_log_prob(x[:5], clean, scale)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = log_mixture(x, draw), noise_log_prob(x[:5], clean, scale)
    assert all(torch.equal(a, b) for a, b in zip(exact, mixed, strict=True))


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-mixed", "16-true"])
def test_other_precisions_are_refused_in_one_line(open_door, precision):
    given = ["data=eight_gaussians", "method=kim_bengio", *FEW, *QUICK, "trainer.max_steps=2"]
    status, output, errors = open_door("train", *given, f"trainer.precision={precision}")
    assert (status, output) == (2, "")
    said = rf"error: trainer.precision={precision} is not supported: give 32-true or bf16-mixed\n"
    assert re.fullmatch(said, errors)
