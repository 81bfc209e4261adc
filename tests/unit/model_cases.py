"""Small training sets, and the linear model done the slow and obvious way."""

import numpy as np
import pandas as pd

from lgem.prediction.codes import fit_codes
from lgem.prediction.folds import Experiment, Fold, training_set
from lgem.prediction.samples import Samples
from lgem.prediction.training import Training
from lgem.screen.effects import GroupStatistics
from lgem.screen.labels import CONTROL, Target, TargetIndex

GENES = [f"G{row}" for row in range(30)]
INDEX = TargetIndex(GENES)
SINGLES = ["G3", "G8", "G11", "G20", "G21", "G29"]
UNMEASURED = ["X1", "X2"]
# By the number of genes measured, of which there may be fewer or more than samples.
INDEX_OF = {genes: TargetIndex([f"G{row}" for row in range(genes)]) for genes in (7, 16, 30, 80)}


def training(perturbations=(*SINGLES, *UNMEASURED, "G3+G8"), seed=1):
    """Effects without any structure."""
    rng = np.random.default_rng(seed)
    control = rng.gamma(2.0, size=len(GENES))
    effects = 0.5 * rng.normal(size=(len(GENES), len(perturbations)))
    return Training(effects, control, list(perturbations), [INDEX.find(p) for p in perturbations])


def bilinear_screen(
    genes, perturbations, seed, mean=0.0, bilinear=1.0, noise=0.3, own=None, rank=2
):
    """Effects mean + L M Lᵀ + noise; the target's own change is `own` times its expression.

    Perturbation k acts on gene k. All genes are alike, and so are all perturbations.
    """
    rng = np.random.default_rng(seed)
    control = rng.gamma(2.0, size=genes)
    L, M = rng.normal(size=(genes, rank)), rng.normal(size=(rank, rank))
    effects = bilinear * L @ M @ L[:perturbations].T + noise * rng.normal(
        size=(genes, perturbations)
    )
    effects += mean * rng.normal(size=genes)[:, None]
    rows = np.arange(perturbations)
    if own is not None:
        effects[rows, rows] = own * control[rows] + 0.05 * rng.normal(size=perturbations)
    names = [f"G{k}" for k in rows]
    return Training(effects, control, names, [Target((int(k),)) for k in rows])


def sampled_statistics(genes, perturbations, batches, seed):
    """Groups of cells of perturbations and control, each in two or more of the batches.

    Effects have two dimensions that targets decide; every batch shifts all genes.
    """
    rng = np.random.default_rng(seed)
    L, M = rng.normal(size=(genes, 2)), rng.normal(size=(2, 2))
    control, shifts = 5 + rng.gamma(2.0, size=genes), 0.5 * rng.normal(size=(batches, genes))
    entries, means = [], []
    for name in (CONTROL, *perturbations):
        rows = [] if name == CONTROL else INDEX_OF[genes].find(name).rows or (rng.integers(genes),)
        effect = L @ M @ L[list(rows)].sum(axis=0)
        missing = rng.integers(batches) if name != CONTROL and batches > 2 else None
        for batch in range(batches):
            if batch != missing:
                entries.append((name, f"lane_{batch}", rng.integers(5, 60)))
                noise = 0.3 * rng.normal(size=genes)
                means.append(control + effect + shifts[batch] + noise)
    groups = pd.DataFrame(entries, columns=["perturbation", "batch", "n_cells"])
    return GroupStatistics(groups, np.array(means), rng.gamma(2.0, size=(len(groups), genes)))


def sampled_training(genes, perturbations, batches, seed=0):
    """A training set as a fold makes it: effects adjusted for batch, with their samples."""
    statistics = sampled_statistics(genes, perturbations, batches, seed)
    screen = Experiment(statistics, INDEX_OF[genes], ["batch"], strata=["batch"])
    return training_set(screen, Fold(1, 1, list(perturbations), []))[0]


def samples_of(samples, names):
    """The samples of control and of some perturbations, picked one by one."""
    kept = [k for k, name in enumerate(samples.perturbations) if name in (CONTROL, *names)]
    return Samples(
        np.array([samples.profiles[:, k] for k in kept]).T,
        np.array([samples.perturbations[k] for k in kept]),
        {factor: np.array([level[k] for k in kept]) for factor, level in samples.levels.items()},
        np.array([samples.cells[k] for k in kept]),
    )


