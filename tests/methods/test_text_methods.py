"""What methods promise, held on sentences: weights move, a resume is bit for bit, what is offered answers."""

import pytest
import torch
from small import equal, parameters, quiet_trainer, weights

from energy_gan.callbacks.checkpoint import SaveCheckpoints
from energy_gan.errors import InputError
from energy_gan.metrics.ngrams import KneserNey
from energy_gan.model import Model
from energy_gan.reports.section import Settings
from energy_gan.reports.text import TextLatents, TextSamples, log_normalizer
from energy_gan.run.build import build
from energy_gan.run.compose import compose

SMALL = ["data.words=12", "data.shape=[5]", "data.batch_size=16", "trainer.max_steps=6"]
NET = ["embedding=8", "hidden=8", "prior.latent_dim=3"]
ENCODER = {"vae": "method.encoder.features", "lebm": "method.inference.amortised.features"}
CONSTANTS = {"generator.prior.energy.experts.bias"}  # of an energy: both phases cancel
SAID = ["the cat sat .", "a dog ran", "the dog sat on a mat .", "a cat ran on", "the mat"]


def config_of(method, folder):
    (folder / "text.txt").write_text("\n".join(SAID * 8))
    given = [*(f"method.generator.{s}" for s in NET), *(f"{ENCODER[method]}.{s}" for s in NET[:2])]
    if method == "lebm":
        given += ["method.negatives.memory.chains=32", "method.negatives.memory.moved=16"]
    return compose(["data=text", f"data.path={folder / 'text.txt'}", f"method={method}", *SMALL, *given])


@pytest.fixture(scope="module", params=["vae", "lebm"])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    config = config_of(request.param, folder)
    torch.manual_seed(0)
    method, data = build(config["method"], "method").train(), build(config["data"], "data")
    start = parameters(method)
    keep = SaveCheckpoints(str(folder), every_n_steps=3, keep=9)
    quiet_trainer(6, callbacks=[keep], enable_checkpointing=True).fit(method, data)
    method.save_hyperparameters(config | {"vocabulary": data.vocabulary.in_one_line})
    return config, start, method, data, folder


def test_each_weight_moves_and_has_one_player(trained):
    _, start, method, _, _ = trained
    still = {n for n, p in method.named_parameters() if torch.equal(p, start[n])}
    assert still <= CONSTANTS
    owned = [id(p) for player in method.players for p in player.parameters]
    assert sorted(owned) == sorted(map(id, method.parameters()))


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(trained):
    config, _, whole, _, folder = trained
    torch.manual_seed(1)
    method, data = build(config["method"], "method").train(), build(config["data"], "data")
    keep = SaveCheckpoints(str(folder / "again"), every_n_steps=3, keep=9)
    trainer = quiet_trainer(6, callbacks=[keep], enable_checkpointing=True)
    trainer.fit(method, data, ckpt_path=folder / "step_000000003.ckpt", weights_only=True)
    assert equal(weights(method), weights(whole))


def test_what_is_offered_answers(trained):
    _, _, method, _data, _ = trained
    model = Model(method.eval())
    assert model.kind == "text"
    assert model.offers == {"generator", "inference", "ranking"}
    x = model.encode(["the cat sat on a mat .", "a zebra ran"])
    assert model.decode(x) == ["the cat sat on a", "a <unk> ran"]
    assert model.ranking(x).isfinite().all()
    assert torch.equal(model.reconstruct(x).points, model.generate(model.reconstruct(x).latent, 0)) == (
        method.generator.temperature == 0
    )
    assert torch.equal(model.sample(9, seed=1), model.sample(9, seed=1))
    assert len(model.sample(200, seed=1).unique(dim=0)) > 1
    paths = model.interpolate_between(x[:1], x[1:], 4)
    assert paths.shape == (1, 4, 5)
    assert torch.equal(paths[0, [0, -1]], model.reconstruct(x).points)
    with pytest.raises(InputError, match="here it needs energy"):
        model.energy(x)
    with pytest.raises(InputError, match="at least 2 steps"):
        model.interpolate_between(x[:1], x[1:], 1)


@pytest.mark.slow
def test_the_report_of_text_counts_what_it_says(trained):
    _, _, method, data, _ = trained
    model, sections = Model(method.eval()), []
    for kind in (TextSamples, TextLatents):
        sections.append(kind(Settings(200, 100, "", 0)))
        sections[-1].prepare(data)
    samples = model.sample(200)
    numbers = sections[0].measure(model, samples, True, {}) | sections[1].measure(model, samples, True, {})
    assert numbers.keys() == {n.name for section in sections for n in section.numbers}
    size = len(data.vocabulary)
    assert numbers["reverse_perplexity"] == KneserNey(samples, size).perplexity(data.held_out)
    assert sections[0].of(model, data.points)["unique_share"] == len(data.points.unique(dim=0)) / len(
        data.points
    )
    assert numbers["nll_per_word"] < 2 * torch.tensor(12.0).log()  # of 12 words alike
    assert 0 <= numbers["word_accuracy"] <= 1
    read = sections[0].texts(model) | sections[1].texts(model)
    assert {name: bool(text) for name, text in read.items()} == dict.fromkeys(read, True)


@pytest.mark.slow
def test_log_z_of_the_prior_is_that_by_importance_sampling(trained):
    model = Model(trained[2].eval())
    prior = model.learned.generator.prior
    if not prior.tilted:
        assert log_normalizer(model, 0) == 0
        return
    with torch.no_grad():
        expected = prior.log_weights(50_000, torch.Generator().manual_seed(0)).logsumexp(0)
    assert log_normalizer(model, 0) == pytest.approx(float(expected), abs=0.05)
