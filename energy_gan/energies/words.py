"""Features of sentences: the states of a recurrent network that reads them in both directions.

Reference: Bidirectional Recurrent Neural Networks (Schuster & Paliwal, 1997),
https://doi.org/10.1109/78.650093; gated units: Learning Phrase Representations using RNN Encoder-Decoder
(Cho et al., 2014), https://arxiv.org/abs/1406.1078.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from energy_gan.nn import sizes
from energy_gan.shapes import Points
from energy_gan.vocabulary import END, ids_of


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
