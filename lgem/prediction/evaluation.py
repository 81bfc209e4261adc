"""A screen's held-out predictions as a whole: all scores, and pairs to draw.

Every perturbation asked for is in the table of scores, with a status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anndata
import numpy as np
import pandas as pd

from lgem.prediction.calibration import NEGATIVE, POSITIVE
from lgem.prediction.metrics import TOP, Compared, gene_sets, score_table, top_genes
from lgem.prediction.summary import ENTRY
from lgem.prediction.training import ANSWERED, PREDICTED
from lgem.screen.io import ESTIMATED, LEFT_OUT, symbols_of
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
    predictions: Mapping[str, anndata.AnnData],
    effects: anndata.AnnData,
    genes: int,
    duplicate: anndata.AnnData | None = None,
) -> pd.DataFrame:
    """Score the predictions of all models over the `genes` most expressed in control.

    Perturbations that were left out before any model saw them, and those that no fold holds out,
    stand in the table too, without a value and with the reason. The technical duplicate is scored
    like a model, but for coverage.
    """
    top = top_genes(effects.var["control"].to_numpy(), genes)
    index = TargetIndex(effects.var_names.tolist(), symbols_of(effects.var))
    mean = predictions.get(NEGATIVE)
    tables = [
        _scores(model, data, effects, index, top, mean) for model, data in predictions.items()
    ]
    if duplicate is not None:
        again = duplicate.copy()
        status = again.obs["status"].astype(object).replace(ESTIMATED, PREDICTED)
        again.obs = again.obs.assign(repeat=pd.NA, fold=pd.NA, status=status)
        table = _scores(POSITIVE, again, effects, index, top, mean)
        tables.append(table[table["metric"] != "coverage"])
    return pd.concat(tables, ignore_index=True).astype({"repeat": "Int64", "fold": "Int64"})


def _scores(
    model: str,
    data: anndata.AnnData,
    effects: anndata.AnnData,
    index: TargetIndex,
    top: np.ndarray,
    mean: anndata.AnnData | None,
) -> pd.DataFrame:
    """Score the predictions of one model."""
    held_out = data.obs[list(ENTRY_TYPES)].astype(ENTRY_TYPES)
    entries = pd.concat([held_out, _not_held_out(held_out, effects)])
    targets = [measured_targets(index, name) for name in entries["perturbation"]]
    known = {
        argument: np.asarray(data.layers[layer], dtype=float)
        for argument, layer in (("se", "observed_se"), ("lower", "lower"), ("upper", "upper"))
        if layer in data.layers
    }
    if mean is not None:
        known["reference"] = references(data.obs, mean)
    profiles = Compared.table(
        np.asarray(data.X, dtype=float),
        np.asarray(data.layers["observed"], dtype=float),
        effects.var["control"].to_numpy(dtype=float),
        **known,
    )
    no_interval = str(data.uns.get("interval", {}).get("reason", ""))
    return score_table(model, entries, profiles, targets, top, no_interval)


def references(entries: pd.DataFrame, mean: anndata.AnnData) -> np.ndarray:
    """Return the mean of the training centroids for each entry (entries × genes).

    This is what the baseline `mean` predicts for the same perturbation in the same fold. An entry
    without a fold, of a technical duplicate, gets the average over those that hold it out.
    """
    of_mean, of_entries = _keys(mean.obs), _keys(entries)
    profiles = np.asarray(mean.X, dtype=float)
    row_of = dict(zip(of_mean, range(len(of_mean)), strict=True))
    found = np.full((len(entries), mean.n_vars), np.nan)
    rows_of: dict[str, list[int]] = {}
    for row, (perturbation, *_) in enumerate(of_mean):
        rows_of.setdefault(perturbation, []).append(row)
    folds = entries["fold"].notna().to_numpy()
    for entry, key in enumerate(of_entries):
        if folds[entry] and key in row_of:
            found[entry] = profiles[row_of[key]]
        elif not folds[entry] and key[0] in rows_of:
            found[entry] = profiles[rows_of[key[0]]].mean(axis=0)
    return found


def _keys(obs: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return what tells entries apart: perturbation, repeat, fold and, where given, context."""
    columns = [*ENTRY, *(["context"] if "context" in obs else [])]
    texts = obs[columns].astype("string").fillna("")
    return list(texts.itertuples(index=False, name=None))


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


