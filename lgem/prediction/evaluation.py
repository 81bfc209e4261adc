"""The table of all scores of a screen: every perturbation asked for is in it, with a status."""

from __future__ import annotations

from collections.abc import Mapping

import anndata
import numpy as np
import pandas as pd

from lgem.prediction.metrics import TOP, gene_sets, score_table, top_genes
from lgem.prediction.model import PREDICTED
from lgem.screen.io import LEFT_OUT, symbols_of
from lgem.screen.labels import TargetIndex, genes_of

NOT_HELD_OUT = "not_held_out"
ENTRY_TYPES = {
    "perturbation": "object",
    "repeat": "Int64",
    "fold": "Int64",
    "status": "object",
    "reason": "object",
}

PAIR_COLUMNS = ["model", "perturbation", "gene", "predicted_effect", "observed_effect", "is_target"]


def score_models(
    predictions: Mapping[str, anndata.AnnData], effects: anndata.AnnData, genes: int
) -> pd.DataFrame:
    """Score the predictions of all models over the `genes` most expressed in control.

    Perturbations that were left out before any model saw them, and those that no fold holds out,
    stand in the table too, without a value and with the reason.
    """
    control = effects.var["control"].to_numpy()
    top = top_genes(control, genes)
    index = TargetIndex(effects.var_names.tolist(), symbols_of(effects.var))
    tables = []
    for model, data in predictions.items():
        held_out = data.obs[list(ENTRY_TYPES)].astype(ENTRY_TYPES)
        entries = pd.concat([held_out, _not_held_out(held_out, effects)])
        targets = [measured_targets(index, name) for name in entries["perturbation"]]
        observed = np.asarray(data.layers["observed"])
        tables.append(
            score_table(model, entries, np.asarray(data.X), observed, control, targets, top)
        )
    return pd.concat(tables, ignore_index=True).astype({"repeat": "Int64", "fold": "Int64"})


def _not_held_out(held_out: pd.DataFrame, effects: anndata.AnnData) -> pd.DataFrame:
    """Return an entry for every perturbation asked for that is not among those held out."""
    others = effects.obs[~effects.obs_names.isin(held_out["perturbation"])]
    left_out = (others["status"] == LEFT_OUT).to_numpy()
    return pd.DataFrame(
        {
            "perturbation": others.index.astype(str),
            "repeat": pd.NA,
            "fold": pd.NA,
            "status": np.where(left_out, LEFT_OUT, NOT_HELD_OUT),
            "reason": np.where(left_out, others["reason"], "in no test set of the splits"),
        }
    ).astype(ENTRY_TYPES)


def measured_targets(index: TargetIndex, perturbation: str) -> list[int]:
    """Return the rows of those targets of a perturbation that are measured."""
    found = [index.find(gene).rows for gene in genes_of(perturbation)]
    return [row for rows in found if rows for row in rows]


def paired_effects(
    predictions: Mapping[str, anndata.AnnData], effects: anndata.AnnData, genes: int
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return predicted beside observed effects, and why models without any have none.

    Returns
    -------
    pairs, missing
        model, perturbation, gene, predicted_effect (mean over repeats), observed_effect,
        is_target over the `genes` most expressed in control and the targets; and model: reason.
    """
    top = top_genes(effects.var["control"].to_numpy(), genes)
    index = TargetIndex(effects.var_names.tolist(), symbols_of(effects.var))
    names = effects.var_names.to_numpy()
    tables, missing = [], {}
    for model, data in predictions.items():
        predicted, perturbations = mean_responses(data)
        if not perturbations:
            missing[model] = str(data.obs["reason"].iloc[0])
        for perturbation, effect in zip(perturbations, predicted, strict=True):
            targets = measured_targets(index, perturbation)
            chosen = gene_sets(top, targets)[TOP]
            observed = effects.X[effects.obs_names.get_loc(perturbation)]
            pairs = {
                "model": model,
                "perturbation": perturbation,
                "gene": names[chosen],
                "predicted_effect": effect[chosen],
                "observed_effect": observed[chosen],
                "is_target": np.isin(chosen, targets),
            }
            tables.append(pd.DataFrame(pairs))
    if not tables:
        return pd.DataFrame(columns=PAIR_COLUMNS), missing
    return pd.concat(tables, ignore_index=True), missing


def mean_responses(predictions: anndata.AnnData) -> tuple[np.ndarray, list[str]]:
    """Return the predicted effects, averaged over repeats (perturbations × genes), and names."""
    made = predictions[(predictions.obs["status"] == PREDICTED).to_numpy()]
    effect = pd.DataFrame(np.asarray(made.X) - made.var["control"].to_numpy())
    mean = effect.groupby(made.obs["perturbation"].astype(str).to_numpy(), sort=True).mean()
    return mean.to_numpy(), mean.index.tolist()
