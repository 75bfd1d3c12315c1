"""The recipes of models with latents for CelebA and CIFAR-10 train on files of the true layout."""

from pathlib import Path

import pytest
import torch
from image_files import write_celeba, write_cifar10

from energy_gan.run.compose import compose
from energy_gan.run.run import Run

STEPS = 5  # a step takes a second and more
SHORT = {  # chains of a move or two, which are most of a step's time
    "vae": [],
    "triangle": [],
    "lebm": ["method.inference.short_run.chains.n_steps=1"],
    "lebm_short_run": ["method.inference.chains.n_steps=1", "method.generator.prior.chains.n_steps=2"],
    "sri": ["method.inference.chains.n_steps=2", "method.step_choice.n=2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("data", ["cifar10", "celeba"])
@pytest.mark.parametrize("method", SHORT)
def test_a_few_steps_with_the_papers_networks(method, data):
    write_cifar10(Path("data")) if data == "cifar10" else write_celeba(Path("data"))
    given = [
        "data.download=false",
        "data.batch_size=2",
        f"trainer.max_steps={STEPS}",
        f"trainer.log_every_n_steps={STEPS - 1}",
    ]
    config = compose([f"data={data}", f"method={method}", *given, *SHORT[method]])
    trainer = config["trainer"] | {"enable_checkpointing": False, "enable_progress_bar": False}
    run = Run(config | {"run_dir": ".", "callbacks": {}, "logger": {}, "trainer": trainer})
    before = torch.nn.utils.parameters_to_vector(run.method.parameters()).detach().clone()
    run.fit()
    after = torch.nn.utils.parameters_to_vector(run.method.parameters()).detach()
    assert run.method.step == STEPS
    assert after.isfinite().all()
    assert (after != before).double().mean() > 0.5
    assert all(torch.tensor(value).isfinite() for value in run.method.reported.values())