def seen_alone(predictions: Mapping[str, anndata.AnnData]) -> pd.DataFrame | None:
    """Return how many genes of each held-out combination training saw alone, where known.

    Returns
    -------
    DataFrame or None
        perturbation, repeat, fold, seen (a whole number); the same for all models.
    """
    for data in predictions.values():
        if "seen" not in data.obs:
            continue
        count = pd.to_numeric(data.obs["seen"].astype(object), errors="coerce")
        known = count.notna().to_numpy()
        if known.any():
            types = {name: ENTRY_TYPES[name] for name in ENTRY}
            entries = data.obs.loc[known, ENTRY].astype(types).reset_index(drop=True)
            return entries.assign(seen=count[known].astype(int).to_numpy())
    return None


def paired_effects(
    predictions: Mapping[str, anndata.AnnData], effects: anndata.AnnData, genes: int
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return predicted beside observed effects, and why models without any have none.

    Returns
    -------
    pairs, missing
        model, perturbation, gene, predicted_effect, observed_effect (means over repeats),
        is_target over the `genes` most expressed in control and the targets; and model: reason.
    """
    top = top_genes(effects.var["control"].to_numpy(), genes)
    index = TargetIndex(effects.var_names.tolist(), symbols_of(effects.var))
    names = effects.var_names.to_numpy()
    tables, missing = [], {}
    for model, data in predictions.items():
        predicted, perturbations = mean_responses(data)
        observed, _ = mean_responses(data, "observed")
        if not perturbations:
            missing[model] = str(data.obs["reason"].iloc[0])
        for row, perturbation in enumerate(perturbations):
            targets = measured_targets(index, perturbation)
            chosen = gene_sets(top, targets)[TOP]
            pairs = {
                "model": model,
                "perturbation": perturbation,
                "gene": names[chosen],
                "predicted_effect": predicted[row, chosen],
                "observed_effect": observed[row, chosen],
                "is_target": np.isin(chosen, targets),
            }
            tables.append(pd.DataFrame(pairs))
    if not tables:
        return pd.DataFrame(columns=PAIR_COLUMNS), missing
    return pd.concat(tables, ignore_index=True), missing


def mean_responses(
    predictions: anndata.AnnData,
    layer: str | None = None,
    statuses: Sequence[str] = ANSWERED,
) -> tuple[np.ndarray, list[str]]:
    """Return effects averaged over repeats (perturbations × genes), and the perturbations.

    They are the predicted ones, or those of a layer, where there is a prediction of one of the
    given statuses.
    """
    made = predictions[predictions.obs["status"].isin(list(statuses)).to_numpy()]
    profiles = made.X if layer is None else made.layers[layer]
    effect = pd.DataFrame(np.asarray(profiles) - made.var["control"].to_numpy())
    mean = effect.groupby(made.obs["perturbation"].astype(str).to_numpy(), sort=True).mean()
    return mean.to_numpy(), mean.index.tolist()


# Standard deviations of a gene below which a predicted change is rounding.
ROUNDING = 1e-6


def off_target(
    effects: np.ndarray,
    perturbations: Sequence[str],
    index: TargetIndex,
    panel: Sequence[str],
    scale: np.ndarray,
) -> tuple[np.ndarray, list[str]]:
    """Return effects off target on a panel, and the perturbations that have any.

    The genes that were themselves perturbed get 0: their change is the experiment's doing. A model
    that predicts nothing else says nothing of who acts on whom.

    Parameters
    ----------
    effects : (perturbations, genes)
        Predicted effects.
    index
        Of the same genes.
    panel
        Genes to return, by their ids.
    scale : (panel,)
        Their standard deviations.

    Returns
    -------
    effects, perturbations
        (as many × panel), and their names.
    """
    others = effects.copy()
    for row, perturbation in enumerate(perturbations):
        others[row, measured_targets(index, perturbation)] = 0.0
    rows = {gene: row for row, gene in enumerate(index.genes)}
    others = others[:, [rows[gene] for gene in panel]]
    told = (np.abs(others) > ROUNDING * scale).any(axis=1)
    return others[told], [name for name, kept in zip(perturbations, told, strict=True) if kept]
