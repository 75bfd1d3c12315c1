"""What each method is and when to take it, in some forty words, and its reference."""

WORDS = {
    "abp": (
        "Alternating back-propagation: each image keeps a latent, which a chain of Langevin moves under "
        "the posterior carries on from epoch to epoch, while the decoder regresses on it. No encoder, no "
        "energy. Take it for small sets where inference must need no second network.",
        "[Han et al., 2017](https://arxiv.org/abs/1606.08571)",
    ),
    "aligned": (
        "The default in the plane: an energy learns from its generator's samples, each with its exact "
        "weight, and the generator minimises both divergences to the energy. Energy, sampler and data end "
        "as one law. On images it is `noise_levels`.",
        "ours; the game is [Kim & Bengio, 2016](https://arxiv.org/abs/1606.03439)",
    ),
    "aligned_chains": (
        "`aligned` with negatives that are chains of the energy which persist and carry weights, and a "
        "recognition network that tells the generator's density. For points of many dimensions, where "
        "weights of single samples degenerate. Slower than `aligned`.",
        "ours",
    ),
    "cd": (
        "Contrastive divergence: negatives are a few moves away from the data. Fast and stable, and blind "
        "to whatever lies far from the data: the weights of separate modes and spurious ones stay as they "
        "came. A baseline, and a start for slower methods.",
        "[Hinton, 2002](https://doi.org/10.1162/089976602760128018)",
    ),
    "classifier": (
        "An ordinary classifier, trained by cross-entropy. It is here as the yardstick beside `jem` and "
        "`symbol_vector`: the same network without an energy. Take it when nothing but classes is asked "
        "for, and labels are many.",
        "the yardstick",
    ),
    "convergent": (
        "An energy by its own chains and nothing else, weighted after Jarzynski, with a rate that falls "
        "slowly: long chains from data and from noise then keep its law, and a run says by six tests "
        "whether they do. Take it where a density matters more than time.",
        "[Nijkamp et al., 2020](https://arxiv.org/abs/1903.12370)",
    ),
    "coop": (
        "Cooperative learning: the generator proposes, some Langevin moves on the energy revise, the "
        "energy learns from the revised samples and the generator to reproduce them from their latents. "
        "Good images in minutes; the energy is shaped by short chains, no density.",
        "[Xie et al., 2018](https://arxiv.org/abs/1609.09408)",
    ),
    "coop_weighted": (
        "`coop` in the plane with an energy that learns from weighted chains which persist, so that it is "
        "a density, while the generator still learns from revised proposals. Take it to see what short "
        "revisions cost: everything but the negatives is the same.",
        "ours",
    ),
    "critic": (
        "The default for images: the game of Kim and Bengio with a gradient penalty and an entropy by "
        "nearest neighbours. Good samples fast. The energy is a critic: it ranks images near the data, "
        "and its value is no log-density, which each run says.",
        "ours",
    ),
    "exact_likelihood": (
        "An energy of points in the plane, trained by its exact likelihood: log Z and its gradient by a "
        "grid. What an energy of this form can reach at all, without negatives of any kind. A yardstick, "
        "for two dimensions only.",
        "the yardstick",
    ),
    "fce": (
        "Flow contrastive estimation: a flow is first fitted by likelihood, then energy and flow play for "
        "one value, the energy as a classifier of data against flow, with log Z a weight that is learned. "
        "Both ends are explicit densities with exact samples.",
        "[Gao et al., 2020](https://arxiv.org/abs/1912.00589)",
    ),
    "flow": (
        "A normalising flow by maximum likelihood: splines for points, couplings of several scales for "
        "images. Exact density, exact samples, no game. The yardstick for every pair here, and the first "
        "thing to try when columns are few and rows many.",
        "[Durkan et al., 2019](https://arxiv.org/abs/1906.04032), "
        "[Dinh et al., 2017](https://arxiv.org/abs/1605.08803)",
    ),
    "gan": (
        "The non-saturating game of generator and discriminator with the R1 penalty, on the same networks "
        "as `critic`. It offers samples alone: the logit of its discriminator is no energy of a law. The "
        "yardstick for the samples of all others.",
        "[Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661)",
    ),
    "hypernetwork": (
        "A generator whose samples are the weights of classifiers, all of low loss, kept apart by an "
        "entropy. It is Eq. 13 with the loss as the energy of weights. Take it for an ensemble with "
        "uncertainty at the price of one training.",
        "[Deutsch et al., 2019](https://arxiv.org/abs/1905.02898)",
    ),
    "igebm": (
        "Langevin chains from a buffer of old samples, one in twenty begun anew from noise, short and "
        "with less noise than the theory asks for. Sharp images for its time; the chains' temperature is "
        "not that of the energy, so it is no density.",
        "[Du & Mordatch, 2019](https://arxiv.org/abs/1903.08689)",
    ),
    "improved_cd": (
        "`igebm` with the gradient that contrastive divergence drops, that of the last move, and the "
        "entropy of the samples by nearest neighbours; samples of the buffer are varied by augmentation. "
        "Steadier training; here the entropy changes little.",
        "[Du et al., 2021](https://arxiv.org/abs/2012.01316)",
    ),
    "jem": (
        "The logits of a classifier read as energies of image and class together: trained by cross- "
        "entropy and, on their logsumexp, by chains from a buffer. One network classifies and ranks "
        "images; it can diverge, which the watch notices.",
        "[Grathwohl et al., 2020](https://arxiv.org/abs/1912.03263)",
    ),
    "kim_bengio": (
        "The founding paper as it stands: the generator's samples are the energy's negatives, the energy "
        "guides the generator, an entropy of batch norm's scales keeps it from collapse. History and "
        "starting point; in the plane a hundred times farther off than `aligned`.",
        "[Kim & Bengio, 2016](https://arxiv.org/abs/1606.03439)",
    ),
    "lebm": (
        "A decoder whose prior is an energy of latents, both learned by chains: of the prior from "
        "persistent ones, of the posterior from an encoder's start. A few latents carry an expressive "
        "law, and samples gain over N(0, I) by the same decoder.",
        "[Pang et al., 2020](https://arxiv.org/abs/2006.08205)",
    ),
    "lebm_short_run": (
        "`lebm` as published: prior and posterior chains begin at noise each time and are short. Kept "
        "beside `lebm` so that the published numbers have a recipe; its prior is fitted to chains of one "
        "length and is no density.",
        "[Pang et al., 2020](https://arxiv.org/abs/2006.08205)",
    ),
    "meg": (
        "Maximum entropy generators: the game of Kim and Bengio where the entropy is a mutual information "
        "of latent and sample, told by a network, and the energy's gradient is penalised. Covers many "
        "modes; strong at anomalies, as on KDD Cup 99.",
        "[Kumar et al., 2019](https://arxiv.org/abs/1901.08508)",
    ),
    "multigrid": (
        "Images: an energy for each of several grids, from 1×1 up. Chains of few moves begin at the "
        "enlarged sample of the coarser grid, so they never walk far. Cheap, all classes in a minute, and "
        "hidden pixels are filled in.",
        "[Gao et al., 2018](https://arxiv.org/abs/1709.08868)",
    ),
    "multigrid_dilated": (
        "`multigrid` with a small dilated autoencoder before each enlargement, learned with the grids, "
        "whose output also serves as positives. What Malhotra's paper leaves open is settled on its page. "
        "Take it to compare: the claim is a smoother energy.",
        "Malhotra, *Towards More Effective Energy-based Deep Learning*",
    ),
    "noise_levels": (
        "An energy E(y, σ) over all levels of noise, learned by scores in y and in log σ together, so "
        "that its normaliser is known along the ladder; a generator of one pass is taught by it. The best "
        "samples of the house on MNIST.",
        "[Guth et al., 2025](https://arxiv.org/abs/2506.05310), and ours",
    ),
    "nt_ebm": (
        "A fitted flow is tilted by an energy, and chains run in the flow's latents, where they mix; "
        "pushed forward they are negatives and samples. A density that improves on its flow, with chains "
        "that cross between modes. Points so far.",
        "[Nijkamp et al., 2020](https://arxiv.org/abs/2006.06897)",
    ),
    "pcd": (
        "Persistent contrastive divergence: the chains of training never begin anew, so they come to "
        "where the energy is low and the data are not. As cheap as `cd` and far nearer to likelihood; "
        "with a rate too large the chains are left behind.",
        "[Tieleman, 2008](https://doi.org/10.1145/1390156.1390290)",
    ),
    "short_run": (
        "A hundred Langevin moves from uniform noise, the same at training and after: the energy is only "
        "the slope of a walk that is the generator, and inverts as one. Simple and steady. Its energy is "
        "no density; longer walks saturate.",
        "[Nijkamp et al., 2019](https://arxiv.org/abs/1904.09770)",
    ),
    "sri": (
        "Decoders of one to five layers of latents, learned with latents from a short run at a step size "
        "that minimises a variational bound, chosen again as training goes on. No encoder for any depth, and "
        "slower than `vae`; for points take `lebm`.",
        "[Nijkamp et al., 2019](https://arxiv.org/abs/1912.01909)",
    ),
    "stacked": (
        "The default for tables: mixtures of Gaussians and spline flows, fitted to all rows but a fold, "
        "which stops them and sets their shares. One density of known log Z with exact samples, above "
        "each of its members on every table tried.",
        "[Smyth & Wolpert, 1999](https://doi.org/10.1023/A:1007511322260)",
    ),
    "symbol_vector": (
        "Few labels, many points: one energy couples a class with a latent, so each unlabelled point "
        "teaches through the marginal and each label by cross-entropy. Classifies, and makes examples of "
        "a class. For tables, images and text with scarce labels.",
        "[Pang et al., 2020](https://arxiv.org/abs/2010.09359)",
    ),
    "tilted": (
        "Images with a little noise: a mixture of probabilistic PCA of known density, tilted by experts "
        "that learn by contrast with it, and beside it a generator taught by a critic. The energy is a "
        "density with a bracketed log Z; the generator follows another law.",
        "ours",
    ),
    "tilted_energy": (
        "The energy of `tilted` alone, without generator or critic: a mixture of probabilistic PCA times "
        "experts, learned by contrast. Take it for likelihoods of images, for anomaly scores, or as the "
        "quickest image energy here that is a density.",
        "ours",
    ),
    "triangle": (
        "The divergence triangle: an energy of pairs E(x, z), an encoder and a generator learn from each "
        "other's joint samples, and no chain runs at all. Samples, latents and a ranking in one; errors "
        "like those of `vae`, sharper samples.",
        "[Han et al., 2020](https://arxiv.org/abs/2006.06059)",
    ),
    "vae": (
        "A variational autoencoder with a standard Gaussian prior, on the same networks as the other "
        "models with latents. Fast and steady, with inference in one pass; samples are blurred. The "
        "yardstick of every model with latents here.",
        "[Kingma & Welling, 2013](https://arxiv.org/abs/1312.6114)",
    ),
}
