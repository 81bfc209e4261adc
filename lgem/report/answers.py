"""The first screen: what a reader wants to know of a run, in numbers with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lgem.errors import counted, listing
from lgem.files import read_table
from lgem.prediction.calibration import NEGATIVE, POSITIVE, grouped
from lgem.prediction.metrics import ROUNDING, TOP

KEPT = "kept"
SIGNIFICANT_Z = 1.96
GOOD, BAD, OPEN = "good", "bad", "open"


class Card(NamedTuple):
    """A question, its answer in a few characters, and in a sentence; good, bad or open news."""

    question: str
    answer: str
    words: str
    news: str = OPEN


def cards(
    files: Mapping[str, Path], models: Sequence[str], baselines: Sequence[str], interval: float
) -> list[Card]:
    """Return the answers that the result files of a dataset hold.

    Parameters
    ----------
    files
        Result files by their path within the folder of results.
    models, baselines
        Names, the first model first.
    interval
        Level of the intervals.
    """
    level = f"{100 * interval:g} % interval"
    tables = {name: read_table(path) for name, path in files.items() if name in _READ}
    found: list[Card] = []
    if "qc.tsv" in tables and "summary.tsv" in tables:
        qc, summary = tables["qc.tsv"], tables["summary.tsv"]
        found.append(asked_and_scored(qc, tables["metrics.tsv"], models[0]))
        found.append(against_baselines(summary, tables["comparisons.tsv"], models, baselines, level))
        found.append(ceiling(summary, models[0]))
        found.append(on_target(qc))
    if "figures/predicted_against_truth.tsv" in tables:
        found += truth(tables["figures/predicted_against_truth.tsv"])
    if "network/statistics.tsv" in tables:
        found.append(edges(tables["network/statistics.tsv"]))
    if "network/responses_comparisons.tsv" in tables:
        found.append(foretold(tables["network/responses_comparisons.tsv"], level))
    if "network/scores.tsv" in tables:
        found.append(known_edges(tables["network/scores.tsv"], level))
    return found


_READ = {
    *("qc.tsv", "summary.tsv", "comparisons.tsv", "metrics.tsv", "network/statistics.tsv"),
    *("network/responses_comparisons.tsv", "network/scores.tsv"),
    "figures/predicted_against_truth.tsv",
}


def asked_and_scored(qc: pd.DataFrame, metrics: pd.DataFrame, model: str) -> Card:
    """Say how many perturbations were asked for, estimated and scored, and why not the others."""
    asked, kept = len(qc), int((qc["status"] == KEPT).sum())
    rows = metrics[
        (metrics["model"] == model) & (metrics["metric"] == "l2") & (metrics["gene_set"] == TOP)
    ]
    scored = set(rows.loc[rows["value"].notna(), "perturbation"])
    lost = rows[~rows["perturbation"].isin(scored)].drop_duplicates("perturbation")
    words = f"{asked} asked for, {kept} estimated, {len(scored)} scored."
    whys = [f"{why}: {count}" for why, count in grouped(lost["reason"]).items()]
    words += f" Not scored: {listing(whys)}." if whys else " None left out."
    news = GOOD if len(scored) == asked else OPEN if scored else BAD
    return Card("Which perturbations count?", f"{len(scored)} of {asked}", words, news)


def against_baselines(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    models: Sequence[str],
    baselines: Sequence[str],
    level: str,
) -> Card:
    """Say whether the first model that has a score beats the best baseline, and by how much."""
    question = "Does the model beat the baselines?"
    shared = _means(summary, "shared")
    model = next((name for name in models if name in shared), None)
    rivals = shared[shared.index.isin(baselines)].sort_values(kind="stable")
    if model is None or rivals.empty:
        return Card(question, "not known", "No perturbation is scored by all models.", BAD)
    baseline = str(rivals.index[0])
    row = _row(comparisons, model_a=model, model_b=baseline, metric="l2", gene_set=TOP)
    if row is None:
        return Card(question, "not known", f"{model} and {baseline} were not compared.", BAD)
    low, high = float(row["lower"]), float(row["upper"])
    words = (
        f"Held-out L2 {shared[model]:.3f} for {model}, {shared[baseline]:.3f} for the best "
        f"baseline, {baseline}; difference {row['difference']:+.3f}, {_range(low, high, level)}, "
        f"over {counted(int(row['n']), 'perturbation')}. Less is better."
    )
    if high < -ROUNDING:
        share = -row["difference"] / shared[baseline] if shared[baseline] else 0.0
        return Card(question, f"yes, by {100 * share:.0f} %", words, GOOD)
    if low > ROUNDING:
        return Card(question, f"no: {baseline} wins", words, BAD)
    return Card(question, "cannot be told", words, OPEN)


def ceiling(summary: pd.DataFrame, model: str) -> Card:
    """Say where the model stands between knowing nothing and measuring again."""
    question = "Can the data support it?"
    row = _row(summary, model=model, metric="l2", gene_set=TOP, perturbations="shared")
    if row is None or pd.isna(row["calibrated"]):
        why = "no score" if row is None else str(row["calibrated_reason"])
        return Card(question, "no ceiling", f"There is no ceiling to compare with: {why}.", OPEN)
    shared = _means(summary, "shared")
    place = float(row["calibrated"])
    words = (
        f"{model} stands at {place:.2f} between the mean effect of the others (0, L2 "
        f"{shared.get(NEGATIVE, float('nan')):.3f}) and measuring again in other cells (1, the "
        f"technical duplicate, L2 {shared.get(POSITIVE, float('nan')):.3f})."
    )
    return Card(question, f"{place:.2f}", words, GOOD if place > 0.5 else OPEN if place > 0 else BAD)


def on_target(qc: pd.DataFrame) -> Card:
    """Say how many perturbations moved their own target."""
    question = "Did the perturbations work?"
    tested = qc[(qc["status"] == KEPT) & qc["on_target_z"].notna()]
    unknown = len(qc) - len(tested)
    if tested.empty:
        return Card(question, "not known", "No target is measured in enough cells.", BAD)
    z = tested["on_target_z"].astype(float)
    down, up = int((z <= -SIGNIFICANT_Z).sum()), int((z >= SIGNIFICANT_Z).sum())
    words = (
        f"{down + up} of {counted(len(tested), 'perturbation')} with a measured target changed it "
        f"significantly (|z| ≥ {SIGNIFICANT_Z}): {down} lowered, {up} raised it."
    )
    words += f" Of {unknown} others the target was not measured, or they were left out." * (
        unknown > 0
    )
    share = (down + up) / len(tested)
    news = GOOD if share >= 0.8 else OPEN if share >= 0.5 else BAD
    return Card(question, f"{down + up} of {len(tested)}", words, news)


def truth(drawn: pd.DataFrame) -> list[Card]:
    """Say how well the known truth of a simulated screen was recovered."""
    panels = drawn[drawn["mark"] == "panel"].set_index("what")
    if not {"predicted_effect", "observed_effect"} <= set(panels.index):
        return []
    predicted, observed = panels.loc["predicted_effect"], panels.loc["observed_effect"]
    words = (
        f"Correlation of predicted with true effects {predicted['r']:.2f} (off target "
        f"{predicted['r_off_target']:.2f}); of observed with true effects, which the noise limits, "
        f"{observed['r']:.2f} (off target {observed['r_off_target']:.2f})."
    )
    return [Card("Is the truth recovered?", f"r = {float(predicted['r']):.2f}", words)]


def edges(statistics: pd.DataFrame) -> Card:
    """Say how many edges the network has, before and after the updates."""
    rows = statistics.set_index("metric")
    before, after = (float(rows.loc["strong_edges", column]) for column in ("before", "after"))
    words = f"{before:g} strong partial correlations among {rows.loc['genes', 'before']:g} genes"
    if not pd.isna(after):
        words += f", {after:g} after the updates"
    name = next((name for name in rows.index if name.startswith("edges_fdr")), None)
    if name is not None and not pd.isna(rows.loc[name, "before"]):
        words += (
            f"; {rows.loc[name, 'before']:g} pairs with a false discovery rate of at most "
            f"{name.rpartition('_')[2]}"
        )
    shrinkage = rows["before"].get("shrinkage")
    weak = shrinkage is not None and float(shrinkage) > 0.5
    if weak:
        words += f". Shrinkage {float(shrinkage):.2f}: there were few cells for a network"
    return Card("Is there a network?", f"{before:g} edges", words + ".", BAD if weak else OPEN)


def foretold(comparisons: pd.DataFrame, level: str) -> Card:
    """Say whether the network foretells responses better than their mean does."""
    question = "Does the network foretell responses?"
    row = _row(comparisons, network="network", against="mean", metric="pearson")
    if row is None or pd.isna(row["difference"]):
        return Card(question, "not known", "No response could be compared with its prediction.")
    low, high = float(row["lower"]), float(row["upper"])
    words = (
        f"Correlation with the observed responses {row['mean']:.2f} for the network, "
        f"{row['mean_against']:.2f} for the mean of the other responses; difference "
        f"{row['difference']:+.2f}, {_range(low, high, level, 2)}, over "
        f"{counted(int(row['n']), 'perturbation')}."
    )
    if low > 0:
        return Card(question, "better than the mean", words, GOOD)
    if high < 0:
        return Card(question, "no: the mean is better", words, BAD)
    return Card(question, "cannot be told", words, OPEN)


def known_edges(scores: pd.DataFrame, level: str) -> Card:
    """Say how much better than chance the network finds the known edges."""
    question = "Does it find the known edges?"
    row = _row(scores, network="before", metric="aupr_ratio")
    precision = _row(scores, network="before", metric="aupr")
    if row is None or precision is None or pd.isna(row["value"]):
        return Card(question, "not known", "No known edge lies between genes of the network.")
    low, high = float(row["lower"]), float(row["upper"])
    words = (
        f"Average precision {precision['value']:.3f}, {row['value']:.1f} times that of chance "
        f"({_range(low, high, level, 1)})."
    )
    news = GOOD if low > 1 else BAD if high < 1 else OPEN
    return Card(question, f"{row['value']:.1f} × chance", words, news)


def _means(summary: pd.DataFrame, over: str) -> pd.Series:
    """Return the mean L2 of every model that scores all of some perturbations."""
    rows = summary[
        (summary["metric"] == "l2") & (summary["gene_set"] == TOP)
        & (summary["perturbations"] == over)
    ]  # fmt: skip
    # A model with an answer for some of them is no rival on all: it may have had it easier.
    whole = rows[rows["n"] == rows["n"].max()]
    return whole.set_index("model")["mean"].dropna().astype(float)


def _row(table: pd.DataFrame, **values: str) -> pd.Series | None:
    """Return the one row with some values, if there is one."""
    for column, value in values.items():
        table = table[table[column] == value]
    return None if table.empty else table.iloc[0]


def _range(low: float, high: float, level: str, digits: int = 3) -> str:
    """Return an interval in words."""
    if pd.isna(low) or pd.isna(high):
        return f"no {level} from so few"
    sign = "+" if low < 0 or digits > 1 else ""
    return f"{level} {low:{sign}.{digits}f} to {high:{sign}.{digits}f}"
