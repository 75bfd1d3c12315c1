"""AG News: 120,000 titles and first sentences of news, in four classes."""

import csv
from collections.abc import Sequence
from pathlib import Path

from energy_gan.data.partly_labelled import Known, LabelDraw
from energy_gan.data.text import Sentences, TextData, read_lines
from energy_gan.errors import InputError
from energy_gan.vocabulary import words_of

CLASSES = ("World", "Sports", "Business", "Sci/Tech")


class AGNews(TextData):
    """The training part; the test part, 7,600, is held out.

    Reference: Character-level Convolutional Networks for Text Classification (Zhang, Zhao, LeCun, 2015),
    https://arxiv.org/abs/1509.01626

    Args:
        root: holds train.csv and test.csv, whose lines are "class","title","text", classes from 1.
        shape, words, batch_size, seed: as in `TextData`.
        labels, label_draw: the labels that training may see, see `Known`.
    """

    has = frozenset({"labels"})

    def __init__(
        self,
        root: str = "data/ag_news_csv",
        shape: Sequence[int] = (50,),
        words: int = 30_001,
        batch_size: int = 200,
        seed: int = 0,
        labels: int | float | None = None,
        label_draw: LabelDraw = "balanced",
    ):
        super().__init__(shape, words, 0.1, batch_size, seed)
        self.root, self.known = Path(root), Known(labels, label_draw)

    @property
    def source(self) -> str:
        return str(self.root)

    def sentences(self) -> tuple[Sentences, Sentences]:
        for name in ("train.csv", "test.csv"):
            if not (self.root / name).is_file():
                raise InputError(
                    f"AG News is not there: looked for {name} in {self.root.absolute()}: unpack "
                    "ag_news_csv.tgz there, or give its folder, data.root=FOLDER"
                )
        return _read(self.root / "train.csv"), _read(self.root / "test.csv")


def _read(file: Path) -> Sentences:
    words, labels = [], []
    for number, row in enumerate(csv.reader(read_lines(str(file))), 1):
        if len(row) != 3 or row[0] not in "1234" or not row[0]:
            expected = '"class","title","text", with a class from 1 to 4'
            raise InputError(f"{file}: line {number} is not {expected}: get it anew")
        words.append(words_of(f"{row[1]} {row[2]}"))
        labels.append(CLASSES[int(row[0]) - 1])
    return Sentences(words, labels)
