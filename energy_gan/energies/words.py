"""Features of text: states of a recurrent network that reads it both ways; the words, whatever their order.

Reference: Bidirectional Recurrent Neural Networks (Schuster & Paliwal, 1997),
https://doi.org/10.1109/78.650093; gated units: Learning Phrase Representations using RNN Encoder-Decoder
(Cho et al., 2014), https://arxiv.org/abs/1406.1078.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from energy_gan.nn import Activation, make_activation, sizes
from energy_gan.shapes import Points
from energy_gan.vocabulary import END, SPECIAL, ids_of, is_said


class WordFeatures(nn.Module):
    """(B, T) numbers of words -> (B, 2 · hidden): the state at the end, and that at the beginning, read back.

    Args:
        shape: of a row, [T].
        words: of the vocabulary.
        embedding, hidden: widths of a word's table and of each direction.
    """

    def __init__(self, shape: Sequence[int], words: int, embedding: int = 128, hidden: int = 128):
        super().__init__()
        if len(shape) != 1:
            raise ValueError(f"shape must be one number, the words of a row, got {list(shape)}")
        sizes("embedding and hidden", [embedding, hidden])
        self.embedding = nn.Embedding(words, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)
        self.gru = nn.GRU(embedding, hidden, batch_first=True, bidirectional=True)
        self.out_features = 2 * hidden

    def forward(self, x: Points) -> Float[Tensor, "B F"]:
        ids = ids_of(x, self.embedding.num_embeddings)
        forward, backward = self.gru(self.embedding(ids))[0].chunk(2, 2)
        end = (ids != END).long().cumprod(1).sum(1).clamp(max=ids.shape[1] - 1)
        return torch.cat([forward[torch.arange(len(ids), device=ids.device), end], backward[:, 0]], 1)


class BagFeatures(nn.Sequential):
    """(B, T) numbers of words -> log(1 + how often each is said) -> layers: whatever the order of the words.

    Args:
        shape: of a row, [T].
        words: of the vocabulary.
        hidden, activation: of the layers, the last width that of the features.
        dropout: the share of the words, and of the numbers between layers, that are set to 0 in training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        words: int,
        hidden: Sequence[int] = (256,),
        activation: Activation = "relu",
        dropout: float = 0.0,
    ):
        if len(shape) != 1:
            raise ValueError(f"shape must be one number, the words of a row, got {list(shape)}")
        widths = sizes("hidden", hidden)
        layers: list[nn.Module] = [Counts(words), nn.Dropout(dropout)]
        for wide, narrow in pairwise([words, *widths]):
            layers += [nn.Linear(wide, narrow), make_activation(activation), nn.Dropout(dropout)]
        super().__init__(*layers)
        self.out_features = widths[-1]


class Counts(nn.Module):
    """log(1 + n) of how often each word is said, ends and unknown words left out, each row of length 1."""

    def __init__(self, words: int):
        super().__init__()
        self.words = words

    def forward(self, x: Points) -> Float[Tensor, "B V"]:
        ids = ids_of(x, self.words)
        counts = x.new_zeros(len(x), self.words).scatter_add_(1, ids, is_said(ids).to(x))
        counts[:, : len(SPECIAL)] = 0
        return F.normalize(counts.log1p(), dim=1) * ids.shape[1] ** 0.5
