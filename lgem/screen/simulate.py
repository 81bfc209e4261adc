"""A pooled single-cell CRISPR screen with known truth, drawn from the model in `truth`.

Genes belong to modules: sparse, mostly reciprocal edges tie the genes of a module together, so that
genes which respond alike mostly act alike; without that no linear gene expression model can predict
an unseen perturbation. Modules drive one another without cycles. Passive genes listen to one module
gene each and act on nobody: perturbing them moves next to nothing else, as in life.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from lgem.errors import InputError
from lgem.screen.truth import (
    BLOCK,
    Expression,
    Network,
    Perturbation,
    draw_network,
    perturb,
    true_effects,
    true_network,
)

CONTROL = "non-targeting"
"""Label of the cells whose guides have no target."""

PASSIVE_ODDS = 0.25
"""How often a passive gene is chosen as a target, relative to a module gene."""

BASELINE_SPREAD = 0.9
"""Standard deviation over genes of the baseline log-expression, natural logarithm."""

ABUNDANCE_SPREAD = 0.35
"""Standard deviation over guides of their log-abundance in the pool, natural logarithm."""

STRONG_EFFICACY, WEAK_EFFICACY = 0.85, 0.2
"""Mean efficacy of guides against an ordinary target, and against one that is hard to reach."""

EFFICACY_SIZE = 20.0
"""a + b of the Beta(a, b) from which efficacies are drawn; larger is less varied."""


@dataclass(frozen=True)
class SimulatedScreen:
    """A screen as a user would bring it, and what a user never has.

    Attributes
    ----------
    cells
        Cells × genes, X raw counts (CSR, int32); obs ``perturbation``, ``guide``, ``batch``.
    effects
        Perturbations × genes, without control: see `lgem.screen.truth.true_effects`.
    network
        Pairs of connected genes: see `lgem.screen.truth.true_network`.
    """

    cells: AnnData
    effects: AnnData
    network: pd.DataFrame


def simulate_screen(
    *,
    seed: int,
    genes: int,
    modules: int,
    module_share: float,
    partners: float,
    coupling: float,
    crosstalk: int,
    latent_noise: float,
    perturbations: int,
    doubles: int,
    guides: int,
    knockdown: float,
    weak_share: float,
    control_guides: int,
    control_cells: int,
    cells_per_perturbation: int,
    batches: int,
    batch_shift: float,
    batch_imbalance: float,
    depth: float,
    depth_spread: float,
    dispersion: float,
    truth_draws: int,
) -> SimulatedScreen:
    """Simulate a pooled CRISPR screen and its truth; the same arguments give the same screen.

    Network, expression, guides, cells and truth draw from streams of their own: more draws for
    the truth leave every cell as it was, another library leaves the network as it was.

    Parameters
    ----------
    seed
        Non-negative seed.
    genes
        Number of measured genes.
    modules
        Number of modules.
    module_share
        Share of the genes that belong to modules; the others are passive.
    partners
        Mean number of direct partners of a gene within its module, at least 2.
    coupling
        Spectral radius of B in the strongest module, in (0, 1).
    crosstalk
        Number of edges into each module from those upstream of it.
    latent_noise
        Typical standard deviation of e, natural logarithm.
    perturbations
        Number of genes perturbed on their own.
    doubles
        Number of pairs among them that are also perturbed together; half of them, as far as
        there are as many, within a module.
    guides
        Guides per gene, and guide pairs per double.
    knockdown
        Lowering of a target at full efficacy, natural logarithm.
    weak_share
        Share of the targets whose guides hardly work.
    control_guides
        Number of non-targeting guides.
    control_cells
        Number of cells with a non-targeting guide.
    cells_per_perturbation
        Mean number of cells per perturbation, single or double.
    batches
        Number of batches.
    batch_shift
        Standard deviation of a batch's shift of a gene, natural logarithm.
    batch_imbalance
        Of each perturbation, shares of the batches are drawn from Dirichlet(1 / this); 0: a cell
        falls into each of them with the same probability, as cells of control always do.
    depth
        Mean number of counts per cell.
    depth_spread
        Standard deviation of log library size, natural logarithm.
    dispersion
        Negative-binomial φ > 0, variance = mean + φ · mean².
    truth_draws
        Draws per perturbation for the true effects, at least 2.

    Returns
    -------
    SimulatedScreen
        Cells, true effects and true network.

    Raises
    ------
    InputError
        Where arguments contradict one another.
    """
    arguments = dict(locals())
    _check(genes, modules, module_share, partners, perturbations, doubles)
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(5)]
    names = pd.Index([f"G{i:0{len(str(genes))}d}" for i in range(1, genes + 1)], name="gene")
    network = draw_network(
        streams[0], genes, modules, module_share, partners, coupling, crosstalk, latent_noise
    )
    baseline = BASELINE_SPREAD * streams[1].standard_normal(genes)
    shifts = batch_shift * streams[1].standard_normal((batches, genes))
    expression = Expression(baseline, depth, depth_spread, dispersion)
    control = Perturbation(
        label=CONTROL,
        targets=np.empty(0, int),
        guides=tuple(f"{CONTROL}_{i}" for i in range(1, control_guides + 1)),
        clamps=np.empty((control_guides, 0)),
        abundances=streams[2].lognormal(sigma=ABUNDANCE_SPREAD, size=control_guides),
    )
    library = draw_library(
        streams[2], names, network.module, perturbations, doubles, guides, knockdown, weak_share
    )
    pool = np.concatenate([one.abundances for one in library])
    sizes = np.concatenate(
        [
            streams[3].multinomial(control_cells, control.shares),
            streams[3].multinomial(cells_per_perturbation * len(library), pool / pool.sum()),
        ]
    )
    everyone = [control, *library]
    cells = _draw_cells(
        streams[3], network, expression, shifts, everyone, sizes, names, batch_imbalance
    )
    cells.uns["source"] = json.dumps({"simulated with": arguments})
    effects = true_effects(streams[4], network, expression, library, truth_draws, names)
    return SimulatedScreen(cells, effects, true_network(network, names))


def _check(
    genes: int,
    modules: int,
    module_share: float,
    partners: float,
    perturbations: int,
    doubles: int,
) -> None:
    smallest = round(genes * module_share) // modules
    if smallest < 3 or partners > smallest - 1:
        raise InputError(
            "simulate: modules",
            f"{modules} modules with as few as {smallest} genes, {partners} partners each",
            "modules of at least 3 genes, and more genes in a module than partners",
        )
    if perturbations > genes:
        raise InputError(
            "simulate: perturbations", str(perturbations), f"at most the {genes} genes"
        )
    pairs = perturbations * (perturbations - 1) // 2
    if doubles > pairs:
        raise InputError(
            "simulate: doubles",
            str(doubles),
            f"at most the {pairs} pairs of {perturbations} perturbed genes",
        )


def draw_library(
    rng: np.random.Generator,
    genes: pd.Index,
    module: np.ndarray,
    perturbations: int,
    doubles: int,
    guides: int,
    knockdown: float,
    weak_share: float,
) -> list[Perturbation]:
    """Draw targets, doubles and guides; arguments as in `simulate_screen`.

    Parameters
    ----------
    rng
        Stream of its own.
    genes
        Gene names.
    module
        (genes,) module of each gene.
    perturbations, doubles, guides, knockdown, weak_share
        See `simulate_screen`.

    Returns
    -------
    list of Perturbation
        Singles in the order of the genes, then doubles; without control.
    """
    odds = np.where(module >= 0, 1, PASSIVE_ODDS)
    targets = np.sort(rng.choice(len(genes), perturbations, replace=False, p=odds / odds.sum()))
    mean = np.where(rng.random(perturbations) < weak_share, WEAK_EFFICACY, STRONG_EFFICACY)
    efficacies = rng.beta(
        EFFICACY_SIZE * mean, EFFICACY_SIZE * (1 - mean), (guides, perturbations)
    ).T
    library = []
    pairs = _choose_pairs(rng, module[targets], doubles)
    for members in [(i,) for i in range(perturbations)] + pairs:
        chosen = targets[list(members)]
        library.append(
            Perturbation(
                label="+".join(genes[chosen]),
                targets=chosen,
                guides=tuple(
                    "+".join(f"{gene}_{k}" for gene in genes[chosen]) for k in range(1, guides + 1)
                ),
                clamps=knockdown * efficacies[list(members)].T,
                abundances=rng.lognormal(sigma=ABUNDANCE_SPREAD, size=guides),
            )
        )
    return library


def _choose_pairs(
    rng: np.random.Generator, module: np.ndarray, number: int
) -> list[tuple[int, ...]]:
    """Choose `number` pairs, half of them within a module, where additivity is least sure."""
    every = np.array(list(combinations(range(len(module)), 2)), dtype=int).reshape(-1, 2)
    pairs = rng.permutation(every)
    first, second = module[pairs].T
    within = (first == second) & (first >= 0)
    preferred = np.flatnonzero(within)[: number // 2]
    rest = np.setdiff1d(np.flatnonzero(~within), preferred)
    spare = np.setdiff1d(np.flatnonzero(within), preferred)
    chosen = np.concatenate([preferred, rest, spare])[:number]
    return sorted(tuple(int(i) for i in pair) for pair in pairs[chosen])


def _draw_cells(
    rng: np.random.Generator,
    network: Network,
    expression: Expression,
    shifts: np.ndarray,
    library: Sequence[Perturbation],
    sizes: np.ndarray,
    genes: pd.Index,
    imbalance: float,
) -> AnnData:
    """Draw the cells of all guides in random order.

    Parameters
    ----------
    rng
        Stream of its own.
    network, expression
        The model.
    shifts
        Batches × genes, added to the log-expression in the cells of a batch.
    library
        Perturbations, control included.
    sizes
        (all guides,) number of cells per guide, in the order of the library.
    genes
        Gene names.
    imbalance
        Of batches within perturbations.
    """
    A = network.total_effects
    of_guide = np.repeat(np.arange(len(library)), [len(one.guides) for one in library])
    number = np.concatenate([np.arange(len(one.guides)) for one in library])
    guide = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    batch = _draw_batches(rng, of_guide[guide], len(library), len(shifts), imbalance)
    blocks = []
    for start in range(0, len(guide), BLOCK):
        here = slice(start, start + BLOCK)
        noise = network.noise * rng.standard_normal((len(guide[here]), len(genes)))
        states = noise @ A.T
        for row in np.unique(of_guide[guide[here]]):
            rows = np.flatnonzero(of_guide[guide[here]] == row)
            clamps = library[row].clamps[number[guide[here][rows]]]
            states[rows] = perturb(states[rows], noise[rows], A, library[row].targets, clamps)
        nuisance = expression.draw_nuisance(rng, len(states))
        counts = expression.draw_counts(rng, states + shifts[batch[here]], nuisance)
        blocks.append(sparse.csr_matrix(counts.astype(np.int32)))
    labels = np.array([one.label for one in library])
    guides = np.concatenate([one.guides for one in library])
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(labels[of_guide[guide]]),
            "guide": pd.Categorical(guides[guide]),
            "batch": pd.Categorical([f"batch_{b + 1}" for b in batch]),
        },
        index=_barcodes(rng, batch),
    )
    return AnnData(X=sparse.vstack(blocks, format="csr"), obs=obs, var=pd.DataFrame(index=genes))


def _draw_batches(
    rng: np.random.Generator, owner: np.ndarray, owners: int, batches: int, imbalance: float
) -> np.ndarray:
    """Draw the batch of every cell (cells,); the first owner of cells, control, has even shares."""
    if not imbalance:
        return rng.integers(batches, size=len(owner))
    shares = rng.dirichlet(np.full(batches, 1 / imbalance), size=owners)
    shares[0] = 1 / batches
    ends = np.cumsum(shares, axis=1)[owner]
    return np.minimum((rng.random(len(owner))[:, None] > ends).sum(axis=1), batches - 1)


def _barcodes(rng: np.random.Generator, batch: np.ndarray) -> pd.Index:
    """Sixteen letters and the number of the batch, as sequencing pipelines write them."""
    codes = rng.choice(4**16, len(batch), replace=False)
    letters = np.array(list("ACGT"))[codes[:, None] // 4 ** np.arange(16) % 4]
    return pd.Index(
        [f"{''.join(word)}-{b + 1}" for word, b in zip(letters, batch, strict=True)],
        name="barcode",
    )
