"""The model behind a simulated screen, and what is true of it.

Log-expression around each gene's baseline follows a linear structural model,

    x = B x + e,   e ~ N(0, D),   so that   x = A e,   A = (I − B)⁻¹.

A guide cuts its targets T off from their regulators and holds them `clamp` below their baseline,
with their own noise left: x_T = e_T − clamp. The other genes follow by A_T A_TT⁻¹ (x_T − (A e)_T):
for one target j, by the relative effect A_j / A_jj. Counts are negative binomial with mean

    library size · softmax(baseline + batch shift + x).

The truth for scoring effects is not A_j / A_jj, which normalisation and logarithm distort, but
what they make of it: the expected change of log1p(1e4 · x / s), estimated from many draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from anndata import AnnData

TARGET_SUM = 1e4
"""Counts to which a cell is scaled before the logarithm."""

BLOCK = 1000
"""Cells drawn at a time: bounds the memory, and is part of what a seed means."""

RECIPROCITY = 0.85
"""Share of a module's edges that run both ways."""

NEGATIVE_SHARE = 0.3
"""Share of the module genes that move against their module."""

CROSSTALK_WEIGHT, PASSIVE_WEIGHT = 0.3, 0.6
"""Mean size of a direct effect between modules and on passive genes."""


@dataclass(frozen=True)
class Network:
    """The structural model x = B x + e, e ~ N(0, diag(noise²)).

    Attributes
    ----------
    B
        Genes × genes, B[i, j] the direct effect of gene j on gene i; spectral radius below 1.
    noise
        (genes,) standard deviations of e.
    module
        (genes,) number of each gene's module, -1 where it has none.
    """

    B: np.ndarray
    noise: np.ndarray
    module: np.ndarray

    @property
    def total_effects(self) -> np.ndarray:
        """A = (I − B)⁻¹, genes × genes."""
        return np.linalg.inv(np.eye(len(self.B)) - self.B)

    @property
    def precision(self) -> np.ndarray:
        """Θ = (I − B)ᵀ D⁻¹ (I − B), genes × genes: inverse covariance of x in control cells."""
        residual = (np.eye(len(self.B)) - self.B) / self.noise[:, None]
        return residual.T @ residual


def draw_network(
    rng: np.random.Generator,
    genes: int,
    modules: int,
    module_share: float,
    partners: float,
    coupling: float,
    crosstalk: int,
    latent_noise: float,
) -> Network:
    """Draw a sparse, stable network of modules; arguments as in `simulate_screen`.

    The blocks of the modules decide the spectral radius of B, since the edges between modules
    and to passive genes close no cycle: scaling the blocks keeps the whole stable.
    """
    order = rng.permutation(genes)
    active, passive = np.split(order, [round(genes * module_share)])
    B = np.zeros((genes, genes))
    module = np.full(genes, -1)
    for k in range(modules):
        own, upstream = active[k::modules], active[module[active] >= 0]
        module[own] = k
        block = _module_block(rng, len(own), partners)
        # Modules differ in how strongly they amplify; the first one sets the scale.
        radius = coupling * (rng.uniform(0.85, 1) if k else 1)
        B[np.ix_(own, own)] = block * (radius / np.abs(np.linalg.eigvals(block)).max())
        if k:
            sources, sinks = rng.choice(upstream, crosstalk), rng.choice(own, crosstalk)
            B[sinks, sources] = CROSSTALK_WEIGHT * _weights(rng, crosstalk)
    B[passive, rng.choice(active, len(passive))] = PASSIVE_WEIGHT * _weights(rng, len(passive))
    sign = np.where(rng.random(genes) < NEGATIVE_SHARE, -1, 1)
    noise = latent_noise * rng.uniform(0.7, 1.3, genes)
    return Network(B * np.outer(sign, sign), noise, module)


