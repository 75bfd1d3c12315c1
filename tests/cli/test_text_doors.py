"""The doors on a run of text: sentences in, sentences out, one line where that cannot be."""

import pytest
from conftest import QUICK

import energy_gan
from energy_gan.run.compose import compose, read_config
from energy_gan.run.run import Run

SAID = ["the cat sat .", "a dog ran", "the dog sat on a mat .", "a cat ran on", "the mat"]


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "text.txt").write_text("\n".join(SAID * 20))
    few = ["data.words=12", "data.shape=[5]", "method.generator.hidden=8", "method.generator.embedding=8"]
    few += [
        "trainer.max_steps=4",
        "callbacks.report.every_n_steps=2",
        "callbacks.report.draw_every_n_steps=4",
    ]
    few += ["method.negatives.memory.chains=64", "method.negatives.memory.moved=32"]
    few += ["method.generator.prior.chains.n_steps=3", "method.generator.prior.energy.features.hidden=[8]"]
    few += ["callbacks.report.n_samples=200", "callbacks.report.n_samples_during=100"]
    few += ["logger.wandb=null"]
    names = ["data=text", f"data.path={folder / 'text.txt'}", f"run_dir={folder / 'run'}"]
    run = Run(compose([*names, *QUICK, *few]))
    run.create()
    run.fit()
    return folder / "run"


def test_a_run_keeps_what_is_to_be_read(text_run):
    read = {file.stem for file in (text_run / "texts").glob("*.md")}
    between = {"sentences_between_samples", "sentences_between_held_out"}
    assert read == {"sentences", "reconstructions", *between}
    assert (text_run / "texts/sentences.md").read_text().startswith("- ")


def test_samples_are_lines(text_run, open_door):
    for name, more in (("a", []), ("b", []), ("cold", ["--temperature", "0"])):
        status, said, _ = open_door("sample", text_run, "--n", 20, "--out", f"{name}.txt", *more)
        assert (status, said.split(" ")[0]) == (0, "20")
    with open("a.txt") as a, open("b.txt") as b, open("cold.txt") as cold:  # noqa: PTH123
        lines = a.read().splitlines()
        assert len(lines) == 20
        assert lines == b.read().splitlines() != cold.read().splitlines()


def test_sentences_come_back_and_are_joined(text_run, open_door, tmp_path):
    (tmp_path / "mine.txt").write_text("the cat sat .\na dog ran\n")
    status, said, _ = open_door("reconstruct", text_run, "--input", "mine.txt")
    assert (status, said.startswith("2 sentences: ")) == (0, True)
    lines = (tmp_path / "reconstructions.txt").read_text().splitlines()
    assert lines[::2] == ["the cat sat .", "a dog ran"]
    assert all(line.startswith("    ") for line in lines[1::2])
    given = ("--columns", 3, "--out", "path.txt")
    assert open_door("interpolate", text_run, "--input", "mine.txt", *given)[0] == 0
    path = (tmp_path / "path.txt").read_text().splitlines()
    assert [path[0], path[2]] == [line.strip() for line in lines[1::2]]
    assert open_door("interpolate", text_run, "--rows", 2)[0] == 0
    assert open_door("detect", "--run", text_run, "--score", "mine.txt", "--rate", "0.2")[0] == 0


@pytest.mark.parametrize(
    ("door", "arguments", "said"),
    [
        (
            "energy",
            ["--input", "mine.txt"],
            "offers generator and inference and ranking, here it needs energy",
        ),
        ("sample", ["--out", "a.png"], "was trained on text and offers"),
        ("sample", ["--temperature", "-1"], "must be at least 0"),
        ("reconstruct", ["--input", "none.txt"], "none.txt does not exist"),
        ("interpolate", ["--input", "one.txt"], "has 1 line and a path has two ends"),
        ("interpolate", ["--cross-fade"], "--cross-fade is of images"),
    ],
)
def test_what_cannot_be_is_one_line(door, arguments, said, text_run, open_door, tmp_path):
    (tmp_path / "one.txt").write_text("a\n")
    status, _, errors = open_door(door, text_run, *arguments)
    assert (status, errors.count("\n")) == (2, 1), errors
    assert said in errors


def test_a_run_of_points_takes_no_text(finished_run, open_door, tmp_path):
    for door, arguments, said in (
        ("sample", ["--out", "a.txt"], "was trained on points"),
        ("sample", ["--temperature", "2"], "--temperature is of chains and there are none"),
        ("interpolate", [], "here it needs images or text"),
    ):
        status, _, errors = open_door(door, finished_run, *arguments)
        assert (status, errors.count("\n")) == (2, 1), errors
        assert said in errors


def test_a_model_that_is_saved_says_the_same(text_run, tmp_path):
    model = energy_gan.load(text_run)
    model.save(tmp_path / "kept")
    kept = energy_gan.load(tmp_path / "kept")
    assert kept.decode(kept.sample(20)) == model.decode(model.sample(20))
    assert read_config(tmp_path / "kept").keys() == read_config(text_run).keys()
