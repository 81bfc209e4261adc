"""The first screen: what a reader wants to know of a run, in numbers with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lgem.errors import counted, listing
from lgem.files import read_table
from lgem.prediction.calibration import POSITIVE, grouped, scores_by_perturbation
from lgem.prediction.metrics import OFF_TARGET, ROUNDING, TOP
from lgem.prediction.summary import (
    SHARED,
    bootstrap_interval,
    comparable_models,
    per_perturbation,
    rivals,
    shared_perturbations,
)
from lgem.prediction.training import MEAN_ONLY

KEPT = "kept"
SIGNIFICANT_Z = 1.96
MUCH_SHRINKAGE = 0.5
FAR_BEYOND = 120  # per cent of the way to the technical duplicate
MOST_NAMES = 4  # more would not be read
NO_CHANGE = "no_change"
THRESHOLD = "figures/partial_correlations.tsv"
FOUND = "edges_fdr_"  # the beginning of a row of statistics
GOOD, BAD, OPEN = "good", "bad", "open"


class Card(NamedTuple):
    """A question, its answer in a few characters, and in a sentence; good, bad or open news."""

    question: str
    answer: str
    words: str
    news: str = OPEN


class Scoring(NamedTuple):
    """How predictions were scored: names, the first model first, and how intervals are drawn."""

    models: Sequence[str]
    baselines: Sequence[str]
    controls: Sequence[str]
    draws: int
    interval: float
    seed: int

    @property
    def level(self) -> str:
        """The level of intervals in words."""
        return f"{100 * self.interval:g} % interval"


def cards(files: Mapping[str, Path], scoring: Scoring) -> list[Card]:
    """Return the answers that the result files of a dataset hold.

    Parameters
    ----------
    files
        Result files by their path within the folder of results.
    scoring
        How predictions were scored.
    """
    tables = {name: read_table(path) for name, path in files.items() if name in _READ}
    level, found = scoring.level, []
    if "qc.tsv" in tables:
        qc, metrics, model = tables["qc.tsv"], tables["metrics.tsv"], scoring.models[0]
        told = files["headline.txt"].read_text("utf-8")
        found = [
            asked_and_scored(qc, metrics, model),
            against_baselines(metrics, scoring, told),
            ceiling(tables["summary.tsv"], model, scoring.baselines),
            on_target(qc),
        ]
        if "screen.tsv" in tables:
            found.append(next_one(tables["screen.tsv"], level))
    else:
        words = "The dataset names no perturbations: only its network was estimated."
        found = [Card("Which perturbations count?", "none named", words)]
    if "figures/predicted_against_truth.tsv" in tables:
        found += truth(tables["figures/predicted_against_truth.tsv"])
    if "network/statistics.tsv" in tables:
        updated = len(tables["network/updates.tsv"]) > 0
        drawn = tables.get(THRESHOLD)
        found.append(edges(tables["network/statistics.tsv"], drawn, updated=updated))
    if "network/responses_comparisons.tsv" in tables:
        found.append(foretold(tables["network/responses_comparisons.tsv"], level))
    if "network/scores.tsv" in tables:
        found.append(known_edges(tables["network/scores.tsv"], level))
    return found


_READ = {
    *("qc.tsv", "summary.tsv", "metrics.tsv", "network/statistics.tsv", "network/updates.tsv"),
    *("network/responses_comparisons.tsv", "network/scores.tsv"),
    *("screen.tsv", "figures/predicted_against_truth.tsv", THRESHOLD),
}


def asked_and_scored(qc: pd.DataFrame, metrics: pd.DataFrame, model: str) -> Card:
    """Say how many perturbations were asked for, estimated and scored, and why not the others."""
    asked, kept = len(qc), int((qc["status"] == KEPT).sum())
    rows = metrics[
        (metrics["model"] == model) & (metrics["metric"] == "l2") & (metrics["gene_set"] == TOP)
    ]
    made = rows[rows["value"].notna()]
    scored = set(made["perturbation"])
    plain = made[made["status"] == MEAN_ONLY].drop_duplicates("perturbation")
    lost = rows[~rows["perturbation"].isin(scored)].drop_duplicates("perturbation")
    words = f"{asked} asked for, {kept} estimated, {len(scored)} scored"
    if len(plain):
        words += f", {len(plain)} of these by the shrunk mean alone ({_whys(plain)})"
    words += f". Not scored: {_whys(lost)}." if len(lost) else ". None left out."
    news = GOOD if len(scored) == asked and not len(plain) else OPEN if scored else BAD
    answer = f"{len(scored)} of {asked}"
    if len(plain):
        answer += f", {len(plain)} by the mean"
    return Card("Which perturbations count?", answer, words, news)


def _whys(rows: pd.DataFrame) -> str:
    """Return the reasons of some rows with their counts, and whom they concern if these are few."""
    told = listing(f"{why}: {count}" for why, count in grouped(rows["reason"]).items())
    return told + _names(rows["perturbation"])


def _names(perturbations: pd.Series) -> str:
    """Return names to stand behind their number, if these are few."""
    names = sorted(perturbations.astype(str))
    return f", namely {', '.join(names)}" if 0 < len(names) <= MOST_NAMES else ""


def against_baselines(metrics: pd.DataFrame, scoring: Scoring, told: str) -> Card:
    """Say whether the first model that has a score beats the best baseline, and by how much.

    With the numbers of the headline (`told`), over the same perturbations; where that knows of
    scores in which a baseline or a random embedding wins, the card says so, too.
    """
    question = "Does the model beat the baselines?"
    scores = per_perturbation(metrics)
    names = [*scoring.models, *scoring.baselines, *scoring.controls]
    shared = sorted(shared_perturbations(scores, comparable_models(names)))
    parts = scores_by_perturbation(scores).items()
    wide = pd.DataFrame({key[0]: part for key, part in parts if key[1:] == (TOP, "l2")})
    wide = wide.reindex(shared)
    model, baseline = rivals(wide, scoring.models, scoring.baselines)
    if not shared or model is None or baseline is None:
        return Card(question, "not known", "No perturbation is scored by all models.", BAD)
    ours, theirs = wide[model].mean(), wide[baseline].mean()
    difference = (wide[model] - wide[baseline]).to_numpy()
    draws, seed = scoring.draws, scoring.seed
    low, high = bootstrap_interval(difference, draws, scoring.interval, seed)
    words = (
        f"Held-out L2 {ours:.3f} for {model}, {theirs:.3f} for the best baseline, {baseline}; "
        f"difference {difference.mean():+.3f}, {_range(low, high, scoring.level)}, over the "
        f"{counted(len(shared), 'perturbation')} that all models score. Less is better."
    )
    lost = [words_of for mark, words_of in _LOSSES.items() if mark in told]
    words = " ".join([words, *lost])
    if low > ROUNDING:
        return Card(question, f"no: {baseline} wins", words, BAD)
    if high < -ROUNDING:
        answer = f"yes, by {100 * (1 - ours / theirs):.0f} %"
        return Card(question, answer, words, OPEN if lost else GOOD)
    return Card(question, "cannot be told apart", words, BAD if lost else OPEN)


# How the headline tells of them, and how a card does.
_LOSSES = {
    "A baseline beats": "In other scores, or where it has an answer, a baseline wins: see below.",
    "A random embedding does better": "Random embeddings do better.",
}


def ceiling(summary: pd.DataFrame, model: str, baselines: Sequence[str] = ()) -> Card:
    """Say where model and best baseline stand between knowing nothing and measuring again."""
    question = "How far towards the ceiling?"
    shared = summary[(summary["metric"] == "l2") & (summary["perturbations"] == SHARED)]
    row = _row(shared, model=model, gene_set=TOP)
    if row is None or pd.isna(row["calibrated"]):
        why = "the model has no score" if row is None else str(row["calibrated_reason"])
        return Card(question, "no ceiling", f"The data show no ceiling to compare with: {why}.")
    place = 100 * float(row["calibrated"])
    words = (
        f"By L2 {model} stands at {place:.0f} % of the way from the mean effect of the other "
        "perturbations (0 %) to the technical duplicate, the same effects measured again in the "
        "other half of the cells (100 %): what lies between is what these data could teach."
    )
    if place > 100:
        words += " Half of the cells are noisier than all of them: hence more than 100 %."
    if place > FAR_BEYOND:
        words += " So far beyond it the data cannot tell how much there is to learn."
    rival = shared[(shared["gene_set"] == TOP) & shared["model"].isin(baselines)]
    rival = rival[rival["n"] == row["n"]].dropna(subset="calibrated").sort_values("mean")
    if len(rival):
        best, at = rival["model"].iloc[0], 100 * float(rival["calibrated"].iloc[0])
        words += f" The best baseline, {best}, stands at {at:.0f} %: only what exceeds it counts."
        again = _row(shared, model=POSITIVE, gene_set=TOP)
        if again is not None and again["n"] < row["n"]:
            words += f" Both on the {counted(int(again['n']), 'perturbation')} with a duplicate."
        ahead = place > at
    else:
        ahead = True
    words += _lost_in_noise(shared)
    return Card(
        question, f"{place:.0f} %", words, GOOD if ahead and 50 < place <= FAR_BEYOND else OPEN
    )


def _lost_in_noise(shared: pd.DataFrame) -> str:
    """Say so where off target no change is closer to the data than measuring them again is."""
    nothing = _row(shared, model=NO_CHANGE, gene_set=OFF_TARGET)
    again = _row(shared, model=POSITIVE, gene_set=OFF_TARGET)
    if nothing is None or again is None or nothing["n"] != again["n"]:
        return ""
    if not nothing["mean"] < again["mean"]:
        return ""
    return (
        f" On all genes but the target no change ({nothing['mean']:.3f}) is closer than the "
        f"duplicate ({again['mean']:.3f}): effects there are smaller than the noise of half of "
        "the cells, and these data can hardly tell models apart by them."
    )


def next_one(screen: pd.DataFrame, level: str) -> Card:
    """Say which perturbation that nobody has made is predicted to change most."""
    question = "What to try next?"
    warning = _alike(screen)
    if warning:
        return Card(question, "not known", warning)
    new = screen[screen["in_training"].astype(str) != "True"].dropna(subset="effect_size")
    if new.empty:
        return Card(question, "nothing new", "Every gene that can be predicted was perturbed.")
    first = new.sort_values("effect_size", ascending=False, kind="stable").iloc[0]
    symbol = first.get("symbol", first["target"])
    name = str(first["target"] if pd.isna(symbol) else symbol)
    words = (
        f"Of {counted(len(new), 'perturbation')} that nobody has made here, this one is predicted "
        f"to change most: size (L2, without the target) {first['effect_size']:.2f}, "
        f"{_range(float(first['lower']), float(first['upper']), level, 2, signed=False)}."
    )
    return Card(question, name, words)


def on_target(qc: pd.DataFrame) -> Card:
    """Say how many perturbations moved their own target."""
    question = "Did the perturbations work?"
    kept = qc["status"] == KEPT
    tested = qc[kept & qc["on_target_z"].notna()]
    unmeasured = qc[kept & qc["on_target_gene"].isna()]
    untested = qc[kept & qc["on_target_gene"].notna() & qc["on_target_z"].isna()]
    lost = qc[~kept]
    if tested.empty:
        return Card(question, "not known", "No target is measured in enough cells.", BAD)
    z = tested["on_target_z"].astype(float)
    down, up = int((z <= -SIGNIFICANT_Z).sum()), int((z >= SIGNIFICANT_Z).sum())
    words = (
        f"{down + up} of {counted(len(tested), 'perturbation')} with a measured target changed it "
        f"significantly (|z| ≥ {SIGNIFICANT_Z}): {down} lowered, {up} raised it."
    )
    for rows, why, what in (
        (unmeasured, "Not measured", "target"),
        (untested, "Measured, but without a test", "target"),
        (lost, "Left out", "perturbation"),
    ):
        if len(rows):
            words += f" {why}: {counted(len(rows), what)}{_names(rows['perturbation'])}."
    share = (down + up) / len(tested)
    news = GOOD if share >= 0.8 else OPEN if share >= 0.5 else BAD
    return Card(question, f"{down + up} of {len(tested)}", words, news)


def truth(drawn: pd.DataFrame) -> list[Card]:
    """Say how well the known truth of a simulated screen was recovered."""
    panels = drawn[drawn["mark"] == "panel"].set_index("what")
    if not {"predicted_effect", "observed_effect"} <= set(panels.index):
        return []
    r, off = panels["r"].astype(float), panels["r_off_target"].astype(float)
    words = (
        f"Correlation of predicted with true effects {r['predicted_effect']:.2f} (off target "
        f"{off['predicted_effect']:.2f}); of observed with true effects, which the noise limits, "
        f"{r['observed_effect']:.2f} (off target {off['observed_effect']:.2f})."
    )
    known = not pd.isna(r["predicted_effect"])
    answer = f"r = {r['predicted_effect']:.2f}" if known else "not known"
    return [Card("Is the truth recovered?", answer, words)]


def nothing_specific(screen: Path) -> str:
    """Say that the order of the predicted perturbations means nothing, where it does."""
    return _alike(read_table(screen))


def _alike(screen: pd.DataFrame) -> str:
    basis = screen["basis"].dropna().astype(str)
    if basis.empty or basis.str.contains("bilinear").any():
        return ""
    named = listing(sorted(set(basis)))
    return (
        "Nothing specific to a gene was learned from this screen, so that all predictions are "
        f"alike (basis: {named}) and their order means nothing."
    )


def edges(statistics: pd.DataFrame, drawn: pd.DataFrame | None = None, *, updated: bool) -> Card:
    """Say how many edges the network has, before and after the updates.

    `drawn` are the numbers of the picture of all partial correlations, which knows beyond which
    size an edge counts as strong.
    """
    rows = statistics.set_index("metric")
    before, after = rows["before"].astype(float), rows["after"].astype(float)
    strong = counted(int(before["strong_edges"]), "strong partial correlation")
    words = strong
    if drawn is not None and (drawn["mark"] == "threshold").any():
        threshold = drawn.loc[drawn["mark"] == "threshold", "right"].astype(float).max()
        words += f" (beyond ±{threshold:g})"
    words += f" among {before['genes']:g} genes"
    if updated:
        words += f", {after['strong_edges']:g} after the updates"
    found = before[before.index.str.startswith(FOUND)].dropna()
    for name, pairs in found.items():
        words += f"; {pairs:g} pairs of any size with a false discovery rate of at most "
        words += str(name).removeprefix(FOUND)
    shrinkage = before.reindex(["shrinkage"]).iloc[0]
    if shrinkage > MUCH_SHRINKAGE:
        words += f". Shrinkage {shrinkage:.2f}: there were few cells for a network"
    return Card("Is there a network?", counted(int(before["strong_edges"]), "edge"), words + ".")


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


def _row(table: pd.DataFrame, **values: str) -> pd.Series | None:
    """Return the one row with some values, if there is one."""
    for column, value in values.items():
        table = table[table[column] == value]
    return None if table.empty else table.iloc[0]


def _range(low: float, high: float, level: str, digits: int = 3, *, signed: bool = True) -> str:
    """Return an interval in words."""
    if pd.isna(low) or pd.isna(high):
        return f"no {level} from so few"
    sign = "+" if signed and (low < 0 or digits > 1) else ""
    return f"{level} {low:{sign}.{digits}f} to {high:{sign}.{digits}f}"
