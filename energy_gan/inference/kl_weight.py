"""How much the KL of an encoder counts: less at first, and none of it below a few nats a number.

    weight · (Σⱼ max(free, KLⱼ) + tilt · E[U(z)]),   KLⱼ the mean over the batch of the j-th number's

Where a decoder can do without z, as one that says word after word, the full KL from the start makes the
encoder tell nothing. Free nats are of the KL to N(0, I): an encoder that follows an energy prior leaves them
behind, sinks to where U is low, whatever x, and tells nothing either. With tilt 0 it is a VAE's, and the
prior's energy learns the law of what it infers.

Reference: Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
https://arxiv.org/abs/1606.04934, equation 15, for the free nats; Cyclical Annealing Schedule (Fu et al.,
2019), https://arxiv.org/abs/1903.10145, for the weight.
"""

from energy_gan.nn import Scheduled
from energy_gan.shapes import Energies, Latents, Scalar


class KLWeight(Scheduled):
    """A weight that rises anew in each of several equal parts of training, and free nats.

    Args:
        free: nats of each latent number, the mean over the batch, that cost nothing.
        cycles: parts of training.
        zero: the share of a part in which the weight is 0.
        rise: the share in which it then rises in a straight line; for the rest it stays.
        most: the weight to which it rises.
        tilt: how much of the prior's energy the encoder descends, from 0 to 1.
    """

    def __init__(
        self,
        free: float = 0.0,
        cycles: int = 1,
        zero: float = 0.0,
        rise: float = 0.5,
        most: float = 1.0,
        tilt: float = 1.0,
    ):
        super().__init__()
        if not free >= 0 or not most > 0 or cycles < 1:
            raise ValueError(
                f"free must be at least 0, most above 0 and cycles at least 1, got {free}, {most} and "
                f"{cycles}"
            )
        if zero < 0 or rise < 0 or zero + rise > 1:
            raise ValueError(f"zero and rise must be shares that add up to 1 at most, got {zero} and {rise}")
        self.free, self.cycles, self.zero, self.rise, self.most = free, cycles, zero, rise, most
        if not 0 <= tilt <= 1:
            raise ValueError(f"tilt must be from 0 to 1, got {tilt}")
        self.tilt = tilt
        self.weight = most

    def at(self, progress: float) -> None:
        within = progress * self.cycles % 1 if progress < 1 else 1.0
        risen = (within - self.zero) / self.rise if self.rise else float(within >= self.zero)
        self.weight = self.most * min(1.0, max(0.0, risen))

    def forward(self, kl: Latents, tilt: Energies) -> Scalar:
        """Of the KL of each number of each latent, and of the U(z)."""
        return self.weight * (kl.mean(0).clamp(min=self.free).sum() + self.tilt * tilt.mean())