def _module_block(rng: np.random.Generator, size: int, partners: float) -> np.ndarray:
    """Direct effects within a module: a ring, so that it is connected, and random chords."""
    ring = [(i, (i + 1) % size) for i in range(size)]
    linked = {frozenset(pair) for pair in ring}
    others = [pair for pair in combinations(range(size), 2) if frozenset(pair) not in linked]
    chords = rng.permutation(len(others))[: max(round(size * partners / 2) - size, 0)]
    block = np.zeros((size, size))
    for number, (i, j) in enumerate(ring + [others[c] for c in chords]):
        forth, back = _weights(rng, 1) * rng.uniform(0.8, 1.2, 2)
        # The first edge is reciprocal in any case: a block without a cycle has no scale.
        kept = 2 if number == 0 or rng.random() < RECIPROCITY else rng.integers(2)
        block[i, j] = forth if kept != 0 else 0
        block[j, i] = back if kept != 1 else 0
    return block


def _weights(rng: np.random.Generator, number: int) -> np.ndarray:
    return rng.uniform(0.5, 1.5, number)


@dataclass(frozen=True)
class Expression:
    """How the latent states of cells become counts.

    Attributes
    ----------
    baseline
        (genes,) log-expression of a control cell, up to a constant that the softmax removes.
    depth
        Mean library size, counts.
    depth_spread
        Standard deviation of log library size, natural logarithm.
    dispersion
        φ in variance = mean + φ · mean², beyond what the latent noise adds.
    """

    baseline: np.ndarray
    depth: float
    depth_spread: float
    dispersion: float

    def draw_nuisance(self, rng: np.random.Generator, cells: int) -> np.ndarray:
        """Draw library sizes times gamma noise, cells × genes, whatever the cells' states."""
        log_size = self.depth_spread * rng.standard_normal(cells) - self.depth_spread**2 / 2
        gamma = rng.standard_gamma(1 / self.dispersion, (cells, len(self.baseline)))
        return gamma * (self.depth * self.dispersion * np.exp(log_size))[:, None]

    def draw_counts(
        self, rng: np.random.Generator, states: np.ndarray, nuisance: np.ndarray
    ) -> np.ndarray:
        """Draw counts, cells × genes, given states around the baseline and the nuisance."""
        rates = np.exp(self.baseline + states)
        rates *= nuisance / rates.sum(axis=1, keepdims=True)
        return rng.poisson(rates)


@dataclass(frozen=True)
class Perturbation:
    """One label of the screen, control included, with its guides.

    Attributes
    ----------
    label
        Control, a gene, or two genes joined by ``+``.
    targets
        (k,) indices of the target genes, in the order of the label; k = 0 for control.
    guides
        Names of the guides or guide pairs.
    clamps
        (guides, k) lowering of each target, natural logarithm.
    abundances
        (guides,) how common each guide is in the pool; expected cells are proportional to it.
    """

    label: str
    targets: np.ndarray
    guides: tuple[str, ...]
    clamps: np.ndarray
    abundances: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """(guides,) probability of each guide among the cells of this perturbation."""
        return self.abundances / self.abundances.sum()


