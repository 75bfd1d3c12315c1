"""Feature networks: what images are compared in. Two networks are never comparable.

Each has a `name`, which every number measured with it carries (`frechet_lenet`, `frechet_inception`),
a `dimension`, and maps images in [0, 1] to features of shape (B, dimension).

    classifier.py   a small LeNet trained in place on a labelled set: needs no download
    inception.py    the network of the published Fréchet distances: needs torch-fidelity's weights
"""

import hashlib
import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor, nn
from tqdm import tqdm

FOLDER = "data/features"
HASHED = 2**28  # numbers that a checksum reads, evenly spread

Images = Float[Tensor, "B C H W"]
RawImages = UInt8[Tensor, "_ C H W"]
Labels = Int64[Tensor, "_"]


class FeatureNetwork(nn.Module):
    """images in [0, 1] -> features (B, dimension)."""

    name: str
    dimension: int

    @property
    def fingerprint(self) -> str:
        """Changes with any weight: statistics measured with other weights are never taken for these."""
        digest = hashlib.sha256(self.name.encode())
        for key, value in self.state_dict().items():
            digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def as_images(x: Tensor, device: torch.device | None = None) -> Images:
    """Whatever is stored, uint8 or float in [0, 1], as float32 in [0, 1]."""
    x = x if device is None else x.to(device)
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def features_of(network: FeatureNetwork, images: Tensor, batch_size: int = 500) -> Iterator[Tensor]:
    """Features of any number of images, batch by batch, computed where the network lives."""
    device = next(network.parameters()).device
    steps = range(0, len(images), batch_size)
    bar = tqdm(steps, f"{network.name} features", leave=False, disable=None if len(steps) > 20 else True)
    for first in bar:
        with torch.no_grad():
            features = network(as_images(images[first : first + batch_size], device))
        yield features


def checksum(points: Shaped[Tensor, "_ *S"], labels: Labels | None = None) -> str:
    """Of a set's shape, labels and bytes, the latter of evenly spread points of over 2²⁸ numbers."""
    digest = hashlib.sha256(str((tuple(points.shape), labels is not None)).encode())
    if labels is not None:
        digest.update(labels.contiguous().numpy().tobytes())
    stride = math.ceil(points.numel() / HASHED) or 1
    for part in points[::stride].split(4096):
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
