"""Small training sets, and the linear model done the slow and obvious way."""

import numpy as np

from lgem.prediction.training import Training
from lgem.screen.labels import Target, TargetIndex

GENES = [f"G{row}" for row in range(30)]
INDEX = TargetIndex(GENES)
SINGLES = ["G3", "G8", "G11", "G20", "G21", "G29"]
UNMEASURED = ["X1", "X2"]


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


def part_of(known, columns):
    """The same training set with some of its perturbations alone."""
    se = None if known.se is None else known.se[:, columns]
    return Training(
        known.effects[:, columns],
        known.control,
        [known.perturbations[k] for k in columns],
        [known.targets[k] for k in columns],
        known.own_scales,
        se,
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


def gene_embedding(known, source, dimensions):
    """G (genes × d) in gene space."""
    if source.source == "pca":
        return scores(known.effects, dimensions)
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
    G = gene_embedding(known, specification.genes, d)
    lookup = scores(known.effects, d) if source.source == "pca" else G

    def embed(name, target):
        if source.source in ("target", "pca"):
            return sum(lookup[row] for row in target.rows)
        return source.vector(name, d)

    if not d or not columns:
        return lambda name, target: bias
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
