"""The sentences of Python's own help: real English that comes with every Python, nothing to download.

They are those of the interpreter that runs, so their number changes a little with its version.
"""

import re
from collections.abc import Sequence

from energy_gan.data.text import Sentences, TextData
from energy_gan.vocabulary import words_of

BREAK = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z“\"'(*])")
LEAST = 3  # words of a sentence
PROSE = re.compile(r"^ {0,3}(\* |\d+\. )?[A-Z].*[.!?:;]$", re.DOTALL)  # a paragraph, no code or heading


class PythonTopics(TextData):
    """What `help("TOPIC")` prints, sentence by sentence, without its code.

    Args:
        shape, words, held_out, batch_size, seed: as in `TextData`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        words: int = 2_000,
        held_out: float = 0.1,
        batch_size: int = 64,
        seed: int = 0,
    ):
        super().__init__(shape, words, held_out, batch_size, seed)

    @property
    def source(self) -> str:
        return "Python's help"

    def sentences(self) -> tuple[Sentences, None]:
        from pydoc_data.topics import topics  # half a megabyte: where it is asked for

        paragraphs = (p.rstrip() for name in sorted(topics) for p in topics[name].split("\n\n"))
        prose = (" ".join(p.split()) for p in paragraphs if PROSE.match(p))
        found = dict.fromkeys(s for p in prose for s in BREAK.split(p))  # each once, in their order
        return Sentences([words for s in found if len(words := words_of(s)) >= LEAST]), None
