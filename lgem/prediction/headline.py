"""The result of a screen in a few sentences. Where a baseline wins, these say so first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lgem.errors import counted, listing
from lgem.prediction.calibration import (
    EMPTY,
    NEGATIVE,
    POSITIVE,
    calibrated,
    grouped,
    scores_by_perturbation,
    why_no_positive,
)
from lgem.prediction.metrics import LOWER_IS_BETTER, OFF_TARGET, RANKED, ROUNDING, TARGET, TOP
from lgem.prediction.summary import (
    bootstrap_interval,
    by_entry,
    in_common,
    per_perturbation,
    rivals,
)
from lgem.prediction.training import ANSWERED, MEAN_ONLY
from lgem.prediction.tuning import MEAN, OFF

# Coverage this far from its nominal level is worth a word, and below this number of perturbations
# the quantiles of residuals are coarse.
FAR, FEW = 0.05, 30
PLACES = {OFF_TARGET: "off target", TARGET: "at the target"}


@dataclass(frozen=True)
class Resampling:
    """Bootstrap samples, the share that an interval covers, and where the samples start."""

    draws: int
    interval: float
    seed: int

    def ends(self, values: np.ndarray) -> tuple[float, float]:
        """Return the interval of the mean; missing below two values."""
        return bootstrap_interval(values, self.draws, self.interval, self.seed)

    def worse(self, ours: pd.Series, theirs: pd.Series) -> bool:
        """Return whether our mean is certainly higher than theirs, by more than its rounding."""
        low, _ = self.ends((ours - theirs).to_numpy())
        # Scores of order 1 or more are sums over expression of that order.
        return bool(low > ROUNDING * max(1.0, np.abs(ours).max()))


def headline(
    metrics: pd.DataFrame,
    shared: set[str],
    asked: int,
    models: Sequence[str],
    baselines: Sequence[str],
    draws: int,
    interval: float,
    seed: int,
    controls: Sequence[str] = (),
) -> str:
    """Return the result in words: the first model against the best baseline, by mean L2.

    Both means, their difference and its interval are over the `shared` perturbations. What scores
    only some of these is not compared, but named. `controls` are models with a random embedding:
    they cannot win, but the first of the `models` should beat them.
    """
    scores = scores_by_perturbation(per_perturbation(metrics))
    wide = _wide(scores, "l2", TOP)
    resampling = Resampling(draws, interval, seed)
    if not any(model in wide for model in models):
        why = listing(_reasons(metrics[metrics["model"].isin(models)]))
        return f"No model could predict any of {asked} perturbations ({why}); baselines are scored."
    if not shared:
        return f"No result: none of {asked} perturbations is scored by all models."
    wide = wide.loc[sorted(shared)]
    model, baseline = rivals(wide, models, baselines)
    assert model is not None  # what all models score, each of them does
    assert baseline is not None
    opening, lost = _comparison(wide, model, baseline, asked, resampling)
    elsewhere = _lost_elsewhere(scores, shared, model, baselines, resampling)
    entries = by_entry(metrics[(metrics["metric"] == "l2") & (metrics["gene_set"] == TOP)])
    entries = entries[entries.index.get_level_values("perturbation").isin(shared)]
    beaten, partly = _partly(wide, entries, model, models, baselines, resampling)
    sentences = [
        *([opening, beaten, elsewhere] if lost else [beaten, elsewhere, opening]),
        partly,
        _other_models(wide, model, models),
        _beaten_by_controls(wide, models[0], controls, resampling),
        _counts(metrics, model, asked),
        _ceiling(metrics, scores, shared, model),
        _coverage(metrics, scores, model, interval),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _wide(
    scores: dict[tuple[str, str, str], pd.Series], metric: str, gene_set: str
) -> pd.DataFrame:
    """Return perturbations × models for one metric and gene set."""
    found = {key[0]: part for key, part in scores.items() if key[1:] == (gene_set, metric)}
    return pd.DataFrame(found).sort_index() if found else pd.DataFrame()


def _comparison(
    wide: pd.DataFrame, model: str, baseline: str, asked: int, resampling: Resampling
) -> tuple[str, bool]:
    """Say how the best model and the best baseline compare by L2, and whether the model loses."""
    difference = (wide[model] - wide[baseline]).to_numpy()
    low, high = resampling.ends(difference)
    lost = resampling.worse(wide[model], wide[baseline])
    if resampling.worse(wide[baseline], wide[model]):
        opening = f"The model {model} beats the best baseline, {baseline}"
    elif lost:
        opening = f"The baseline {baseline} beats the model {model}"
    else:
        opening = f"The model {model} and the best baseline, {baseline}, cannot be told apart"
    level = f"{100 * resampling.interval:g} % interval"
    certainty = f"{level} {low:+.3f} to {high:+.3f}" if len(wide) > 1 else f"no {level} from one"
    sentence = (
        f"{opening}: held-out L2 {wide[model].mean():.3f} for {model}, "
        f"{wide[baseline].mean():.3f} for {baseline}, on the {len(wide)} of {asked} perturbations "
        f"that all models score (difference {difference.mean():+.3f}, {certainty})."
    )
    return sentence, lost


def _lost_elsewhere(
    scores: dict[tuple[str, str, str], pd.Series],
    shared: set[str],
    model: str,
    baselines: Sequence[str],
    resampling: Resampling,
) -> str:
    """Say in which other metrics a baseline beats the model, with and without the target."""
    lost: list[str] = []
    for metric in RANKED:
        found = {
            gene_set: told
            for gene_set in (TOP, OFF_TARGET)
            if (gene_set, metric) != (TOP, "l2")
            and (told := _lost(scores, shared, metric, gene_set, model, baselines, resampling))
        }
        if TOP in found:
            also = "; off target too" if OFF_TARGET in found else ""
            lost.append(f"{metric} ({found[TOP]}{also})")
        elif OFF_TARGET in found:
            lost.append(f"{metric} off target ({found[OFF_TARGET]})")
    return f"A baseline beats {model} in {listing(lost)}." if lost else ""


def _lost(
    scores: dict[tuple[str, str, str], pd.Series],
    shared: set[str],
    metric: str,
    gene_set: str,
    model: str,
    baselines: Sequence[str],
    resampling: Resampling,
) -> str:
    """Return the best baseline in a metric with both means, where it certainly beats the model."""
    wide = _wide(scores, metric, gene_set)
    if model not in wide:
        return ""
    wide = wide[wide.index.isin(shared) & wide[model].notna()]
    complete = [name for name in baselines if name in wide and wide[name].notna().all()]
    if wide.empty or not complete:
        return ""
    sign = 1.0 if LOWER_IS_BETTER[metric] else -1.0
    best = (sign * wide[complete].mean()).sort_values(kind="stable").index[0]
    if not resampling.worse(sign * wide[model], sign * wide[best]):
        return ""
    fewer = f" on {counted(len(wide), 'perturbation')}" if len(wide) < len(shared) else ""
    return f"{best} {wide[best].mean():.3f} against {wide[model].mean():.3f}{fewer}"


def _partly(
    wide: pd.DataFrame,
    entries: pd.DataFrame,
    best: str,
    models: Sequence[str],
    baselines: Sequence[str],
    resampling: Resampling,
) -> tuple[str, str]:
    """Name what scores only some of the shared perturbations, with both means there.

    Returns the baselines that certainly beat the best model there, and all others. A model that
    scores none is named too; a baseline may not be meant for any of them.
    """
    winners, told = [], []
    for name in [*models, *baselines]:
        both = in_common(entries, name, best) if name in entries and name != best else wide[:0]
        if name not in wide and name in models:
            told.append(f"{name} scores 0 of these")
        elif 0 < len(both) < len(wide):
            ours, theirs = both[best], both[name]
            if name in baselines and resampling.worse(ours, theirs):
                means = f"L2 {theirs.mean():.3f} against {ours.mean():.3f}"
                winners.append(f"{name} ({counted(len(both), 'perturbation')}, {means})")
                continue
            means = f"{theirs.mean():.3f} there against {ours.mean():.3f} for {best}"
            told.append(f"{name} scores {len(both)} of these: {means}")
    first = f"A baseline beats {best} where it has an answer: {listing(winners)}."
    return first if winners else "", "; ".join(told) + "." if told else ""


def _other_models(wide: pd.DataFrame, model: str, models: Sequence[str]) -> str:
    """Name the other model that is closest, where it is closer than the first one."""
    means = wide[[name for name in models if name in wide]].dropna(axis=1).mean()
    best = str(means.idxmin())
    if best == model:
        return ""
    return (
        f"Of all models {best} comes closest ({means[best]:.3f}), as judged by these very scores."
    )


def _beaten_by_controls(
    wide: pd.DataFrame, model: str, controls: Sequence[str], resampling: Resampling
) -> str:
    """Say which controls with a random embedding have a lower L2 than the first model."""
    told = []
    for control in controls:
        if model not in wide or control not in wide:
            continue
        both = wide[[model, control]].dropna()
        if resampling.worse(both[model], both[control]):
            told.append(f"{control} ({both[control].mean():.3f} against {both[model].mean():.3f})")
    return f"A random embedding does better than {model}: {listing(told)}." if told else ""


def _counts(metrics: pd.DataFrame, model: str, asked: int) -> str:
    """Say how many perturbations the model scores, how, and why not the others."""
    rows = metrics[
        (metrics["model"] == model) & (metrics["metric"] == "l2") & (metrics["gene_set"] == TOP)
    ]
    made = rows[rows["value"].notna()]
    scored = set(made["perturbation"])
    by_mean = made[made["status"] == MEAN_ONLY].drop_duplicates("perturbation")
    text = f"Of {counted(asked, 'perturbation')} asked for, {model} scores {len(scored)}"
    if len(by_mean):
        text += f", {len(by_mean)} of these by the shrunk mean alone ({_whys(by_mean)})"
    others = rows[~rows["perturbation"].isin(scored)].drop_duplicates("perturbation")
    if len(others):
        verb = "is" if len(others) == 1 else "are"
        text += f"; {len(others)} {verb} left out ({_whys(others)})"
    return text + "."


def _whys(rows: pd.DataFrame) -> str:
    """Return the reasons of some rows in words, counted where there are several."""
    counts = grouped(rows["reason"])
    if len(counts) == 1:
        return next(iter(counts))
    return listing(f"{reason}: {count}" for reason, count in counts.items())


def _ceiling(
    metrics: pd.DataFrame,
    scores: dict[tuple[str, str, str], pd.Series],
    shared: set[str],
    model: str,
) -> str:
    """Say where the model stands between the mean effect and a technical duplicate by L2."""
    own, negative, positive = (
        scores.get((name, TOP, "l2"), EMPTY) for name in (model, NEGATIVE, POSITIVE)
    )
    own = own[own.index.isin(shared)]
    place, why = calibrated("l2", own, negative, positive, why_no_positive(metrics))
    if why:
        return f"There is no ceiling to compare with: {why}."
    return f"From the mean effect (0) to a technical duplicate (1), its L2 stands at {place:.2f}."


def _coverage(
    metrics: pd.DataFrame,
    scores: dict[tuple[str, str, str], pd.Series],
    model: str,
    nominal: float,
) -> str:
    """Say how often the model's prediction intervals hold what was observed."""
    found = {
        place: part
        for gene_set, place in PLACES.items()
        if (part := scores.get((model, gene_set, "coverage"))) is not None
    }
    if not found:
        rows = metrics[
            (metrics["model"] == model)
            & (metrics["metric"] == "coverage")
            & (metrics["gene_set"] == OFF_TARGET)
            & metrics["status"].isin(ANSWERED)
        ]
        why = rows["reason"].drop_duplicates().tolist()
        return f"It has no intervals ({listing(why)})." if why else ""
    shares = [f"{100 * part.mean():.0f} % {place}" for place, part in found.items()]
    text = f"Its {100 * nominal:g} % intervals hold, of what was observed, {' and '.join(shares)}"
    far = {p: part for p, part in found.items() if abs(part.mean() - nominal) > FAR + 1e-9}
    if far:
        fewest = min(len(part) for part in far.values())
        if fewest < FEW:
            cause = f"few residuals to judge by, from {counted(fewest, 'perturbation')}"
        elif all(part.mean() > nominal for part in far.values()):
            cause = "changes that are all alike there, so that the intervals hold more than asked"
        else:
            cause = "errors in training that are unlike those on held-out folds"
        text += f", more than 5 points from nominal {' and '.join(far)}; likely cause: {cause}"
    return text + "."


def _reasons(metrics: pd.DataFrame) -> list[str]:
    """Return why held-out perturbations have no prediction, without the genes' names."""
    held_out = metrics[metrics["fold"].notna() & ~metrics["status"].isin(ANSWERED)]
    return sorted(set(held_out["reason"].str.split(":").str[0]))


def learned(model: str, parts: Sequence[str]) -> str:
    """Say in how many folds a model switched off all that is specific to a perturbation.

    Parameters
    ----------
    model
        Its name.
    parts
        What is switched on in each fold, see `lgem.prediction.tuning.PARTS`.
    """
    general = [part for part in parts if part in (OFF, MEAN)]
    if not general:
        return ""
    counts = pd.Series(general).value_counts().sort_index()
    named = listing(f"{part}: {count}" for part, count in counts.items())
    return (
        f"Off the target {model} learned nothing specific to a perturbation in {len(general)} of "
        f"{counted(len(parts), 'fold')} ({named})."
    )
