"""The table of all scores of a screen: every perturbation asked for is in it, with a status."""

from __future__ import annotations

from collections.abc import Mapping

import anndata
import numpy as np
import pandas as pd

from lgem.prediction.metrics import METRICS, OFF_TARGET, TOP, gene_sets, score_table, top_genes
from lgem.prediction.model import PREDICTED
from lgem.screen.io import LEFT_OUT, symbols_of
from lgem.screen.labels import TargetIndex, genes_of


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
        targets = [measured_targets(index, str(name)) for name in data.obs["perturbation"]]
        observed = np.asarray(data.layers["observed"])
        tables.append(
            score_table(model, data.obs, np.asarray(data.X), observed, control, targets, top)
        )
        tables.append(_without_prediction(model, data, effects))
    return pd.concat([table for table in tables if len(table)], ignore_index=True).astype(
        {"repeat": "Int64", "fold": "Int64"}
    )


def measured_targets(index: TargetIndex, perturbation: str) -> list[int]:
    """Return the rows of those targets of a perturbation that are measured."""
    found = [index.find(gene).rows for gene in genes_of(perturbation)]
    return [row for rows in found if rows for row in rows]


def _without_prediction(
    model: str, data: anndata.AnnData, effects: anndata.AnnData
) -> pd.DataFrame:
    held_out = set(data.obs["perturbation"].astype(str))
    rows = []
    for name, entry in effects.obs.iterrows():
        if name in held_out:
            continue
        left_out = entry["status"] == LEFT_OUT
        for gene_set in (TOP, OFF_TARGET):
            for metric in METRICS:
                rows.append(
                    {
                        "model": model,
                        "repeat": pd.NA,
                        "fold": pd.NA,
                        "perturbation": name,
                        "gene_set": gene_set,
                        "metric": metric,
                        "value": np.nan,
                        "status": LEFT_OUT if left_out else "not_held_out",
                        "reason": entry["reason"] if left_out else "in no test set of the splits",
                    }
                )
    return pd.DataFrame(rows)


def paired_effects(
    predictions: Mapping[str, anndata.AnnData], effects: anndata.AnnData, genes: int
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return predicted beside observed effects, and why models without any have none.

    Returns
    -------
    pairs, missing
        model, perturbation, gene, predicted_effect, observed_effect, is_target over the `genes`
        most expressed in control and the targets; and model: reason.
    """
    control = effects.var["control"].to_numpy()
    top = top_genes(control, genes)
    index = TargetIndex(effects.var_names.tolist(), symbols_of(effects.var))
    names = effects.var_names.to_numpy()
    tables: list[pd.DataFrame] = []
    missing = {}
    for model, data in predictions.items():
        made = np.flatnonzero(data.obs["status"] == PREDICTED)
        if not made.size:
            missing[model] = str(data.obs["reason"].iloc[0])
        for row in made:
            perturbation = str(data.obs["perturbation"].iloc[row])
            targets = measured_targets(index, perturbation)
            chosen = gene_sets(top, targets)[TOP]
            tables.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "perturbation": perturbation,
                        "gene": names[chosen],
                        "predicted_effect": data.X[row, chosen] - control[chosen],
                        "observed_effect": data.layers["observed"][row, chosen] - control[chosen],
                        "is_target": np.isin(chosen, targets),
                    }
                )
            )
    columns = [
        *("model", "perturbation", "gene", "predicted_effect", "observed_effect", "is_target")
    ]
    return pd.concat(tables) if tables else pd.DataFrame(columns=columns), missing


def mean_responses(predictions: anndata.AnnData) -> tuple[np.ndarray, list[str]]:
    """Return the predicted effects, averaged over repeats (perturbations × genes), and names."""
    made = predictions[(predictions.obs["status"] == PREDICTED).to_numpy()]
    effect = pd.DataFrame(np.asarray(made.X) - made.var["control"].to_numpy())
    mean = effect.groupby(made.obs["perturbation"].astype(str).to_numpy(), sort=True).mean()
    return mean.to_numpy(), mean.index.tolist()
