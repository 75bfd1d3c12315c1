"""Inception: the network of the published Fréchet distances. It needs torch-fidelity's weights."""

import logging
import urllib.request
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from energy_gan.errors import InputError
from energy_gan.metrics.features import FeatureNetwork, Images

URL_TIMEOUT = 10  # seconds until a network counts as absent


class Inception(FeatureNetwork):
    """The 2048 numbers below the logits of the Inception-v3 that published Fréchet distances use.

    Images are brought to 8 bits, grey ones to three equal channels, and resized by the network itself.

    Reference: GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium
    (Heusel et al., 2017), https://arxiv.org/abs/1706.08500; weights and resizing by torch-fidelity.

    Args:
        weights: torch-fidelity's file of them, see `inception_or_none`.

    Raises:
        InputError: the file is missing, damaged or holds the weights of another network.
    """

    name = "inception"
    dimension = 2048

    def __init__(self, weights: str | Path):
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        if not Path(weights).is_file():
            raise InputError(f"weights={weights} does not exist: give torch-fidelity's {_weights_name()}")
        remedy = f"delete it, or put the file of {_weights_url()} in its place"
        try:
            torch.load(weights, map_location="cpu", weights_only=True)  # nothing but tensors may be in it
        except Exception as error:  # torch raises whatever the damaged bytes lead to
            raise InputError(f"{weights} is damaged or holds no weights: {remedy}") from error
        try:
            self.network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights))
        except (RuntimeError, TypeError) as error:
            raise InputError(f"{weights} holds the weights of another network: {remedy}") from error

    def forward(self, images: Images) -> Float[Tensor, "B D"]:
        if images.shape[1] not in (1, 3):
            raise ValueError(f"images must have 1 or 3 channels, got {images.shape[1]}")
        raw = (images.clamp(0, 1) * 255).round().to(torch.uint8)
        return self.network(raw.expand(-1, 3, -1, -1))[0]


def inception_or_none(weights: str | None = None) -> Inception | None:
    """Inception, or None with one warning in a process that says which file belongs where.

    Args:
        weights: the file; if None it is looked for in torch.hub's folder of checkpoints, and else
            downloaded to it, where there is a network.

    Raises:
        InputError: a file is named or found, but is not what it should be.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError:
        _warn_once("no Inception features: install torch-fidelity with `pip install 'energy_gan[images]'`")
        return None
    if weights is not None:
        return Inception(weights)
    path = Path(torch.hub.get_dir()) / "checkpoints" / _weights_name()
    if not path.is_file() and not _downloaded(_weights_url(), path):
        _warn_once(
            f"no Inception features, their weights could not be downloaded: get {_weights_url()} on a "
            f"machine with a network and put {path.name} into {path.parent}"
        )
        return None
    return Inception(path)


def _weights_url() -> str:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return URL_INCEPTION_V3


def _weights_name() -> str:
    return _weights_url().rpartition("/")[2]


def _downloaded(url: str, path: Path) -> bool:
    try:
        urllib.request.urlopen(url, timeout=URL_TIMEOUT).close()  # torch would wait for ever
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = path.stem.rpartition("-")[2]  # the name ends in the first digits of the file's SHA-256
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest)
    except (OSError, RuntimeError):
        return False
    return True


@cache
@rank_zero_only
def _warn_once(text: str) -> None:
    logging.getLogger(__name__).warning("warning: %s", text)
