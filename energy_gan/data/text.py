"""A user's own text, one sentence a line; with tabs, a column of labels beside it.

Whatever is wrong with a file is one line that names the place, what was expected and what to do.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from energy_gan.data.base import Batches, DataModule
from energy_gan.data.partly_labelled import Known, LabelDraw, check_number
from energy_gan.errors import InputError
from energy_gan.randomness import random_generator
from energy_gan.vocabulary import SPECIAL, Vocabulary, words_of

LEAST = 2  # words that a text must have: of one word there is nothing to learn


class Sentences(NamedTuple):
    """The words of each sentence, and its label: None where there is none, no list where none has one."""

    words: list[list[str]]
    labels: list[str | None] | None = None


class TextData(DataModule):
    """Sentences as rows of words' numbers, some of them held out. A subclass gives `sentences`.

    The vocabulary is that of the sentences trained on. The networks see the numbers as they are.

    Attributes, after `setup`:
        vocabulary: the words by number.
        labels, held_out_labels: the class of each sentence, −1 where it has none; None without a column.
        classes: their names.
        cut: how many sentences are longer than a row.

    Args:
        shape: [T], the words of a row; longer sentences are cut.
        words: of the vocabulary, at most: the commonest, `<end>` and `<unk>` among them.
        held_out: the share of the sentences that is kept back, between 0 and 1.
        batch_size, seed: as in `DataModule`; the seed draws the split too.
    """

    kind = "text"

    def __init__(self, shape: Sequence[int], words: int, held_out: float, batch_size: int, seed: int):
        super().__init__(shape, batch_size, seed)
        if len(shape) != 1 or shape[0] < 1:
            raise ValueError(f"shape must be one number, the words of a row, at least 1, got {list(shape)}")
        if words < len(SPECIAL) + LEAST:
            raise ValueError(
                f"words must be at least {len(SPECIAL) + LEAST}, {' and '.join(SPECIAL)} among them, got "
                f"{words}"
            )
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be a share between 0 and 1, both excluded, got {held_out}")
        self.words, self.share = words, held_out

    @property
    def described(self) -> dict[str, Any]:
        return {**super().described, "vocabulary": self.vocabulary.in_one_line}

    @property
    def source(self) -> str:
        """What errors call the text."""
        return "the text"

    def sentences(self) -> tuple[Sentences, Sentences | None]:
        """All of them, or those to train on and those held out.

        Raises:
            InputError: they cannot be read.
        """
        raise NotImplementedError

    def load(self) -> tuple[Float[Tensor, "N T"], Float[Tensor, "M T"]]:
        given, held_out = self.sentences()
        if len(given.words) < 2:
            raise InputError(
                f"{self.source} has {len(given.words)} sentence{'s' * (len(given.words) != 1)} to train on: "
                "give more, one a line"
            )
        labels = self._numbered(given, held_out)
        if held_out is None:
            order = torch.randperm(len(given.words), generator=random_generator(self.seed, 0)).tolist()
            n = min(max(1, round(self.share * len(order))), len(order) - 2)
            parts = [order[n:], order[:n]]
            train, kept = ([given.words[i] for i in part] for part in parts)
            labels = labels and [labels[0][part] for part in parts]
        else:
            train, kept = given.words, held_out.words
        self.labels, self.held_out_labels = labels or (None, None)
        self.vocabulary = Vocabulary.of(train, self.words)
        if len(self.vocabulary) < len(SPECIAL) + LEAST:
            known = self.vocabulary.words[len(SPECIAL) :]
            said = f"of one word, {known[0]!r}," if known else "of no word"
            raise InputError(
                f"{self.source}: all {len(train)} sentences to train on are made {said} and there is nothing "
                "to learn: give a text of more words"
            )
        self.cut = sum(len(sentence) > self.shape[0] for sentence in (*train, *kept))
        return tuple(self.vocabulary.encode(part, self.shape[0]) for part in (train, kept))

    def _numbered(self, *parts: Sentences | None) -> list[Int[Tensor, "N"]] | None:
        """The labels of each part as numbers, by the order of their names."""
        given = [part.labels for part in parts if part is not None]
        if given[0] is None:
            return None
        self.classes = sorted({label for labels in given for label in labels if label is not None})
        check_number(self.classes, f"{self.source}: the column of labels")
        numbers = {name: number for number, name in enumerate(self.classes)} | {None: -1}
        return [torch.tensor([numbers[label] for label in labels]) for labels in given]

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "points"):
            return
        self.points, self.held_out = self.load()
        self.batch_size = min(self.batch_size, len(self.points))
        self.shift, self.scale = torch.zeros(self.shape), torch.ones(self.shape)

    def train_dataloader(self) -> Batches:
        return Batches(self.points, self.batch_size, self.seed, self._step, self.known_labels)


class Text(TextData):
    """A file of sentences, a random part of them held out; or those of a second file.

    A column is named by its number from 1, or by the name that the first header line gives it.

    Args:
        path: of the file, UTF-8.
        shape, words, held_out, batch_size, seed: as in `TextData`.
        label_column: of a file with tabs; an empty cell is no label. None: no sentence has one.
        text_column: the sentence's; None: the last of the others, of a file without labels the whole line.
        header: lines at the top that are no sentences.
        held_out_path: a file of the same form, which is held out instead of a share.
        labels, label_draw: the labels that training may see, see `Known`.
    """

    def __init__(
        self,
        path: str,
        shape: Sequence[int],
        words: int = 5_000,
        label_column: int | str | None = None,
        text_column: int | str | None = None,
        header: int = 0,
        held_out: float = 0.1,
        held_out_path: str | None = None,
        batch_size: int = 64,
        seed: int = 0,
        labels: int | float | None = None,
        label_draw: LabelDraw = "balanced",
    ):
        super().__init__(shape, words, held_out, batch_size, seed)
        for name, column in (("label_column", label_column), ("text_column", text_column)):
            if isinstance(column, int) and column < 1:
                raise ValueError(f"{name} counts from 1, got {column}")
            if isinstance(column, str) and header < 1:
                raise ValueError(
                    f"{name}={column} is a name, and there is no line with names: give header=1, or a number"
                )
        if header < 0:
            raise ValueError(f"header must be a number of lines, at least 0, got {header}")
        if label_column is not None and label_column == text_column:
            raise ValueError(f"label_column and text_column must be two columns, got {label_column} for both")
        self.path, self.held_out_path, self.header = path, held_out_path, header
        self.label_column, self.text_column = label_column, text_column
        self.known = Known(labels, label_draw)

    @property
    def source(self) -> str:
        return self.path

    @property
    def has(self) -> frozenset[str]:
        return frozenset() if self.label_column is None else frozenset({"labels"})

    def sentences(self) -> tuple[Sentences, Sentences | None]:
        return self._read(self.path), self._read(self.held_out_path) if self.held_out_path else None

    def _read(self, path: str) -> Sentences:
        lines = read_lines(path)
        if self.label_column is None and self.text_column is None:
            return Sentences([w for line in lines[self.header :] if (w := words_of(line))])
        names = lines[0].split("\t") if self.header else []
        label, text = (
            _column(column, names, path) if column is not None else None
            for column in (self.label_column, self.text_column)
        )
        least = max(2 if text is None else text + 1, (label or 0) + 1)  # columns
        words, labels = [], []
        for number, line in enumerate(lines[self.header :], self.header + 1):
            if not line.strip():
                continue
            cells = line.split("\t")
            if len(cells) < least:
                cut = number == len(lines)
                raise InputError(
                    f"{path}: line {number} has {len(cells)} column{'s' * (len(cells) != 1)}, expected at "
                    f"least {least}, apart by tabs: "
                    + ("the file seems cut short, get all of it" if cut else "mend it, or name other columns")
                )
            others = [cell for place, cell in enumerate(cells) if place != label]
            if said := words_of(others[-1] if text is None else cells[text]):
                words.append(said)
                labels.append(None if label is None else cells[label].strip() or None)
        return Sentences(words, labels if label is not None else None)


def _column(column: int | str, names: Sequence[str], path: str) -> int:
    """Its place from 0."""
    if isinstance(column, int):
        return column - 1
    if column not in names:
        raise InputError(
            f"{path} has no column {column!r}, its first line names {', '.join(names)}: give one of these, "
            "or a number from 1"
        )
    return names.index(column)


def read_lines(path: str) -> list[str]:
    """The lines of a text.

    Raises:
        InputError: there is no such file, it is empty, or a line is no text.
    """
    file, wanted = Path(path), "give a text file, one sentence a line"
    if file.is_dir():
        raise InputError(f"{path} is a folder: {wanted}")
    if not file.is_file():
        raise InputError(f"{path} does not exist (looked in {Path.cwd()}): {wanted}")
    raw = file.read_bytes()
    if not raw.strip():
        raise InputError(f"{path} is an empty file: {wanted}")
    found = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")  # the mark that some editors begin a file with
    lines = []
    for number, line in enumerate(found[:-1] if not found[-1] else found, 1):
        try:
            lines.append(line.decode().rstrip("\r"))
        except UnicodeDecodeError as error:
            if number == len(found) and error.reason == "unexpected end of data":
                raise InputError(
                    f"{path} ends in the middle of a letter, in line {number}: it is cut short, get all of it"
                ) from error
            raise InputError(
                f"{path}: line {number} is no text, its byte {error.start + 1} is not UTF-8: save the file "
                "as UTF-8"
            ) from error
        if "\0" in lines[-1]:
            raise InputError(f"{path}: line {number} is no text, it holds a zero byte: {wanted}")
    return lines
