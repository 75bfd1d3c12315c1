"""Sentences as rows of whole numbers and back: a number a word, the commonest words first.

A row has a fixed length. Where a sentence is shorter it is filled up with END, of which the first says where
the sentence ends; a longer one is cut, and has none.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float, Int, Real
from torch import Tensor

END, UNKNOWN = 0, 1
SPECIAL = ("<end>", "<unk>")
WORD = re.compile(r"<unk>|\w+(?:['’-]\w+)*|[^\w\s]")

Rows = Float[Tensor, "N T"]


def words_of(sentence: str) -> list[str]:
    """Its words in small letters, a mark of punctuation a word."""
    return WORD.findall(sentence.lower())


class Vocabulary:
    """The words of some text: those that are not among them are `<unk>`.

    Args:
        words: without the two that are none, `<end>` and `<unk>`, whose numbers are 0 and 1.
    """

    def __init__(self, words: Sequence[str]):
        self.words = (*SPECIAL, *words)
        self.numbers = {word: number for number, word in enumerate(self.words)}

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]], size: int) -> "Vocabulary":
        """The commonest words, `<end>` and `<unk>` counted among the size; of equals the first by letters."""
        counts = Counter(word for sentence in sentences for word in sentence if word not in SPECIAL)
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(ranked[: size - len(SPECIAL)])

    @classmethod
    def from_line(cls, line: str) -> "Vocabulary":
        """What `in_one_line` was made from."""
        return cls(line.split()[len(SPECIAL) :])

    @property
    def in_one_line(self) -> str:
        """The words by number, blanks between them: no word has one."""
        return " ".join(self.words)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, sentences: Sequence[Sequence[str]], length: int) -> Rows:
        """A row for each sentence, given as its words."""
        rows = torch.full((len(sentences), length), float(END))
        for row, sentence in zip(rows, sentences, strict=True):
            ids = [self.numbers.get(word, UNKNOWN) for word in sentence[:length]]
            row[: len(ids)] = torch.tensor(ids, dtype=rows.dtype)
        return rows

    def decode(self, rows: Real[Tensor, "N T"]) -> list[str]:
        """The words up to the end, blanks between them."""
        ids = (row[: row.index(END)] if END in row else row for row in rows.long().tolist())
        return [" ".join(self.words[i] if i < len(self) else SPECIAL[UNKNOWN] for i in row) for row in ids]


def ids_of(x: Real[Tensor, "N T"], size: int) -> Int[Tensor, "N T"]:
    """Numbers of words from points; those beyond the vocabulary, of noise say, are its first or last."""
    return x.round().long().clamp(0, size - 1)


def is_said(ids: Int[Tensor, "N T"]) -> Bool[Tensor, "N T"]:
    """True up to the first END, which counts: the places that a sentence's probability is made of."""
    ended = (ids == END).cumsum(1)
    return ended - (ids == END).long() == 0
