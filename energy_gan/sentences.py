"""What a model of text has besides: sentences as its points and back, and the paths between two."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from energy_gan.conditioning import Conditioning
from energy_gan.errors import InputError
from energy_gan.vocabulary import Vocabulary, words_of


class Sentences(Conditioning):
    """Between sentences and rows of words' numbers, by the vocabulary that the run keeps."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words by number.

        Raises:
            InputError: the model is of other data.
        """
        line = self.method.hparams.get("vocabulary")
        if line is None:
            raise InputError(f"this run was trained on {self.kind}, here it needs text: give another run")
        return Vocabulary.from_line(line)

    def encode(self, sentences: Sequence[str]) -> Float[Tensor, "N T"]:
        """Sentences as points."""
        return self.vocabulary.encode(list(map(words_of, sentences)), *self.method.shape)

    def decode(self, x: Any) -> list[str]:
        """The sentences that points say."""
        return self.vocabulary.decode(self._checked(x))
