"""Classes of which few labels are known: one energy over a symbol y and a vector z, and a generator of z.

    p(y, z) ∝ exp(f_y(z)) N(z; 0, I),   so that   U(z) = −log Σ_y exp(f_y(z)),   p(y | z) = softmax(f(z))_y

It is LEBM, whose prior's energy is U, and every point teaches it by its marginal. In the same moves

    the prior             descends besides   w · CE(f(z(x)), y) over labelled x  −  λ I(z; y)
    the inference         descends besides   the same two

with z(x) the centre of what is inferred of x and I(z; y) the information that a latent has of its symbol. The
loss of each side is one sum: of two losses in turns an optimizer as Adam forgets the weights, and an energy
that the labels move faster than its own chains can follow runs away together with the inference. With one
symbol the terms and their gradients are 0, and it is LEBM.

An f of straight lines, f_y(z) = b_y·z + c_y, makes p(z) a mixture of normals N(b_y, I): chains find each
class, so that f may learn fast, and samples of a class are of it. A deep f must learn slowly, and the latents
of a class then go where no chain of p(z) is.

Reference: Semi-supervised Learning by Latent Space Energy-Based Model of Symbol-Vector Coupling (Pang et al.,
2020), https://arxiv.org/abs/2010.09359; Latent Space Energy-Based Model of Symbol-Vector Coupling for Text
Generation and Classification (Pang & Wu, 2021), https://arxiv.org/abs/2108.11556.
"""

from collections.abc import Sequence

import torch
from torch import nn

from energy_gan.energies.base import stated
from energy_gan.generators.base import Generator
from energy_gan.inference.base import Inference
from energy_gan.inference.per_image import LatentMemory
from energy_gan.inference.symbols import Information, LatentClasses, centre
from energy_gan.methods.base import Learned
from energy_gan.methods.fit_together import check_known, check_symbols
from energy_gan.methods.latent_ebm import LatentEBM
from energy_gan.methods.phases import Objective
from energy_gan.methods.players import Terms
from energy_gan.negatives.base import NegativeSampler
from energy_gan.objectives import cross_entropy, maximum_likelihood
from energy_gan.optim.learns import Learns
from energy_gan.shapes import Batch, Latents


class SymbolVector(LatentEBM):
    """A generator whose prior is an energy of classes, and how its latents are inferred.

    Args:
        shape, …, together, seed: as in `LatentEBM`. The energy of the generator's prior has classes, f.
        cross_entropy: w, the weight of the labelled points' cross-entropy, not negative.
        information: λ and its rise, and the law that the classes are drawn to.
    """

    def __init__(
        self,
        shape: Sequence[int],
        generator: Generator,
        generator_learns: Learns,
        inference: Inference,
        information: Information,
        inference_learns: Learns | None = None,
        prior_learns: Learns | None = None,
        negatives: NegativeSampler | None = None,
        objective: Objective = maximum_likelihood,
        memory: LatentMemory | None = None,
        together: bool = False,
        cross_entropy: float = 200.0,
        seed: int = 0,
    ):
        super().__init__(
            shape, generator, generator_learns, inference, inference_learns, prior_learns, negatives,
            objective, memory, together, seed,
        )  # fmt: skip
        self.cross_entropy, self.information = cross_entropy, information
        self.n_classes = check_symbols(self)

    @property
    def classes(self) -> nn.Module:
        """f, from latents to logits."""
        return stated(self.generator.prior.energy, "classes")

    def on_fit_start(self) -> None:
        data = self.trainer.datamodule
        check_known(self, data)
        self.information.take(data.known_labels, self.n_classes)
        super().on_fit_start()

    def prior_terms(self, batch: Batch, latent: Latents) -> Terms:
        """The two phases, and what the symbols add."""
        with torch.no_grad():
            centres = self.labelled_centres(batch)
        symbols = {**self.symbol_terms(latent), **self.label_terms(centres, batch)}
        return {**super().prior_terms(batch, latent), **{f"prior_{k}": v for k, v in symbols.items()}}

    def inference_terms(self, batch: Batch, latent: Latents) -> Terms:
        """What its network learns, and what the symbols add."""
        terms = self.inference.learning_terms(self.generator, batch.x, latent, self.symbol_terms)
        return {**terms, **self.label_terms(self.labelled_centres(batch), batch)}

    def symbol_terms(self, latent: Latents) -> Terms:
        """−λ I(z; y)."""
        information = self.information(self.classes(latent))
        self.report({"symbol_information": information})
        return {"symbols": -self.information.weight * information}

    def labelled_centres(self, batch: Batch) -> Latents:
        return centre(self.inference, self.generator, (batch.labelled or batch).x)

    def label_terms(self, centres: Latents, batch: Batch) -> Terms:
        """The weighted cross-entropy of the labelled points."""
        labels = (batch.labelled or batch).labels
        if labels is None:
            return {}
        found = cross_entropy(self.classes(centres), labels)
        self.report({"label_cross_entropy": found})
        return {"labelled": self.cross_entropy * found}

    @property
    def learned(self) -> Learned:
        classes = LatentClasses(self.classes, self.generator, self.inference)
        return super().learned._replace(classes=classes)