def clamp_response(A: np.ndarray, targets: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return the response of every gene when the targets are moved and held.

    Moving takes the shift u = A_TT⁻¹ change of the targets' equations, which moves all by A_T u.

    Parameters
    ----------
    A
        Genes × genes total effects (I − B)⁻¹.
    targets
        (k,) indices T.
    change
        (..., k) how far each target ends from where it was.

    Returns
    -------
    numpy.ndarray
        (..., genes); equals `change` at the targets.
    """
    return change @ np.linalg.solve(A[np.ix_(targets, targets)].T, A[:, targets].T)


def perturb(
    states: np.ndarray, noise: np.ndarray, A: np.ndarray, targets: np.ndarray, clamps: np.ndarray
) -> np.ndarray:
    """Return what control states x = A e become under x_T = e_T − clamp; cells × genes.

    Parameters
    ----------
    states, noise
        Cells × genes, x and e.
    A
        Genes × genes total effects.
    targets
        (k,) indices T.
    clamps
        (cells, k) lowering of the targets in each cell.
    """
    change = noise[:, targets] - clamps - states[:, targets]
    return states + clamp_response(A, targets, change)


def log_normalise(counts: np.ndarray) -> np.ndarray:
    """Return log1p(1e4 · x / s), s the row sum; an empty cell stays at 0."""
    sizes = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.log1p(counts * (TARGET_SUM / sizes))


def true_effects(
    rng: np.random.Generator,
    network: Network,
    expression: Expression,
    library: Sequence[Perturbation],
    draws: int,
    genes: pd.Index,
) -> AnnData:
    """Estimate the expected change of log1p(1e4 · x / s) that each perturbation makes.

    Every draw is one cell's luck (e, library size, gamma noise; no batch), lived through once as
    control and once under each perturbation with one of its guides. The differences are
    independent between draws and vary less than those of unrelated cells would, so their mean
    has the standard error sd / √draws.

    Parameters
    ----------
    rng
        Stream of its own.
    network, expression
        The model.
    library
        Perturbations without control.
    draws
        Number of draws per perturbation, at least 2.
    genes
        Gene names.

    Returns
    -------
    AnnData
        Perturbations × genes: X the effect; layers ``se`` (Monte-Carlo standard error) and
        ``linear`` (latent response to the mean clamp); obs ``clamp`` (mean lowering of the
        targets, natural logarithm) and ``draws``; var ``module`` and ``baseline``.
    """
    A = network.total_effects
    total = np.zeros((len(library), len(genes)))
    squares = np.zeros_like(total)
    for start in range(0, draws, BLOCK):
        cells = min(BLOCK, draws - start)
        noise = network.noise * rng.standard_normal((cells, len(genes)))
        states = noise @ A.T
        nuisance = expression.draw_nuisance(rng, cells)
        control = log_normalise(expression.draw_counts(rng, states, nuisance))
        for row, one in enumerate(library):
            clamps = one.clamps[rng.choice(len(one.guides), cells, p=one.shares)]
            perturbed = perturb(states, noise, A, one.targets, clamps)
            change = log_normalise(expression.draw_counts(rng, perturbed, nuisance)) - control
            total[row] += change.sum(axis=0)
            squares[row] += np.square(change, out=change).sum(axis=0)
    mean = total / draws
    variance = np.maximum(squares / draws - mean**2, 0) * draws / (draws - 1)
    mean_clamps = [one.shares @ one.clamps for one in library]
    linear = [
        clamp_response(A, one.targets, -clamp)
        for one, clamp in zip(library, mean_clamps, strict=True)
    ]
    return AnnData(
        X=mean,
        obs=pd.DataFrame(
            {"clamp": [clamp.mean() for clamp in mean_clamps], "draws": draws},
            index=pd.Index([one.label for one in library], name="perturbation"),
        ),
        var=pd.DataFrame({"module": network.module, "baseline": expression.baseline}, index=genes),
        layers={"se": np.sqrt(variance / draws), "linear": np.array(linear)},
    )


def true_network(network: Network, genes: pd.Index) -> pd.DataFrame:
    """List the gene pairs that the network connects.

    Returns
    -------
    pandas.DataFrame
        ``gene_a``, ``gene_b`` (in the order of `genes`), ``precision`` = 1 where the pair is in
        the support of Θ, ``skeleton`` = 1 where B has an edge in either direction, else 0; only
        pairs with a 1. Pairs with a common target are in Θ without an edge between them.
    """
    a, b = np.triu_indices(len(genes), k=1)
    # Where no product contributes, sums of exact zeros are exact zeros: no tolerance needed.
    precision = network.precision[a, b] != 0
    skeleton = (network.B[a, b] != 0) | (network.B[b, a] != 0)
    kept = precision | skeleton
    return pd.DataFrame(
        {
            "gene_a": genes[a[kept]],
            "gene_b": genes[b[kept]],
            "precision": precision[kept].astype(int),
            "skeleton": skeleton[kept].astype(int),
        }
    )
