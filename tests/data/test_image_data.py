"""Image sets: decoded once, whatever happens meanwhile; read as their authors laid them out."""

import json
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import struct
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from image_files import write_celeba, write_cifar10
from lightning import LightningModule, Trainer
from PIL import Image
from torch.utils.data._utils.worker import ManagerWatchdog

from energy_gan.data import cache, images
from energy_gan.data.cache import decode_once
from energy_gan.data.celeba import CelebA
from energy_gan.data.cifar10 import CIFAR10
from energy_gan.data.digits import Digits
from energy_gan.data.folder import Folder, find_images
from energy_gan.data.images import read_image
from energy_gan.data.lsun import LSUN
from energy_gan.data.mnist import MNIST, FashionMNIST
from energy_gan.data.source import ArraySource, Source
from energy_gan.errors import InputError
from energy_gan.run.build import build, check
from energy_gan.run.compose import compose

FORK = multiprocessing.get_context("fork")
SHAPE = (3, 8, 8)
IMAGE_SETS = [
    "digits", "mnist", "fashion_mnist", "kmnist", "stacked_mnist", "cifar10", "celeba", "lsun_bedroom",
    "folder",
]  # fmt: skip
Usage = namedtuple("Usage", "total used free")


class Noise(Source):
    """Image i is noise seeded with i; the bad ones raise."""

    kind, split = "noise", "train"

    def __init__(self, n=300, bad=(), pause=0.0, crop=1, labels=None):
        self.n, self.bad, self.pause, self.crop, self.labels = n, set(bad), pause, crop, labels

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        time.sleep(self.pause)
        if index in self.bad:
            raise OSError("broken data stream")
        return np.random.default_rng([self.crop, index]).integers(0, 256, SHAPE, np.uint8)

    def facts(self):
        return {"crop": self.crop}


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(cache, "CHUNK", 16)


def decode(source, folder="cache", **how):
    return decode_once(source, Path(folder), SHAPE, **how)


def in_a_process(function, *arguments, **options):
    process = FORK.Process(target=function, args=arguments, kwargs=options)
    process.start()
    return process


# --- the cache -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_the_array_holds_every_image_in_order(workers):
    before = torch.get_rng_state()
    decoded = decode(Noise(600), workers=workers)
    assert (decoded.images == np.stack([Noise()[i] for i in range(600)])).all()
    assert decoded.built
    assert torch.equal(before, torch.get_rng_state())
    again = decode(Noise(600))
    assert not again.built
    assert again.sha256 == decoded.sha256
    assert sorted(f.suffix for f in Path("cache").iterdir()) == [".json", ".lock", ".npy"]


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_random_moments_it_ends_with_the_same_checksum(workers, small_chunks):
    source = Noise(480, bad={5, 100, 479}, pause=0.0015)
    undisturbed = decode(source, "whole", on_error="skip")
    draws, kills, went_on = random.Random(workers), 0, 0
    while kills < 5:
        process = in_a_process(decode, source, "killed", workers=workers, on_error="skip")
        process.join(draws.uniform(0.05, 0.3))
        if not process.is_alive():
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
        journal = next(Path("killed").glob("*.journal"), None)
        went_on += bool(journal and len(journal.read_bytes().splitlines()) > 1)
    assert kills >= 2, "the build must be slow enough to be killed"
    assert went_on, "some build must have been killed in the middle"
    decoded = decode(source, "killed", on_error="skip")
    assert decoded.sha256 == undisturbed.sha256
    assert decoded.skipped == undisturbed.skipped
    assert (decoded.images == undisturbed.images).all()


def test_workers_end_with_a_build_that_is_killed(monkeypatch):
    """Also those that torch leaves behind, because their parent was dead before they first looked."""
    monkeypatch.setattr(ManagerWatchdog, "is_alive", lambda self: True)

    class Known(Noise):
        def __getitem__(self, index):
            Path(f"worker_{os.getpid()}").touch()
            return super().__getitem__(index)

    process = in_a_process(decode, Known(3 * cache.CHUNK, pause=0.01), workers=2)
    while len(workers := list(Path().glob("worker_*"))) < 2:
        assert process.is_alive()
        time.sleep(0.01)
    process.kill()
    process.join()
    left, until = {int(worker.name.split("_")[1]) for worker in workers}, time.monotonic() + 20
    while left and time.monotonic() < until:
        left = {worker for worker in left if is_alive(worker)}
        time.sleep(0.1)
    assert not left


