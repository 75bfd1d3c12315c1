"""Files of large image sets, few images in the true layout."""

import pickle

import numpy as np
from PIL import Image


def write_cifar10(root, n=5):
    """Six batches of n images of noise: the folder and the pixels."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (6, n, 3072), np.uint8)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for i, name in enumerate(names):
        batch = {b"batch_label": name.encode(), b"labels": [i, 1, 2, 3, 9][:n], b"data": pixels[i]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder, pixels


def write_celeba(root, n=12):
    """CelebA's text files and images: a band of 10 pixels around 108×108 that the crop takes away."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(1, n + 1)]
    parts = [0] * (n - 5) + [1, 1, 2, 2, 2]
    for i, name in enumerate(names):
        pixels = np.full((218, 178, 3), 255, np.uint8)
        pixels[55:163, 35:143] = (10 * i, 100, 0)
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name, quality=95)
    lines = [f"{name} {part}" for name, part in zip(names, parts, strict=True)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    for name, columns in (("attr", 40), ("bbox", 4), ("landmarks_align", 10)):
        head = f"{n}\n{' '.join(f'c{i}' for i in range(columns))}\n"
        body = "".join(f"{name} {' -1' * columns}\n" for name in names)
        (folder / f"list_{name}_celeba.txt").write_text(head + body)
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(names)))
    return folder
