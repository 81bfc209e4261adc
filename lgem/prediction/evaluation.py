"""A screen's held-out predictions as a whole: all scores, the result in words, pairs to draw.

Every perturbation asked for is in the table of scores, with a status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anndata
import numpy as np
import pandas as pd

from lgem.errors import listing
from lgem.prediction.metrics import (
    TOP,
    bootstrap_interval,
    gene_sets,
    per_perturbation,
    score_table,
    top_genes,
)
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


def headline(
    metrics: pd.DataFrame,
    shared: set[str],
    asked: int,
    models: Sequence[str],
    baselines: Sequence[str],
    draws: int,
    interval: float,
    seed: int,
) -> str:
    """Return the result in one sentence: the best model against the best baseline, by mean L2.

    Both means, their difference and its interval are over the `shared` perturbations. What scores
    only some of these is not compared, but named.
    """
    scores = per_perturbation(metrics)
    scores = scores[(scores["metric"] == "l2") & (scores["gene_set"] == TOP)]
    wide = scores.pivot_table(index="perturbation", columns="model", values="value")
    if not any(model in wide for model in models):
        why = listing(_reasons(metrics[metrics["model"].isin(models)]))
        return f"No model could predict any of {asked} perturbations ({why}); baselines are scored."
    if not shared:
        return f"No result: none of {asked} perturbations is scored by all models."
    wide = wide.loc[sorted(shared)]
    means = wide.mean()[wide.notna().all()].sort_values(kind="stable")
    model = means[means.index.isin(models)].index[0]
    baseline = means[means.index.isin(baselines)].index[0]
    difference = (wide[model] - wide[baseline]).to_numpy()
    low, high = bootstrap_interval(difference, draws, interval, seed)
    if high < 0:
        opening = f"The model {model} beats the best baseline, {baseline}"
    elif low > 0:
        opening = f"The baseline {baseline} beats the best model, {model}"
    else:
        opening = f"The model {model} and the best baseline, {baseline}, cannot be told apart"
    level = f"{100 * interval:g} % interval"
    certainty = f"{level} {low:+.3f} to {high:+.3f}" if len(shared) > 1 else f"no {level} from one"
    counts = wide.count().reindex([*models, *baselines], fill_value=0)
    partly = "".join(
        f" {name} scores {count} of these{_there(wide, name, model)}."
        for name, count in zip(map(str, counts.index), counts, strict=True)
        if count < len(shared) and (count or name in models)
    )
    return (
        f"{opening}: held-out L2 {means[model]:.3f} for {model}, {means[baseline]:.3f} for "
        f"{baseline}, on the {len(shared)} of {asked} perturbations that all models score "
        f"(difference {difference.mean():+.3f}, {certainty}).{partly}"
    )


def _there(wide: pd.DataFrame, name: str, model: str) -> str:
    """Say how a model that scores only some perturbations and the best one compare on these."""
    both = wide[[name, model]].dropna() if name in wide else wide[:0]
    if both.empty:
        return ""
    return f": {both[name].mean():.3f} there against {both[model].mean():.3f} for {model}"


def _reasons(metrics: pd.DataFrame) -> list[str]:
    """Return why held-out perturbations have no prediction, without the genes' names."""
    held_out = metrics[metrics["fold"].notna() & (metrics["status"] != PREDICTED)]
    return sorted(set(held_out["reason"].str.split(":").str[0]))


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
