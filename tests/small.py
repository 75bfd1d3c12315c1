"""A small pair, small data and a quiet Trainer, for tests of the step."""

from functools import partial

import torch
from lightning import Trainer

from energy_gan.callbacks.checkpoint import SaveCheckpoints
from energy_gan.data.base import DataModule
from energy_gan.energies.experts import IsotropicQuadratic, ProductOfExperts
from energy_gan.energies.mlp import MLPFeatures
from energy_gan.generator_terms.batch_norm_entropy import BatchNormEntropy
from energy_gan.generators.mlp import MLPGenerator
from energy_gan.generators.priors import UniformPrior
from energy_gan.methods.energy_gan import EnergyGAN
from energy_gan.optim.learns import Learns

ADAGRAD = partial(torch.optim.Adagrad, lr=0.01)
GRIDS = [f"method.grids.{name}.negatives.n_steps=3" for name in ("coarse", "middle", "fine")]
FEWER = {  # of what recipes do most in a step or before the first
    "lebm_short_run": ["method.generator.prior.chains.n_steps=5", "method.inference.chains.n_steps=3"],
    "multigrid": GRIDS,
    "multigrid_dilated": GRIDS,
    "noise_levels": ["method.energy.mixture.n_iterations=3", "method.generator.n_iterations=3"],
    "sri": ["method.inference.chains.n_steps=2"],
    "stacked": ["method.energy.components=[1, 4, 16]"],
}


class Blobs(DataModule):
    """Two normals."""

    def load(self):
        x = torch.randn(400, *self.shape, generator=torch.Generator().manual_seed(self.seed))
        x[::2] += 3
        return x, x[:50]


def small_method(**settings):
    """The paper's pair with 16 units a layer."""
    torch.manual_seed(0)
    energy = ProductOfExperts([2], MLPFeatures([2], hidden=[16, 16]), 4, quadratic=IsotropicQuadratic())
    generator = MLPGenerator([2], UniformPrior(4), hidden=[16, 16])
    settings = {
        "energy_learns": Learns(ADAGRAD),
        "generator_learns": Learns(ADAGRAD),
        "terms": {"entropy": BatchNormEntropy()},
    } | settings
    return EnergyGAN([2], energy, generator=generator, **settings)


def quiet_trainer(max_steps, **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    quiet |= {"enable_checkpointing": False, "accelerator": "cpu", "max_epochs": -1}
    return Trainer(max_steps=max_steps, **quiet | settings)


def fit(method, max_steps, folder=None, resume=None, callbacks=(), **settings):
    """Train on Blobs; a checkpoint in every seventh step where a folder is given."""
    callbacks = [*callbacks, *([SaveCheckpoints(str(folder), every_n_steps=7, keep=100)] if folder else [])]
    settings = {"callbacks": callbacks, "enable_checkpointing": bool(folder)} | settings
    trainer = quiet_trainer(max_steps, **settings)
    trainer.fit(method, Blobs([2], 16, 0), ckpt_path=resume, weights_only=True)
    return trainer


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def parameters(module):
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
