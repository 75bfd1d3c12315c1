"""How far two laws of the plane are apart, from the masses that they give to the cells of a grid.

    KL(P ‖ Q) = Σ_c P_c log(P_c / Q_c)        TV(P, Q) = ½ Σ_c |P_c − Q_c|

A law that is known by samples only has the shares n_c / N of its N samples as masses, and their
noise makes it look farther than it is. In KL, Miller and Madow's correction (K − 1) / 2N, with K the
number of occupied cells, takes most of this away: the law of four_spin, against 200,000 samples of
itself, comes out at 0.027 as it stands and 0.007 corrected (20,000: 0.194 and 0.075). In TV the noise
stays, Σ √(P / 2πN) or less, but it is summed over the blocks of the grid, which are few: 200,000
samples of a law are 0.01 to 0.03 from it.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from energy_gan.numerics.quadrature import Grid
from energy_gan.shapes import Points, Scalar


def kl_divergence(log_p: Float[Tensor, "N"], log_q: Float[Tensor, "N"]) -> Scalar:
    """Σ p (log p − log q), where a cell of mass p = 0 adds nothing, whatever q."""
    p = log_p.exp()
    return torch.where(p == 0, 0.0, p * (log_p - log_q)).sum()


def total_variation(log_p: Float[Tensor, "N"], log_q: Float[Tensor, "N"]) -> Scalar:
    """½ Σ |p − q|."""
    return (log_p.exp() - log_q.exp()).abs().sum() / 2


def block_divergence(grid: Grid, log_masses: Float[Tensor, "N"], samples: Float[Tensor, "n 2"]) -> Scalar:
    """KL(P ‖ Q) over the blocks of the grid, of the law P of the samples, with Miller and Madow's correction.

    Coarser than over the cells, whose masses it adds up, so that few samples tell it. Samples beyond the grid
    share a block of the least mass.
    """
    masses = grid.block_sums(log_masses.exp())
    cells = grid.locate(samples)
    counts = grid.blocks[cells[cells >= 0]].bincount(minlength=grid.n_blocks)
    counts = torch.cat([counts, (cells < 0).sum()[None]])
    log_q = torch.cat([masses, masses[masses > 0].min()[None]]).log()
    return corrected_kl(counts, log_q)


def corrected_kl(counts: Int[Tensor, "N"], log_q: Float[Tensor, "N"]) -> Scalar:
    """KL of the shares n_c / N from Q, less (K − 1) / 2N, with K the number of occupied cells."""
    seen, total = counts > 0, counts.sum()
    shares = counts[seen].double() / total
    return kl_divergence(shares.log(), log_q[seen]) - (seen.sum() - 1) / (2 * total)


class SampleDivergence(Metric):
    """KL(P ‖ Q) and TV(P, Q) of the law P of the samples from a law Q known by its masses.

        KL = Σ_c n_c/N log(n_c/N / Q_c) − (K − 1) / 2N,   TV = ½ Σ_b |n_b/N − Q_b|

    over the cells c, K of them occupied, and the blocks b. KL at the level of cells is a lower bound
    for a P that is sharper than they are.

    Samples beyond the grid, and NaN, are not dropped: they share one more cell. In KL it has the mass
    of the least likely cell of Q, so that one outlier does not make it infinite and a law that is all
    beyond is as far as can be told. In TV it has none.

    Reference: Note on the bias of information estimates (Miller, 1955).

    Args:
        log_masses: log Q of each cell of the grid, see `Grid.log_masses`.
    """

    counts: Tensor

    def __init__(self, grid: Grid, log_masses: Float[Tensor, "N"]):
        super().__init__()
        self.grid = grid
        self.register_buffer("log_masses", log_masses, persistent=False)
        self.add_state("counts", torch.zeros(len(grid) + 1, dtype=torch.long), dist_reduce_fx="sum")
        self.to(log_masses.device)

    def update(self, samples: Points) -> None:
        cells = self.grid.locate(samples) % (len(self.grid) + 1)  # beyond: −1 becomes the last
        self.counts += cells.bincount(minlength=len(self.counts))

    def compute(self) -> dict[str, Scalar]:
        return {"kl": self._kl(), "tv": self._tv()}

    def _kl(self) -> Scalar:
        return corrected_kl(self.counts, torch.cat([self.log_masses, self.log_masses.min()[None]]))

    def _tv(self) -> Scalar:
        shares = self.counts.double() / self.counts.sum()
        blocks = self.grid.block_sums(shares[:-1] - self.log_masses.exp())
        return (blocks.abs().sum() + shares[-1]) / 2
