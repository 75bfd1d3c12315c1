"""Sentences as rows of numbers and back, files as they come, and what is wrong with them in one line."""

import pytest
import torch

from energy_gan.data.python_topics import PythonTopics
from energy_gan.data.text import Text
from energy_gan.errors import InputError
from energy_gan.run.compose import compose
from energy_gan.run.run import Run
from energy_gan.vocabulary import END, UNKNOWN, Vocabulary, is_said, words_of


def written(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def read(path, **settings):
    data = Text(path, [5], **settings)
    data.setup()
    return data


def test_words_are_numbered_by_how_common_they_are_and_come_back():
    given = [words_of(s) for s in ("The cat's tail, it is.", "the <unk> is the cat's naïve-looking tail")]
    assert given[0] == ["the", "cat's", "tail", ",", "it", "is", "."]
    assert given[1][1] == "<unk>"
    whole = Vocabulary.of(given, 100)
    assert whole.words[:3] == ("<end>", "<unk>", "the")
    assert whole.decode(whole.encode(given, 8)) == [" ".join(words) for words in given]
    assert Vocabulary.from_line(whole.in_one_line).words == whole.words
    few = Vocabulary.of(given, 4)
    assert len(few) == 4
    assert few.decode(few.encode(given[:1], 3)) == ["the cat's <unk>"]
    assert is_said(torch.tensor([[3, END, 4], [2, 2, 2]])).tolist() == [[True, True, False], [True] * 3]


def test_a_file_without_labels_is_a_sentence_a_line(tmp_path):
    data = read(written(tmp_path / "a.txt", "one two", "", *["two three\tfour"] * 9), held_out=0.2)
    assert (len(data.points), len(data.held_out), data.labels, data.has) == (8, 2, None, frozenset())
    assert sorted(data.vocabulary.decode(data.points))[-1] == "two three four"
    (batch,) = (b for b, _ in zip(data.train_dataloader(), range(1), strict=False))
    assert batch.labels is None
    assert torch.equal(batch.x, data.points[batch.index])


def test_labels_are_of_the_column_named_or_numbered(tmp_path):
    rows = ["b\tone two", "a\ttwo one", "\tthree", "b\tone"]
    numbered = read(written(tmp_path / "a.tsv", *rows), label_column=1)
    named = written(tmp_path / "b.tsv", "Kind\tText", "string\tstring", *rows)
    named = read(named, label_column="Kind", text_column="Text", header=2)
    assert numbered.classes == named.classes == ["a", "b"]
    behind = written(tmp_path / "c.tsv", *("\t".join(row.split("\t")[::-1]) for row in rows))
    assert torch.equal(read(behind, label_column=2).points, numbered.points)
    assert torch.equal(numbered.points, named.points)
    labels = torch.cat([named.labels, named.held_out_labels]).tolist()
    words = torch.cat([named.points, named.held_out]).bool().sum(1).tolist()
    assert sorted(zip(labels, words, strict=True)) == [(-1, 1), (0, 2), (1, 1), (1, 2)]


def test_a_second_file_is_held_out_and_its_words_are_not_learned(tmp_path):
    path = written(tmp_path / "a.txt", "one two", "two three")
    data = read(path, held_out_path=written(tmp_path / "b.txt", "one four"))
    assert data.vocabulary.decode(data.held_out) == ["one <unk>"]
    assert data.held_out[0, 1] == UNKNOWN


def test_python_s_own_help_is_a_text():
    data = PythonTopics([20])
    data.setup()
    assert len(data.points) > 1_000
    assert len(data.vocabulary) == 2_000
    assert (data.points == UNKNOWN).float().mean() < 0.1


BAD = {
    "": "is an empty file",
    "\n \n": "is an empty file",
    "one\n": "has 1 sentence to train on",
    "one\none\none\n": "are made of one word, 'one',",
    b"one two\nthr\xffee\n": "line 2 is no text, its byte 4 is not UTF-8",
    b"one two\nna\xc3": "ends in the middle of a letter, in line 2: it is cut short",
    "one\ntwo\0three\n": "line 2 is no text, it holds a zero byte",
}


@pytest.mark.parametrize(("content", "said"), BAD.items())
def test_a_bad_file_is_one_line_before_training(content, said, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=f"a.txt.*{said}") as refused:
        Run(compose(["data=text", f"data.path={path}", "run_dir=run"]))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("lines", "settings", "said"),
    [
        (["one two", "a\tb"], {"label_column": 1}, "line 1 has 1 column, expected at least 2"),
        (["a\tb", "a\tb", "a"], {"label_column": 1}, "line 3 has 1 column.* the file seems cut short"),
        (["A\tB", "a\tb"], {"label_column": "C", "header": 1}, "no column 'C', its first line names A, B"),
        (["a\tb"] * 3, {"label_column": 3}, "line 1 has 2 columns, expected at least 3"),
    ],
)
def test_a_column_that_is_not_there_is_named(lines, settings, said, tmp_path):
    with pytest.raises(InputError, match=said):
        read(written(tmp_path / "a.tsv", *lines), **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label_column": 0}, "label_column counts from 1"),
        ({"label_column": "C"}, "label_column=C is a name, and there is no line with names"),
        ({"label_column": 1, "text_column": 1}, "must be two columns"),
        ({"words": 3}, "words must be at least 4"),
        ({"held_out": 1.0}, "held_out must be a share"),
        ({"shape": [3, 3]}, "shape must be one number"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Text(**{"path": "a", "shape": [5]} | settings)
    for path, said in (("nowhere", "does not exist"), (".", "is a folder")):
        with pytest.raises(InputError, match=said):
            read(path)