def part_of(known, columns):
    """The same training set with some of its perturbations alone."""
    se = None if known.se is None else known.se[:, columns]
    names = [known.perturbations[k] for k in columns]
    return Training(
        known.effects[:, columns],
        known.control,
        names,
        [known.targets[k] for k in columns],
        known.own_scales,
        se,
        None if known.samples is None else samples_of(known.samples, names),
    )


def remaining(names, left_out):
    """The columns that may train: combinations of a gene that is left out singly go too."""
    single = {names[k] for k in left_out if "+" not in names[k]}
    return [
        k for k in range(len(names)) if k not in left_out and not single & set(names[k].split("+"))
    ]


def scores(X, dimensions):
    """Principal-component scores U S of a matrix as it is; signs do not matter to predictions."""
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    s = np.where(s > 1e-12 * s.max(), s, 0)
    return (U * s)[:, :dimensions]


def pooled(samples, perturbations):
    """Mean profiles of perturbations (genes × perturbations), cell by cell."""
    columns = []
    for name in perturbations:
        rows = [k for k, other in enumerate(samples.perturbations) if other == name]
        total = sum(samples.cells[k] * samples.profiles[:, k] for k in rows)
        columns.append(total / sum(samples.cells[k] for k in rows))
    return np.array(columns).T


def fixed_part_scores(forms, dimensions):
    """Scores V S of the genes in the fixed part K αᵀ = U S Vᵀ, written out."""
    return scores(forms.alpha @ forms.K.T, dimensions)


def gene_embedding(known, source, dimensions):
    """G (genes × d) in gene space."""
    if source.source == "pca":
        return scores(known.effects, dimensions)
    if source.source == "pca_unadjusted":
        return scores(pooled(known.samples, known.perturbations), dimensions)
    if source.source == "lmf":
        return fixed_part_scores(fit_codes(known.samples, source.forms), dimensions)
    if source.source == "pca_expression":
        profiles = np.column_stack([known.effects, np.zeros(len(known.control))])
        profiles = profiles + known.control[:, None]
        return scores(profiles - profiles.mean(axis=0), dimensions)
    if source.source == "identity":
        return np.eye(len(known.control))
    return source.values[:, :dimensions] if source.source == "random" else source.values


def solution(solver, R, G, P, penalty):
    """W by the formula of each solver, with everything written out."""
    if solver == "ridge":
        left = np.linalg.inv(G.T @ G + penalty * np.eye(G.shape[1]))
        right = np.linalg.inv(P.T @ P + penalty * np.eye(P.shape[1]))
        return left @ G.T @ R @ P @ right
    if solver == "tikhonov":
        A = np.kron(P, G)
        λ = penalty * np.sum(A**2) / A.shape[1]  # mean squared singular value of P ⊗ G
        vec = np.linalg.solve(A.T @ A + λ * np.eye(A.shape[1]), A.T @ R.ravel(order="F"))
        return vec.reshape(G.shape[1], P.shape[1], order="F")
    return np.linalg.pinv(G, rcond=1e-12) @ R @ np.linalg.pinv(P, rcond=1e-12).T


def slow_model(known, specification, parameters):
    """Refit everything in gene space; return what predicts an effect from a name and a target."""
    s, d, penalty = parameters.mean_weight, parameters.dimensions, parameters.penalty
    source = specification.perturbations
    bias = s * known.effects.mean(axis=1)
    pairs = list(zip(known.perturbations, known.targets, strict=True))
    columns = [k for k, pair in enumerate(pairs) if not source.why_not(*pair)]
    if not d or not columns:
        return lambda name, target: bias
    G = gene_embedding(known, specification.genes, d)
    lookup = scores(known.effects, d) if source.source == "pca" else G

    def embed(name, target):
        if source.source in ("target", "pca"):
            return sum(lookup[row] for row in target.rows)
        return source.vector(name, d)

    P = np.array([embed(*pairs[k]) for k in columns])
    GW = G @ solution(
        specification.solver, known.effects[:, columns] - bias[:, None], G, P, penalty
    )

    def predict(name, target):
        return bias if source.why_not(name, target) else bias + GW @ embed(name, target)

    return predict


def same_bytes(first, second):
    """Whether two sets of named arrays are the same to the last bit."""
    assert list(first) == list(second)
    return all(
        np.asarray(first[name]).tobytes() == np.asarray(second[name]).tobytes() for name in first
    )
