"""The law of sentences, by all that there are; samples of it; what is told of z."""

from itertools import product

import pytest
import torch

from energy_gan.energies.words import BagFeatures, WordFeatures
from energy_gan.errors import InputError
from energy_gan.generators.bag_of_words import BagOfWords
from energy_gan.generators.priors import NormalPrior
from energy_gan.generators.text import TextGenerator
from energy_gan.inference.amortised import AmortisedInference, kl_of_each
from energy_gan.inference.kl_weight import KLWeight
from energy_gan.vocabulary import END

WORDS, LENGTH = 4, 3


def generator(**settings):
    torch.manual_seed(0)
    made = TextGenerator([LENGTH], NormalPrior(2), WORDS, embedding=8, hidden=8, **settings).eval()
    with torch.no_grad():
        made.network.embedding.weight.mul_(3)  # so that words are far from equally likely
    return made


def all_sentences():
    """Rows with nothing after their end."""
    rows = list(product(range(WORDS), repeat=LENGTH))
    return torch.tensor([r for r in rows if END not in r or not any(r[r.index(END) :])]).float()


def test_the_probabilities_of_all_sentences_sum_to_one():
    g, x = generator(), all_sentences()
    assert len(x) == 1 + 3 + 9 + 27
    for latent in g.prior.sample(3, torch.Generator().manual_seed(0)):
        log_p = g.log_likelihood(x, latent.expand(len(x), 2))
        assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)
    after = torch.tensor([[2.0, 0, 3]])
    same = g.log_likelihood(torch.cat([after, torch.tensor([[2.0, 0, 0]])]), latent.expand(2, 2))
    assert same[0] == same[1]


def test_samples_are_of_that_law_and_the_likeliest_words_are_its_greedy_ones():
    g, x = generator(), all_sentences()
    latent = torch.tensor([0.5, -1.0])
    n = 20_000
    drawn = g.draw(latent.expand(n, 2), torch.Generator().manual_seed(0)).samples
    p = g.log_likelihood(x, latent.expand(len(x), 2)).exp()
    found = (drawn[:, None] == x).all(2).double().mean(0)
    assert found.sum() == 1
    assert ((found - p) / (p * (1 - p) / n).sqrt()).abs().max() < 4
    again = g.draw(latent.expand(n, 2), torch.Generator().manual_seed(0)).samples
    assert torch.equal(drawn, again)
    cold = generator(temperature=0.0).draw(latent.expand(5, 2)).samples
    assert torch.equal(cold, g(latent.expand(5, 2)))
    first = p[x[:, 0] == cold[0, 0]].sum()
    assert all(first >= p[x[:, 0] == word].sum() for word in range(WORDS))


def test_a_gradient_goes_to_z_and_words_that_are_not_told_are_drawn_anew():
    g, x = generator(word_dropout=0.5).train(), all_sentences()
    latent = torch.zeros(len(x), 2, requires_grad=True)
    one, two = (g.log_likelihood(x, latent) for _ in range(2))
    assert not torch.equal(one, two)
    assert torch.autograd.grad(one.sum(), latent)[0].abs().min() > 0
    assert torch.equal(g.eval().log_likelihood(x, latent), g.log_likelihood(x, latent))


def test_features_do_not_depend_on_how_far_a_batch_is_filled_up():
    torch.manual_seed(0)
    features = WordFeatures([LENGTH], WORDS, 8, 8)
    assert features(all_sentences()).shape == (40, features.out_features)
    assert len(features(all_sentences()).unique(dim=0)) == 40


def test_the_kl_s_weight_rises_in_cycles_and_free_nats_cost_nothing():
    weight = KLWeight(free=0.5, cycles=2, zero=0.5, rise=0.25, most=0.5)
    for progress, expected in ((0.0, 0), (0.25, 0), (0.3125, 0.25), (0.4, 0.5), (0.5, 0), (1.0, 0.5)):
        weight.at(progress)
        assert weight.weight == pytest.approx(expected), progress
    kl = torch.tensor([[0.1, 2.0], [0.3, 1.0]])
    assert weight(kl, torch.tensor([1.0, 3.0])).item() == pytest.approx(0.5 * (0.5 + 1.5 + 2))
    encoder = AmortisedInference(WordFeatures([LENGTH], WORDS, 8, 8), 2, KLWeight(rise=0.0))
    plain = AmortisedInference(encoder.features, 2)
    plain.last = encoder.last
    losses = []
    for part in (encoder, plain):
        torch.manual_seed(0)
        losses.append(part.bound(generator(), all_sentences())["kl"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert kl_of_each(torch.zeros(1, 2), torch.zeros(1, 2)).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"word_dropout": 1.0}, "word_dropout must be"), ({"temperature": -1.0}, "temperature must be")],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        generator(**settings)
    with pytest.raises(InputError, match="density is known exactly"):
        generator().log_prob(all_sentences())


def bag():
    torch.manual_seed(0)
    return BagOfWords([LENGTH], NormalPrior(2), WORDS, hidden=[8])


def test_bags_of_words_sum_to_one_and_are_sampled_whatever_their_order():
    g, x = bag(), all_sentences()
    latent = torch.tensor([0.5, -1.0])
    p = g.log_likelihood(x, latent.expand(len(x), 2)).exp().detach()
    assert p.sum().item() == pytest.approx(1, abs=1e-5)
    there = {tuple(row.tolist()): value for row, value in zip(x, p, strict=True)}
    torch.testing.assert_close(there[1, 2, 3], there[3, 1, 2])
    n = 20_000
    drawn = g.draw(latent.expand(n, 2), torch.Generator().manual_seed(0)).samples
    found = (drawn[:, None] == x).all(2).double().mean(0)
    assert found.sum().item() == pytest.approx(1)
    assert ((found - p) / (p * (1 - p) / n).sqrt()).abs().max() < 4
    assert torch.equal(drawn, g.draw(latent.expand(n, 2), torch.Generator().manual_seed(0)).samples)
    g.temperature = 0.0
    assert torch.equal(g.draw(latent[None]).samples, g(latent[None]))


def test_the_background_starts_at_the_shares_of_the_words_and_features_count_them():
    g, x = bag(), torch.tensor([[2.0, 2, 3], [3, 2, 0], [2, 0, 0]])
    g.network[-1].fit(x)
    torch.testing.assert_close(g.network[-1].log_shares.exp(), torch.tensor([3.0, 1, 5, 3]) / 12)
    features = BagFeatures([3], WORDS, [5]).eval()
    assert features.out_features == 5
    torch.testing.assert_close(features(x[:, [1, 0, 2]][:1]), features(x[:1]))
    assert not torch.allclose(features(x[:1]), features(x[1:2]))
