"""Small screens as folds need them, and every model that may be fitted to them."""

from itertools import product

import numpy as np
import pandas as pd

from lgem.config import load
from lgem.layout import Layout
from lgem.prediction.embedding import GeneEmbedding, PerturbationEmbedding
from lgem.prediction.folds import Experiment
from lgem.prediction.model import fit_predictor
from lgem.screen.effects import GroupStatistics
from lgem.screen.labels import CONTROL, TargetIndex

GENES = [f"G{row}" for row in range(12)]
INDEX = TargetIndex(GENES)
NAMES = ["G0", "G1", "G4", "G7", "G9", "X1", "X2", "G0+G4", "G1+X1"]
CONTEXTS = ["A549", "K562", "MCF7"]
LEVEL = 0.6  # of intervals; two residuals are enough
LAYOUT = Layout(
    load(
        {
            "dataset": "d",
            "datasets": {"d": {"path": "d.h5ad", "perturbation": "gene", "control": "NT",
                               "context": "line"}},
            "splits": {"scheme": "context"},
        }
    )
)  # fmt: skip
RNG = np.random.default_rng(9)
GIVEN_GENES = GeneEmbedding("file", RNG.normal(size=(len(GENES), 2)))
GIVEN_PERTURBATIONS = PerturbationEmbedding(
    "file", {name: RNG.normal(size=2) for name in ("G0", "G1", "G4", "G7", "G9", "X1")}
)


def fits():
    """Every model, baseline and control of a config, and the rest of what can be asked for."""
    found = {name: LAYOUT.model(name) for name in LAYOUT.models}
    found = {
        name: (model["kind"], model["settings"], (None, None)) for name, model in found.items()
    }
    plain = {"dimensions": 2, "penalty": 0.1, "mean_weight": 0.5, "on_target": True}
    for name, genes, perturbations, solver, given_ in (
        ("file", "file", "target", "pinv", (GIVEN_GENES, None)),
        ("transfer", "pca", "file", "ridge", (None, GIVEN_PERTURBATIONS)),
        ("both", "file", "file", "tikhonov", (GIVEN_GENES, GIVEN_PERTURBATIONS)),
        ("identity", "identity", "pca", "kronecker", (None, None)),
        ("random", "random", "random", "pinv", (None, None)),
    ):
        chosen = {"gene_embedding": genes, "perturbation_embedding": perturbations}
        found[name] = ("linear", {**plain, **chosen, "solver": solver}, given_)
    return found


FITS = fits()


def fitted(name, training):
    kind, chosen, embeddings = FITS[name]
    return fit_predictor(kind, training, chosen, *embeddings)


def random_screen(seed, batches, kept=1.0, contexts=()):
    """Group statistics of all names and control; each in one batch at least, by chance in more.

    Where there are contexts, each has all batches of its own.
    """
    rng = np.random.default_rng(seed)
    every = product([CONTROL, *NAMES], contexts or [""], range(batches))
    groups = pd.DataFrame(every, columns=["perturbation", "line", "b"])
    groups["batch"] = groups["line"] + "lane_" + groups.pop("b").astype(str)
    luck = pd.Series(rng.random(len(groups)))
    best = luck.groupby([groups["perturbation"], groups["line"]]).transform("min")
    groups = groups[(luck < kept) | (luck == best)].reset_index(drop=True)
    groups["n_cells"] = rng.integers(1, 50, size=len(groups))
    shape = (len(groups), len(GENES))
    return GroupStatistics(groups, rng.gamma(2.0, size=shape), rng.gamma(1.0, size=shape))


def experiment(statistics, factors=(), context=None):
    return Experiment(statistics, INDEX, list(factors), context)
