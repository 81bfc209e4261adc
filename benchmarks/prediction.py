"""Speed of the prediction wing: the fit against the textbook form, the choice against one SVD."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from benchmarks.timing import Work
from lgem.prediction.embedding import PCA, TARGET, GeneEmbedding, PerturbationEmbedding
from lgem.prediction.linear import Specification
from lgem.prediction.solvers import kronecker, pinv, tikhonov
from lgem.prediction.space import Columns
from lgem.prediction.training import Training
from lgem.prediction.tuning import DIMENSIONS, PENALTIES, Grid, choose
from lgem.screen.labels import Target


def fit(genes: int = 2000, perturbations: int = 100, dimensions: int = 10) -> Work:
    """Fit W with both embeddings given."""
    rng = np.random.default_rng(1)
    G = rng.standard_normal((genes, dimensions)) * np.logspace(1, 0, dimensions)
    P = G[:perturbations]
    R = rng.standard_normal((genes, perturbations))
    return Work(
        "LGEM fit, embeddings given",
        f"{genes} genes, {perturbations} perturbations, {dimensions} dimensions",
        {
            "pinv": lambda: pinv(R, G, P),
            "tikhonov": lambda: tikhonov(R, G, P, 0.1),
            "kronecker (lstsq)": lambda: kronecker(R, G, P),
        },
    )


def choice(genes: int = 4000, perturbations: int = 100) -> Work:
    """Choose among 20 penalties and 10 dimensions by leaving every perturbation out."""
    rng = np.random.default_rng(1)
    low = rng.standard_normal((genes, 5)) @ rng.standard_normal((5, perturbations))
    Y = low + rng.standard_normal((genes, perturbations))
    names = [f"G{k}" for k in range(perturbations)]
    targets = [Target((k,)) for k in range(perturbations)]
    columns = Columns.of(Training(Y, np.ones(genes), names, targets).masked())
    specification = Specification(GeneEmbedding(PCA), PerturbationEmbedding(TARGET), "tikhonov")
    tried = f"{len(PENALTIES)} penalties x {len(DIMENSIONS)} dimensions"
    return Work(
        f"honest choice of {tried}",
        f"{genes} genes, {perturbations} perturbations",
        {
            "leave-one-out": lambda: choose(columns, specification, Grid(), masked=True),
            "one SVD of the training matrix": lambda: linalg.svd(Y, full_matrices=False),
        },
    )