def is_alive(process):
    """A process that has ended may still be listed, as a zombie, until somebody asks how."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("after", [False, True])
def test_killed_while_files_are_moved_it_ends_with_the_same_checksum(step, after, small_chunks, monkeypatch):
    """An array of another crop is there already; no reader ever takes the one for the other."""
    old, new = Noise(40, crop=1), Noise(40, crop=2)
    wanted = decode(new, "whole").sha256
    decode(old)

    def die_at_step():
        count = iter(range(99))

        def deadly(method):
            def wrapped(*args, **kwargs):
                mine = next(count) == step
                if mine and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                method(*args, **kwargs)
                if mine:
                    os.kill(os.getpid(), signal.SIGKILL)

            return wrapped

        for name in ("unlink", "replace", "write_text"):
            monkeypatch.setattr(Path, name, deadly(getattr(Path, name)))
        decode(new)

    process = in_a_process(die_at_step)
    process.join()
    assert process.exitcode == -signal.SIGKILL, "there are as many steps"
    for source in (old, new):
        found = cache._Place(Path("cache"), source, SHAPE).read()
        assert found is None or (found[0][3] == source[3]).all()
    decoded = decode(new)
    assert decoded.sha256 == wanted
    assert (decoded.images[7] == new[7]).all()


def damage_row(part, journal):
    with part.open("r+b") as file:
        file.seek(128 + 20 * 192)  # in the second chunk of three
        file.write(b"\0\1\2\3")


def tear_line(part, journal):
    journal.write_bytes(journal.read_bytes()[:-9])


def lose_rows(part, journal):
    os.truncate(part, 128 + 40 * 192)


def add_rows(part, journal):
    with part.open("ab") as file:
        file.write(b"x" * 100_000)


def other_source(part, journal):
    journal.write_bytes(journal.read_bytes().replace(b'"crop": 1', b'"crop": 3'))


@pytest.mark.parametrize("damage", [damage_row, tear_line, lose_rows, add_rows, other_source])
def test_a_damaged_part_is_decoded_again_from_the_damage_on(damage, small_chunks):
    wanted = decode(Noise(80), "whole").sha256
    with pytest.raises(InputError, match="image 48"):
        decode(Noise(80, bad={48}))
    part, journal = next(Path("cache").glob("*.part.npy")), next(Path("cache").glob("*.journal"))
    assert len(journal.read_bytes().splitlines()) == 4  # its head and three chunks
    damage(part, journal)
    decoded = decode(Noise(80))
    assert decoded.sha256 == wanted
    assert decoded.file.stat().st_size == 128 + decoded.images.nbytes


def test_going_on_does_not_decode_what_is_decoded(small_chunks):
    with pytest.raises(InputError):
        decode(Noise(80, bad={48}))
    decoded = decode(Noise(80, bad=range(48)))  # these would stop it now
    assert decoded.sha256 == decode(Noise(80), "whole").sha256


def test_two_processes_build_once(small_chunks):
    queue = FORK.Queue()

    def both():
        queue.put(decode(Noise(200, pause=0.001))[3:])

    processes = [in_a_process(both) for _ in range(2)]
    (sha, _, first), (other, _, second) = (queue.get(timeout=20) for _ in processes)
    for process in processes:
        process.join()
    assert sha == other == decode(Noise(200), "alone").sha256
    assert {first, second} == {True, False}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda array, manifest: os.truncate(array, array.stat().st_size - 1),
        lambda array, manifest: array.write_bytes(b""),
        lambda array, manifest: array.unlink(),
        lambda array, manifest: np.save(array, np.load(array)[:-1]),
        lambda array, manifest: np.save(array, np.load(array).astype(np.int16)),
        lambda array, manifest: manifest.write_text("{"),
        lambda array, manifest: manifest.write_text("[]"),
        lambda array, manifest: manifest.write_text(
            json.dumps(json.loads(manifest.read_text()) | {"format": 0})
        ),
    ],
)
def test_an_array_that_does_not_fit_its_manifest_is_rebuilt(spoil):
    first = decode(Noise(30))
    spoil(first.file, first.file.with_suffix(".json"))
    again = decode(Noise(30))
    assert again.built
    assert again.sha256 == json.loads(again.file.with_suffix(".json").read_text())["sha256"]
    assert (again.images[29] == Noise()[29]).all()


def test_another_source_is_never_taken_for_this_one():
    first = decode(Noise(30, crop=1))
    for other in (Noise(30, crop=2), Noise(31, crop=2)):
        decoded = decode(other)
        assert decoded.built
        assert decoded.file == first.file
        assert (decoded.images == np.stack([other[i] for i in range(len(other))])).all()
    # who has the first array open keeps it
    assert (first.images[3] == Noise(crop=1)[3]).all()


def test_an_array_replaced_while_it_is_opened_is_not_taken(monkeypatch):
    """Both crops have the same shape, so only the manifests tell them apart."""
    old, new, load = Noise(30, crop=1), Noise(30, crop=2), np.load
    decode(old)

    def overtaken(*args, **kwargs):
        monkeypatch.setattr(np, "load", load)
        decode(new)
        return load(*args, **kwargs)

    monkeypatch.setattr(np, "load", overtaken)
    assert cache._Place(Path("cache"), old, SHAPE).read() is None
    assert (decode(new).images[3] == new[3]).all()


def test_a_bad_file_stops_the_build_or_is_left_out():
    source = Noise(20, bad={0, 7}, labels=np.arange(20))
    with pytest.raises(InputError, match=r"noise train image 0 .*broken data stream.*data.on_error=skip"):
        decode(source)
    decoded = decode(source, on_error="skip")
    good = [i for i in range(20) if i not in source.bad]
    assert (decoded.images == np.stack([source[i] for i in good])).all()
    assert decoded.labels.tolist() == good
    assert decoded.skipped == [f"noise train image {i}: broken data stream" for i in (0, 7)]
    with pytest.raises(InputError, match="on_error=skip"):  # the array is there, but not whole
        decode(source)
    with pytest.raises(InputError, match="none of 3 images can be decoded"):
        decode(Noise(3, bad=range(3)), "empty", on_error="skip")


def test_a_disk_too_small_is_seen_before_anything_is_written(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**12, 0, 3_000_000 * 192 - 1))
    with pytest.raises(InputError, match=r"549\.3 MiB and .*new/cache has 549\.3 MiB free.*data.cache="):
        decode(Noise(3_000_000), "new/cache")
    assert not Path("new").exists()
    decode(Noise(10), "new/cache")


def test_a_cache_folder_that_is_a_file():
    Path("cache").write_text("mine")
    with pytest.raises(InputError, match=r"data\.cache=cache/deeper: .* is a file"):
        decode(Noise(10), "cache/deeper")
    assert Path("cache").read_text() == "mine"


def test_three_million_images_need_no_memory():
    """A map that might be written to, though privately, would have to fit into memory as a whole."""
    n, source, folder = 3_033_042, Noise(3_033_042), Path("cache")
    place = cache._Place(folder, source, (3, 64, 64))
    folder.mkdir()
    with place.array.open("wb") as file:  # a file with a hole of 37 GB
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (n, 3, 64, 64)}
        )
        file.truncate(file.tell() + n * 3 * 64 * 64)
    place.manifest.write_text(json.dumps(place.about | {"count": n, "sha256": "", "skipped": []}))
    decoded = decode_once(source, folder, (3, 64, 64))
    assert not decoded.built
    points = images._tensor(decoded.images)
    assert len(points) == n
    assert points[torch.tensor([0, n - 1])].sum() == 0


# --- what training sees ----------------------------------------------------------------------------------


def digits(**given):
    data = Digits(**given)
    data.setup()
    return data


def test_digits_are_in_the_units_that_they_say():
    data = digits()
    assert data.points.shape == (1437, 1, 8, 8)
    assert data.held_out.shape == (360, 1, 8, 8)
    assert data.points.dtype == data.held_out.dtype == torch.uint8
    assert (data.points.min(), data.points.max()) == (0, 255)
    assert data.shift.shape == data.scale.shape == (1, 8, 8)
    assert data.classes == [str(i) for i in range(10)]
    counts = torch.bincount(data.held_out_labels)
    assert counts.min() >= 34  # of each class alike
    x = data.pixels(data.points)
    assert (x.min(), x.max()) == (0, 1)
    u = data.standardise(data.points)
    assert (u.min(), u.max()) == (-1, 1)
    assert u.dtype == torch.float32
    assert torch.equal(u, data.standardise(x))
    assert torch.equal(u, (x - data.shift) / data.scale)


def test_the_split_is_the_same_for_every_seed_and_the_order_is_not():
    one, other = digits(seed=1), digits(seed=2)
    assert torch.equal(one.points, other.points)
    first, second = next(iter(one.train_dataloader()))[0], next(iter(other.train_dataloader()))[0]
    assert not torch.equal(first, second)


def test_the_cache_changes_nothing():
    memory, disk = digits(), digits(cache="cache")
    assert disk.decoded["train"].file.is_file()
    assert memory.decoded["train"].sha256 == disk.decoded["train"].sha256
    assert torch.equal(memory.points, disk.points)
    assert torch.equal(memory.held_out_labels, disk.held_out_labels)
    batches = [iter(data.train_dataloader()) for data in (memory, disk)]
    for _ in range(3):
        a, b = (next(each).x for each in batches)
        assert a.dtype == torch.uint8
        assert torch.equal(a, b)


class Watcher(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, _):
        self.seen.append(batch[0])
        return self.weight * batch[0].mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_training_gets_standardised_images():
    watcher, data = Watcher(), Digits(batch_size=32)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    Trainer(max_steps=3, accelerator="cpu", enable_model_summary=False, **quiet).fit(watcher, data)
    data.trainer = None  # from the first batch again
    expected = iter(data.train_dataloader())
    for u in watcher.seen:
        assert torch.equal(u, data.standardise(next(expected)[0]))


# --- the sets in their true layouts ----------------------------------------------------------------------


def write_idx(root, name, n_train=70, n_test=30):
    """The four files of a set in MNIST's format; images carry their number in their first pixels."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for part, n in (("train", n_train), ("t10k", n_test)):
        pictures = np.random.default_rng(n).integers(0, 256, (n, 28, 28), np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        head = struct.pack(">IIII", 0x803, n, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + pictures.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels.tobytes())
    return folder


def test_mnist(tmp_path, record_property):
    """The real files if ENERGY_GAN_DATA names their folder, small ones of the same layout if not."""
    root = Path(os.environ.get("ENERGY_GAN_DATA", tmp_path / "none"))
    real = (root / "MNIST/raw/train-images-idx3-ubyte").is_file()
    said = f"MNIST: {'the real files' if real else 'small files made in their layout'}"
    record_property("data", said)
    print(said)
    if not real:
        root = tmp_path / "data"
        write_idx(root, "MNIST")
    data = MNIST(str(root), download=False)
    data.setup()
    assert data.points.shape == ((60_000 if real else 70), 1, 28, 28)
    assert data.held_out.shape == ((10_000 if real else 30), 1, 28, 28)
    head = np.fromfile(root / "MNIST/raw/train-images-idx3-ubyte", np.uint8, offset=16, count=784 * 3)
    assert (data.points[:3].flatten().numpy() == head).all()
    assert data.labels[:5].tolist() == ([5, 0, 4, 1, 9] if real else [0, 1, 2, 3, 4])
    assert data.classes == [str(i) for i in range(10)]


def test_images_of_mnists_format_can_have_a_border(tmp_path):
    write_idx(tmp_path / "data", "FashionMNIST")
    plain, wide = (FashionMNIST(shape=[1, side, side], download=False) for side in (28, 32))
    plain.setup()
    wide.setup()
    assert torch.equal(wide.points[..., 2:-2, 2:-2], plain.points)
    assert wide.points.sum() == plain.points.sum()
    assert wide.classes[9] == "Ankle boot"


def test_damaged_idx_files_are_one_clear_line(tmp_path):
    folder = write_idx(tmp_path / "data", "MNIST")
    for name, spoiled in (
        ("train-images-idx3-ubyte", b"\0\0\x08"),
        ("train-labels-idx1-ubyte", struct.pack(">II", 0x801, 3) + b"\1\2\3"),
        ("train-labels-idx1-ubyte", struct.pack(">II", 0x801, 70) + b"\x0a" * 70),
    ):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(spoiled)
        with pytest.raises(InputError, match=r"the train files in .* are damaged"):
            MNIST(download=False).setup()
        (folder / name).write_bytes(before)
    MNIST(download=False).setup()


class Malice:
    def __reduce__(self):
        return os.mkdir, ("stolen",)


def test_cifar10(tmp_path):
    folder, pixels = write_cifar10(tmp_path / "data")
    data = CIFAR10(download=False)
    data.setup()
    assert data.points.shape == (25, 3, 32, 32)
    assert (data.points.flatten(1).numpy() == pixels[:5].reshape(25, -1)).all()
    assert (data.held_out.flatten(1).numpy() == pixels[5]).all()
    assert data.labels[::5].tolist() == [0, 1, 2, 3, 4]
    assert [data.classes[i] for i in data.held_out_labels] == ["dog", "automobile", "bird", "cat", "truck"]
    (folder / "data_batch_3").write_bytes(pickle.dumps({b"data": Malice()}))
    with pytest.raises(InputError, match=r"data_batch_3 is damaged or no batch of CIFAR-10 .*mkdir"):
        CIFAR10(download=False).setup()
    assert not Path("stolen").exists()


def test_celeba(tmp_path):
    folder = write_celeba(tmp_path / "data")
    data = CelebA(workers=2)
    data.setup()
    assert data.points.shape == (7, 3, 64, 64)
    assert data.held_out.shape == (3, 3, 64, 64)
    inner = data.points[..., 4:-4, 4:-4].float().mean((2, 3))
    expected = torch.tensor([[10.0 * i, 100, 0] for i in range(7)])
    assert (inner - expected).abs().max() < 4  # JPEG is not exact
    assert data.held_out[..., 8:-8, 8:-8].float().mean((2, 3))[:, 0].tolist() == pytest.approx(
        [90, 100, 110], abs=4
    )
    assert (data.points.float().mean((2, 3)) - expected).abs().max() < 8  # nothing of the white border
    wider = CelebA(crop=178)
    wider.setup()
    assert wider.decoded["train"].built
    assert wider.points.float().mean() > data.points.float().mean() + 50

    (folder / "img_align_celeba/000003.jpg").unlink()
    with pytest.raises(InputError, match=r"000003\.jpg cannot be decoded \(No such file or directory\)"):
        CelebA().setup()
    left = CelebA(on_error="skip")
    left.setup()
    assert len(left.points) == 6
    assert torch.equal(left.points, data.points[[0, 1, 3, 4, 5, 6]])
    (folder / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg\n")
    with pytest.raises(InputError, match=r"line 2 is '000002\.jpg', expected"):
        CelebA().setup()
    (folder / "list_eval_partition.txt").unlink()
    with pytest.raises(InputError, match=r"looked for list_eval_partition.txt in .*data/celeba;"):
        CelebA().setup()


def write_lsun(folder, colours, size):
    import lmdb

    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for i, colour in enumerate(colours):
            Image.new("RGB", size, colour).save(file := folder.parent / "one.webp", lossless=True)
            transaction.put(f"{i:040x}".encode(), file.read_bytes())
        transaction.put(b"f" * 40, b"no image")


def test_lsun(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    colours = [(i, 2 * i, 255 - i) for i in range(20)]
    write_lsun(root / "bedroom_train_lmdb", colours, (90, 70))
    write_lsun(root / "bedroom_val_lmdb", colours[:3], (70, 90))
    with pytest.raises(InputError, match=r"bedroom_train_lmdb, key f{40} cannot be decoded \(no image"):
        LSUN().setup()
    for workers in (0, 2):
        data = LSUN(shape=[3, 16, 16], cache=f"cache{workers}", workers=workers, on_error="skip")
        data.setup()
        assert data.points.shape == (20, 3, 16, 16)
        assert (data.points.permute(0, 2, 3, 1) == torch.tensor(colours)[:, None, None]).all()
        assert len(data.held_out) == 3
        assert len(data.decoded["held_out"].skipped) == 1
    file = root / "bedroom_train_lmdb/data.mdb"
    good = file.read_bytes()
    file.write_bytes(good[:8192] + b"\xab" * (len(good) - 8192))  # all but the two pages that are opened
    with pytest.raises(InputError, match=r"bedroom_train_lmdb is damaged or no lmdb \(mdb_cursor_get"):
        LSUN(cache="another").setup()
    file.write_bytes(good)
    (root / "bedroom_val_lmdb/data.mdb").write_bytes(b"x" * 9000)
    with pytest.raises(InputError, match="bedroom_val_lmdb is damaged or no lmdb"):
        LSUN().setup()


@pytest.fixture
def mixed(tmp_path):
    """A folder of images of every kind, with what is none among them."""
    root = tmp_path / "mine"
    for name in ("cats", "dogs10", "dogs9"):
        (root / name).mkdir(parents=True)
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 255
    half = np.dstack([red, np.full((20, 30), 51, np.uint8)])  # a fifth of red on white
    Image.fromarray(half).save(root / "cats/rgba.png")
    Image.fromarray(red).convert("P").save(root / "cats/palette.png")
    Image.fromarray(red[..., 0]).save(root / "cats/grey.PNG")
    deep = np.full((20, 30), 100 * 257, np.uint16)
    Image.fromarray(deep).save(root / "dogs9/sixteen.png")
    turned = np.zeros((30, 20, 3), np.uint8)
    turned[:15] = 200  # the upper half is bright; turned by 90° clockwise, the right half
    picture = Image.fromarray(turned)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(root / "dogs9/turned.png", exif=exif)
    for i in range(12):
        Image.new("CMYK" if i % 2 else "L", (8 + i, 9)).save(root / f"dogs10/{i}.tif")
    (root / "cats/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(file := root / "cats/cut.jpg")
    file.write_bytes(file.read_bytes()[:900])
    (root / "cats/notes.txt").write_text("none")
    (root / "cats/._grey.png").write_bytes(b"none")
    (root / ".thumbnails").mkdir()
    return root


def test_every_mode_is_read_right(mixed):
    def read(name, shape=(3, 20, 30), crop="centre"):
        return read_image(mixed / name, shape, crop)

    assert read("cats/rgba.png").mean((1, 2)).tolist() == [255, 204, 204]
    assert read("cats/palette.png").mean((1, 2)).tolist() == [255, 0, 0]
    assert (read("cats/grey.PNG") == 255).all()
    assert (read("dogs9/sixteen.png") == 100).all()
    assert (read("cats/palette.png", (1, 8, 8)) == 76).all()  # 0.299 · 255
    turned = read("dogs9/turned.png")
    assert (turned[..., 15:] == 200).all()
    assert (turned[..., :15] == 0).all()
    for bad in ("cats/broken.jpg", "cats/cut.jpg", "cats/notes.txt"):
        with pytest.raises((OSError, ValueError)):
            read(bad)


@pytest.mark.parametrize(("mode", "value"), [("F", 0.5), ("I", 70_000), ("I", -1)])
def test_numbers_of_unknown_range_are_refused(mode, value, tmp_path):
    Image.new(mode, (9, 9), value).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match="it holds"):
        read_image(tmp_path / "x.tif", (1, 8, 8), "centre")


def test_cropping_keeps_the_centre(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(file := tmp_path / "x.png")
    assert (read_image(file, (3, 5, 5), "centre") == 255).all()
    assert (read_image(file, (3, 10, 30), "none") == pixels.transpose(2, 0, 1)).all()
    assert (read_image(file, (3, 4, 4), 10) == 255).all()
    assert read_image(file, (1, 4, 8), "centre").shape == (1, 4, 8)
    with pytest.raises(ValueError, match=r"30×10 pixels, smaller than the crop of 11"):
        read_image(file, (3, 4, 4), 11)


def test_a_folder_of_everything(mixed, caplog):
    with pytest.raises(InputError, match=r"mine/cats/(broken|cut)\.jpg cannot be decoded .*on_error=skip"):
        Folder(str(mixed), [3, 8, 8], cache="cache").setup()
    data = Folder(str(mixed), [3, 8, 8], held_out=0.2, cache="cache", on_error="skip", workers=2)
    data.setup()
    skipped = [line for decoded in data.decoded.values() for line in decoded.skipped]
    assert sorted(Path(line.partition(":")[0]).name for line in skipped) == ["broken.jpg", "cut.jpg"]
    assert "cannot be decoded and are left out" in caplog.text
    assert len(data.points) + len(data.held_out) == 17
    assert data.classes == ["cats", "dogs9", "dogs10"]
    assert torch.bincount(torch.cat([data.labels, data.held_out_labels])).tolist() == [3, 2, 12]
    assert data.sources["train"].ignored == 3
    # in natural order, each image with its label
    names = [name for name in data.sources["train"].names if not name.endswith(".jpg")]
    for name, image, label in zip(names, data.points, data.labels, strict=True):
        assert (image.numpy() == read_image(mixed / name, (3, 8, 8), "centre")).all()
        assert data.classes[label] == name.partition("/")[0]
    numbers = [int(Path(n).stem) for n in data.sources["train"].names if n.startswith("dogs10")]
    assert numbers == sorted(numbers)


def test_more_images_move_none_between_the_parts(mixed):
    def part(split):
        return set(Folder(str(mixed), [3, 8, 8], held_out=0.3).source(split).names)

    before = part("train"), part("held_out")
    assert not before[0] & before[1]
    for i in range(30):
        Image.new("L", (9, 9)).save(mixed / f"cats/more{i}.png")
    after = part("train"), part("held_out")
    assert before[0] < after[0]
    assert before[1] <= after[1]


def test_a_folder_without_classes_and_one_that_changes(tmp_path):
    root = tmp_path / "flat"
    (root / "deeper").mkdir(parents=True)
    for i in range(6):
        Image.new("L", (9, 9), 10 * i).save(root / ("deeper" if i else ".") / f"{i}.png")
    (root / "deeper/up").symlink_to(root)
    names, _ = find_images(root)
    assert names == ["0.png", *(f"deeper/{i}.png" for i in range(1, 6))]
    data = Folder(str(root), [1, 8, 8], cache="cache")
    data.setup()
    assert data.labels is None
    assert data.classes is None
    assert len(data.held_out) >= 1
    victim = data.sources["train"].names[0]
    Image.new("L", (9, 9), 255).save(root / victim)
    again = Folder(str(root), [1, 8, 8], cache="cache")
    again.setup()
    assert (again.points[0] == 255).all()
    for i in range(1, 6):
        (root / f"deeper/{i}.png").unlink()
    with pytest.raises(InputError, match=r"holds 1 images and 0 other files .*at least 3"):
        Folder(str(root), [1, 8, 8]).setup()


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Folder("x", [2, 8, 8]), r"shape must be \[C, H, W\] with C 1"),
        (lambda: Folder("x", [3, 8]), "shape must be"),
        (lambda: Folder("x", [3, 3, 64]), "at least 4, got"),
        (lambda: Folder("x", [3, 8, 8], held_out=1.0), "held_out must be a share"),
        (lambda: Folder("x", [3, 8, 8], workers=-1), "workers must be 0 or more"),
        (lambda: Folder("x", [3, 8, 8], cache=None), "cache must be a folder"),
        (lambda: Folder("x", [3, 8, 8], batch_size=1), "batch_size must be at least 2"),
        (lambda: CelebA(crop=179), "crop must be 4 to 178"),
        (lambda: CelebA(shape=[3, 64, 32]), "shape must be a square"),
        (lambda: LSUN(category="../bedroom"), "category must be a name"),
        (lambda: MNIST(shape=[3, 28, 28]), r"shape must be \[1, 28, 28\] or \[1, 32, 32\]"),
        (lambda: CIFAR10(shape=[3, 64, 64]), r"shape must be \[3, 32, 32\]"),
        (lambda: Digits(shape=[1, 16, 16]), r"shape must be \[1, 8, 8\]"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_every_config_composes_checks_and_builds(name):
    node = compose([f"data={name}", "data.root=here"] if name == "folder" else [f"data={name}"])["data"]
    check({"data": node})
    data = build(node, "data")
    assert list(data.shape) == node["shape"]


@pytest.mark.parametrize("wrong", ["on_error=ignore", "crop=middle", "workers=two"])
def test_a_wrong_word_is_refused_by_name(wrong):
    key = wrong.partition("=")[0]
    node = compose(["data=folder", "data.root=here", f"data.{wrong}"])["data"]
    with pytest.raises(InputError, match=rf"data\.{key}=.* is of the wrong type"):
        check({"data": node})


@pytest.mark.parametrize(
    ("name", "files", "folder", "hint"),
    [
        ("mnist", "t10k-labels-idx1-ubyte", "data/MNIST/raw", "holds MNIST/raw"),
        ("fashion_mnist", "train-images-idx3-ubyte", "data/FashionMNIST/raw", "zalandoresearch"),
        ("kmnist", "train-images-idx3-ubyte", "data/KMNIST/raw", "rois-codh"),
        ("cifar10", "data_batch_1, ", "data/cifar-10-batches-py", "cs.toronto.edu"),
        ("celeba", "list_eval_partition.txt, img_align_celeba", "data/celeba", "mmlab"),
        ("lsun_bedroom", "data.mdb", "data/bedroom_train_lmdb", "download.py -c bedroom"),
    ],
)
def test_missing_data_say_what_where_and_how(name, files, folder, hint, tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    data = build(compose([f"data={name}"])["data"], "data")
    with pytest.raises(InputError) as error:
        data.setup()
    for part in (files, f"{tmp_path / folder};", hint, "data.root=FOLDER"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(tmp_path.iterdir()), "nothing is left behind"


def test_lsun_without_lmdb_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "data/bedroom_train_lmdb").mkdir(parents=True)
    (tmp_path / "data/bedroom_train_lmdb/data.mdb").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(InputError, match=r"pip install 'energy_gan\[images\]'"):
        LSUN().setup()


def test_the_door_builds_and_counts(open_door, mixed):
    given = ("data=folder", f"data.root={mixed}", "data.shape=[1,8,8]", "data.workers=0")
    status, _, errors = open_door("data", *given)
    assert status == 2
    assert errors.count("\n") == 1
    assert "data.on_error=skip" in errors
    status, output, _ = open_door("data", *given, "data.on_error=skip")
    assert status == 0
    for said in (
        "built data/cache/folder_mine_",
        "skipped          2",
        "cats/cut.jpg: ",
        "ignored          3",
    ):
        assert said in output
    status, output, _ = open_door("data", *given, "data.on_error=skip")
    assert "found data/cache/" in output
    assert "built" not in output
    status, _, errors = open_door("data", "data=two_spiral")
    assert status == 2
    assert "no image set" in errors


def test_sources_in_memory_are_known_by_content():
    x = np.zeros((4, *SHAPE), np.uint8)
    one = ArraySource("x", "train", x).describe()
    x[3, 0, 0, 0] = 1
    assert ArraySource("x", "train", x).describe() != one


@pytest.mark.parametrize(("greatest", "grey"), [(4095, None), (255, None), (4096, 16), (65535, 255), (0, 0)])
def test_twelve_bits_in_a_picture_of_sixteen_are_not_taken_for_darkness(tmp_path, greatest, grey):
    file = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), greatest, np.uint16)).save(file)
    if grey is not None:
        assert (read_image(file, (1, 8, 8), "centre") == grey).all()
        return
    with pytest.raises(
        ValueError, match=f"its 16-bit numbers end at {greatest}, .* scale them to 0 to 65535"
    ):
        read_image(file, (1, 8, 8), "centre")
