"""Sentences: a recurrent network that says word after word, each with a probability.

    p(x | z) = Πₜ p(xₜ | x₁ … xₜ₋₁, z) up to the first END,   softmax(W hₜ),   hₜ = GRU(hₜ₋₁, [e(xₜ₋₁), z])

so that the probabilities of all rows with nothing after their END sum to one. W is the table of e, tied.

Reference: Generating Sentences from a Continuous Space (Bowman et al., 2016),
https://arxiv.org/abs/1511.06349, with its word dropout; z at every word as in Learning Latent Space
Energy-Based Prior Model (Pang et al., 2020), https://arxiv.org/abs/2006.08205, section 4.2.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from energy_gan.generators.base import Draw, Generator
from energy_gan.generators.priors import Prior
from energy_gan.nn import sizes, widened
from energy_gan.randomness import rows
from energy_gan.shapes import Energies, Latents, Points
from energy_gan.vocabulary import END, UNKNOWN, ids_of, is_said

States = Float[Tensor, "B H"]


class WordDecoder(nn.Module):
    """The network: from z and the words before to the states, and from these to the words' logits.

    Args:
        words: of the vocabulary.
        latent_dim: of z.
        embedding, hidden: widths of e and h.
        word_dropout: the share of the words before that are not told in training, so that z has to say
            them. Chains on such a likelihood would meet another one in each move: give 0 with them.
    """

    def __init__(self, words: int, latent_dim: int, embedding: int, hidden: int, word_dropout: float):
        super().__init__()
        sizes("embedding and hidden", [embedding, hidden])
        if not 0 <= word_dropout < 1:
            raise ValueError(f"word_dropout must be a share of at least 0 and below 1, got {word_dropout}")
        self.word_dropout = word_dropout
        self.embedding = nn.Embedding(words, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)
        self.first = nn.Linear(latent_dim, hidden)
        self.gru = nn.GRU(embedding + latent_dim, hidden, batch_first=True)
        self.last = nn.Linear(hidden, embedding)
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, latent: Latents, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T H"]:
        """The state before each word of the rows."""
        before = F.pad(ids[:, :-1], (1, 0), value=END)
        if self.training and self.word_dropout:
            shape = before.shape[1:]
            told = rows(len(before), lambda n: torch.rand(n, *shape, device=before.device))
            before = before.masked_fill((told < self.word_dropout) & (before != END), UNKNOWN)
        return self.states(latent, before, self.first(latent).tanh())[0]

    def states(
        self, latent: Latents, before: Int[Tensor, "B T"], state: States
    ) -> tuple[Float[Tensor, "B T H"], States]:
        """The states after each of these words, and the last of them."""
        given = torch.cat([self.embedding(before), latent[:, None].expand(-1, before.shape[1], -1)], 2)
        states, last = self.gru(given, state[None].contiguous())
        return states, last[0]

    def logits(self, states: Float[Tensor, "*B H"]) -> Float[Tensor, "*B V"]:
        """log p(word) up to a constant."""
        return widened(F.linear(self.last(states), self.embedding.weight, self.bias))


class TextGenerator(Generator):
    """Sentences as rows of words' numbers, see `energy_gan.vocabulary`. G(z) takes the likeliest words.

    Args:
        shape: of a row, [T].
        prior: p(z); it says how many numbers z has.
        words: of the vocabulary, the two that are none among them.
        embedding, hidden, word_dropout: as in `WordDecoder`.
        temperature: by which logits are divided where words are drawn; 1 samples p(x | z), 0 takes the
            likeliest word.
    """

    def __init__(
        self,
        shape: Sequence[int],
        prior: Prior,
        words: int,
        embedding: int = 128,
        hidden: int = 128,
        word_dropout: float = 0.0,
        temperature: float = 1.0,
    ):
        if len(shape) != 1:
            raise ValueError(f"shape must be one number, the words of a row, got {list(shape)}")
        if not temperature >= 0:
            raise ValueError(f"temperature must be a number of at least 0, got {temperature}")
        super().__init__(WordDecoder(words, prior.latent_dim, embedding, hidden, word_dropout), prior)
        self.length, self.words, self.temperature = shape[0], words, temperature

    def moments(self, latent: Latents) -> tuple[Points, None]:
        """The likeliest word at each place, given those before; there is no noise."""
        return self._said(latent, 0.0, None), None

    def draw(self, latent: Latents, rng: torch.Generator | None = None) -> Draw:
        """A sentence for each latent, its words drawn at the temperature; `clean` is the same."""
        said = self._said(latent, self.temperature, rng)
        return Draw(latent, said, said, None, self.prior.log_share(latent), self.log_prob)

    def log_likelihood(self, x: Points, latent: Latents) -> Energies:
        """log p(x | z). What stands after a row's first END does not count."""
        ids = ids_of(x, self.words)
        states, said = self.network(latent, ids), is_said(ids)
        losses = F.cross_entropy(self.network.logits(states[said]), ids[said], reduction="none")
        return -losses.new_zeros(ids.shape).masked_scatter(said, losses).sum(1)

    @torch.no_grad()
    def _said(self, latent: Latents, temperature: float, rng: torch.Generator | None) -> Points:
        network, ids = self.network, latent.new_full((len(latent), self.length), END).long()
        shape, device = (len(latent), self.length, 1), rng.device if rng else latent.device
        uniform = torch.rand(shape, generator=rng, device=device).to(latent.device) if temperature else None
        word, state = ids[:, :1], network.first(latent).tanh()
        for place in range(self.length):
            _, state = network.states(latent, word, state)
            logits, ended = network.logits(state), (word == END) & (place > 0)
            if temperature:
                below = (logits / temperature).softmax(1).cumsum(1)
                word = torch.searchsorted(below, uniform[:, place] * below[:, -1:], right=True)
                word = word.clamp(max=self.words - 1)
            else:
                word = logits.argmax(1, keepdim=True)
            word = word.masked_fill(ended, END)
            ids[:, place] = word[:, 0]
            if bool((word == END).all()):
                break
        return ids.to(latent.dtype)
