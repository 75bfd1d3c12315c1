"""Documents as bags of words: which words they hold, whatever their order.

    p(x | z) = Πₜ π(z)_{xₜ} up to the first END, which is a word as any other,   π(z) = softmax(b + G(z))

a multinomial law of the words, whose number is geometric. b is learned and starts at the words' shares in the
data, so that G says how a document differs.

Reference: Neural Variational Inference for Text Processing (Miao et al., 2016), https://arxiv.org/abs/1511.06038;
the background of Variational Pretraining for Semi-supervised Text Classification (Gururangan et al., 2019),
https://arxiv.org/abs/1906.02242.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.priors import Prior
from energy_gan.nn import Activation, Fitted, mlp, sizes, widened
from energy_gan.shapes import Energies, Latents, Points
from energy_gan.vocabulary import END, ids_of, is_said


class Background(Fitted):
    """The words' log shares b, which every document has in common.

    Args:
        words: of the vocabulary.
    """

    def __init__(self, words: int):
        super().__init__()
        self.log_shares = nn.Parameter(torch.zeros(words))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, x: Points, seed: int = 0) -> None:
        ids = ids_of(x, len(self.log_shares))
        counts = torch.bincount(ids[is_said(ids)], minlength=len(self.log_shares)) + 1.0
        self.log_shares.copy_((counts / counts.sum()).log())
        self.fitted.fill_(True)

    def forward(self, logits: Tensor) -> Tensor:
        return logits + self.log_shares


class BagOfWords(Generator):
    """Rows of words' numbers. G(z) holds the likeliest words, each once, the likeliest first.

    Args:
        shape: of a row, [T].
        prior: p(z).
        words: of the vocabulary, the two that are none among them.
        hidden, activation: of the layers between z and the words.
        temperature: by which logits are divided where words are drawn.
    """

    def __init__(
        self,
        shape: Sequence[int],
        prior: Prior,
        words: int,
        hidden: Sequence[int] = (256,),
        activation: Activation = "leaky_relu",
        temperature: float = 1.0,
    ):
        if len(shape) != 1:
            raise ValueError(f"shape must be one number, the words of a row, got {list(shape)}")
        if not temperature >= 0:
            raise ValueError(f"temperature must be a number of at least 0, got {temperature}")
        layers = mlp([prior.latent_dim, *sizes("hidden", hidden), words], activation)
        super().__init__(nn.Sequential(*layers, Background(words)), prior)
        self.length, self.words, self.temperature = shape[0], words, temperature

    def moments(self, latent: Latents) -> tuple[Points, None]:
        logits = self.network(latent)
        n = min(self.length, self.words - 1)
        likeliest = latent.new_zeros(len(latent), self.length)
        likeliest[:, :n] = (logits[:, END + 1 :].topk(n, 1).indices + END + 1).to(latent.dtype)
        return likeliest, None

    @torch.no_grad()
    def draw(self, latent: Latents, rng: torch.Generator | None = None) -> Draw:
        """Words drawn one by one until END is; at temperature 0 they are G(z)."""
        if not self.temperature:
            said = self.moments(latent)[0]
        else:
            p = (widened(self.network(latent)) / self.temperature).softmax(1).cpu()
            ids = torch.multinomial(p, self.length, replacement=True, generator=rng)
            said = ids.masked_fill(~is_said(ids), END).to(latent)
        return Draw(latent, said, said, None, self.prior.log_share(latent), self.log_prob)

    def log_likelihood(self, x: Points, latent: Latents) -> Energies:
        """log p(x | z), of this order of the words. What stands after a row's first END does not count."""
        ids = ids_of(x, self.words)
        log_p = widened(self.network(latent)).log_softmax(1).gather(1, ids)
        return (log_p * is_said(ids)).sum(1)
