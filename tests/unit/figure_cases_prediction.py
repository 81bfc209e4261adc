"""Tables of predictions to draw, ordinary and awkward, for the tests of figures."""

from itertools import product

import numpy as np
import pandas as pd
from figure_cases import CONSTANT, NOTHING, UNMEASURED, blank, pairs

from lgem.figures import calibration, doubles, gene_counts, swaps, truth
from lgem.figures.prediction import METRICS_COLUMNS
from lgem.prediction.calibration import FIXED_NEGATIVE, NEGATIVE
from lgem.prediction.summary import COMPARISON_COLUMNS, SUMMARY_COLUMNS

TWELVE = [
    "lgem", "paper", "mine_of_an_extraordinarily_long_name_of_a_model", "ridge10",
    "lgem_random_P", "lgem_random_G", "no_change", "mean", "additive", "no_change_on_target",
    "mean_on_target", "additive_on_target",
]  # fmt: skip
DUPLICATE = "technical_duplicate"
COMBINED = ["G1+G2", "CTD-2196E14.4+RP11-1094M14.11", "HES1+NKX2-5", "AC093323.1+STAT1"]


def errors(models, total=500, n=20, partial=()):
    grid = [k for k in (10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if k < total] + [total]
    rows = []
    for (k, model), genes, metric in product(enumerate(models), grid, ("l2", "pearson_delta")):
        value = (1 + 0.1 * k) * genes**0.3 if metric == "l2" else 0.9 - 0.05 * k - genes / 9000
        own = 0 if model == "no_change" and metric != "l2" else 3 if model in partial else n
        value = value if own else np.nan
        half = 0.1 * value if own > 1 else np.nan
        rows.append((model, genes, metric, value, value - half, value + half, own))
    return pd.DataFrame(rows, columns=gene_counts.GENE_COUNT_COLUMNS)


def scored(models, perturbations, repeats=1, unscored=()):
    """Return the metrics of models; no_change has no correlation."""
    rng, rows = np.random.default_rng(3), []
    names = perturbations if isinstance(perturbations, list) else [
        f"P{k}" for k in range(perturbations)
    ]  # fmt: skip
    sets = product(enumerate(models), ("top", "top_off_target"), ("l2", "pearson_delta"))
    for ((k, model), gene_set, metric), (j, name), repeat in product(
        sets, enumerate(names), range(1, repeats + 1)
    ):
        value = 1 + 0.1 * k + rng.gamma(4, 0.1) if metric == "l2" else np.tanh(rng.normal(0.5, 0.3))
        why = UNMEASURED if model in unscored else CONSTANT if model == "no_change" else None
        value = np.nan if why and (metric != "l2" or model in unscored) else value
        rows.append((model, repeat, j % 3 + 1, name, gene_set, metric, value, "predicted", why))
    return pd.DataFrame(rows, columns=METRICS_COLUMNS)


def compared(metrics, backwards=False):
    """Return the paired differences of every two models."""
    rows, models = [], list(dict.fromkeys(metrics["model"]))
    for (gene_set, metric), own in metrics.groupby(["gene_set", "metric"]):
        wide = own.pivot_table(index="perturbation", columns="model", values="value")
        for j, a in enumerate(models):
            for b in models[j + 1 :]:
                first, second = (b, a) if backwards else (a, b)
                if first not in wide or second not in wide:
                    continue
                difference = (wide[first] - wide[second]).dropna()
                if len(difference):
                    mean = difference.mean()
                    ends = (mean - 0.05, mean + 0.08) if len(difference) > 1 else (np.nan,) * 2
                    rows.append((first, second, gene_set, metric, len(difference), mean, *ends))
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def swapped(*args, first="lgem", backwards=False, **kwargs):
    metrics = scored(*args, **kwargs)
    return swaps.embedding_swaps(metrics, compared(metrics, backwards), first)


def splits_of(metrics, seen):
    held_out = metrics[["repeat", "fold", "perturbation"]].drop_duplicates()
    held_out = held_out.assign(scheme="doubles", set="test")
    return held_out.assign(seen=np.resize(seen, len(held_out))) if seen else held_out


def combined(names, seen=(0, 1, 2), models=("lgem", *doubles.BESIDE), genes=40, most=12_000):
    metrics = scored(list(models), names)
    effects = pairs([m for m in ("lgem", "additive") if m in models], len(names), genes)
    called = effects["perturbation"].map({f"P{k}": name for k, name in enumerate(names)})
    effects = effects.assign(perturbation=called)
    return doubles.doubles(metrics, splits_of(metrics, seen), effects, "lgem", most_points=most)


def many(n):
    return [f"GENE{k}+OTHER{k % 7}" for k in range(n)]


def summarised(models, why="", n=20, no_interval=(), far=False):
    rng, rows = np.random.default_rng(5), []
    for (k, model), gene_set, metric, which in product(
        enumerate([*models, DUPLICATE]), ("top", "top_off_target"), calibration.METRICS,
        ("scored", "shared"),
    ):  # fmt: skip
        value = rng.uniform(0.2, 0.8)
        place = np.nan if why else -3.0 if far and k == 1 else 0.1 + 0.06 * k
        reason = why
        if model == "no_change" and metric.startswith("pearson"):
            value, place, reason = np.nan, np.nan, "no perturbation with a value"
        rows.append(
            (model, gene_set, which, metric, value, value - 0.1, value + 0.1, n, 30, place, reason)
        )
    for (k, model), (gene_set, shift) in product(
        enumerate(models), (("target", -0.2), ("top_off_target", 0.0))
    ):
        value = np.nan if model in no_interval else 0.85 - 0.02 * k + shift
        ends = (value - 0.05, min(value + 0.05, 1.0))
        count = 0 if model in no_interval else n
        rows.append((model, gene_set, "scored", "coverage", value, *ends, count, 30, np.nan, ""))
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def uncovered(models):
    """Return rows of metrics that say why models have no coverage."""
    rows = [(m, 1, 1, "P1", "target", "coverage", np.nan, "predicted",
             "fewer than 9 residuals: 7") for m in models]  # fmt: skip
    return pd.DataFrame(rows, columns=METRICS_COLUMNS)


def drawn_calibration(summary, metrics):
    return calibration.calibration(
        summary, metrics, negative=NEGATIVE, fixed_negative=FIXED_NEGATIVE
    )


def calibrated(models, no_interval=(), **kwargs):
    summary = summarised(models, no_interval=no_interval, **kwargs)
    return drawn_calibration(summary, uncovered(no_interval))


def true_pairs(perturbations, genes):
    table = pairs(["lgem"], perturbations, genes).drop(columns="model")
    noise = np.random.default_rng(4).normal(0, 0.05, len(table))
    return table.assign(true_effect=table["observed_effect"] + noise)


def curves(*networks, n=300):
    recall = np.linspace(1 / n, 1, n)
    parts = [
        pd.DataFrame({"network": name, "pairs": np.arange(1, n + 1) * (k + 2), "recall": recall})
        .assign(precision=0.9 * np.exp(-(2 + k) * recall) + 0.03, chance=0.03)
        for k, name in enumerate(networks)
    ]  # fmt: skip
    return pd.concat(parts) if parts else NOTHING


def against_truth(table, steps, **kwargs):
    areas = {"before": 0.31, "after": 0.33}
    return truth.predicted_against_truth(table, steps, areas, "lgem", **kwargs)


CASES = {
    "genes 12 models": lambda: gene_counts.error_by_genes(
        errors(TWELVE, partial=["additive", "additive_on_target"]), scored=100
    ),
    "genes 15 strong": lambda: gene_counts.error_by_genes(
        errors(["lgem", *(f"model_{k}" for k in range(14))], 20000), scored=1000
    ),
    "genes 1 perturbation": lambda: gene_counts.error_by_genes(errors(TWELVE[:3], 60, n=1)),
    "genes only 8": lambda: gene_counts.error_by_genes(errors(["lgem", "mean"], 8), scored=1000),
    "genes no pearson": lambda: gene_counts.error_by_genes(errors(["no_change"])),
    "genes no values": lambda: gene_counts.error_by_genes(blank(errors(["lgem"]), "mean")),
    "genes empty": lambda: gene_counts.error_by_genes(NOTHING),
    "swaps 12 models": lambda: swapped(TWELVE, 25, unscored=["ridge10"]),
    "swaps 2 backwards": lambda: swapped(["paper", "lgem"], 7, repeats=2, backwards=True),
    "swaps 1 perturbation": lambda: swapped(TWELVE[:6], 1),
    "swaps long first": lambda: swapped(TWELVE, 5, first=TWELVE[2]),
    "swaps none shared": lambda: swapped(["lgem", "paper"], 4, unscored=["paper"]),
    "swaps same": lambda: swaps.embedding_swaps(
        scored(["lgem", "paper"], 4).assign(value=1.0),
        compared(scored(["lgem", "paper"], 4).assign(value=1.0)), "lgem",
    ),
    "swaps many": lambda: swapped(TWELVE, 400),
    "swaps alone": lambda: swapped(["lgem", "mean"], 4),
    "swaps empty": lambda: swaps.embedding_swaps(NOTHING, NOTHING, "lgem"),
    "doubles 4": lambda: combined(COMBINED),
    "doubles 1": lambda: combined(COMBINED[1:2]),
    "doubles 1 of each": lambda: combined(COMBINED[:3], models=("lgem", "additive")),
    "doubles no seen": lambda: combined(COMBINED, seen=()),
    "doubles uneven": lambda: combined(many(26), seen=[2] * 24 + [1, 0]),
    "doubles 130": lambda: combined(many(130), genes=300),
    "doubles no model": lambda: combined(COMBINED, models=("additive", "no_change")),
    "doubles singles": lambda: combined(["G1", "G2"]),
    "doubles empty": lambda: doubles.doubles(NOTHING, NOTHING, NOTHING, "lgem"),
    "calibration 12 models": lambda: calibrated(TWELVE, no_interval=["paper", "no_change"]),
    "calibration 1": lambda: calibrated(["lgem"]),
    "calibration far": lambda: calibrated(TWELVE[:3], far=True),
    "calibration no intervals": lambda: calibrated(TWELVE[:4], no_interval=TWELVE[:4]),
    "calibration no duplicate": lambda: calibrated(
        TWELVE[:8], why="no technical duplicate: halves of fewer than 5 cells, everywhere"
    ),
    "calibration no coverage": lambda: drawn_calibration(
        summarised(TWELVE[:3]).query("metric != 'coverage'"), NOTHING
    ),
    "calibration only mean": lambda: calibrated(["mean"]),
    "calibration empty": lambda: drawn_calibration(NOTHING, NOTHING),
    "truth": lambda: against_truth(true_pairs(10, 100), curves("before", "after")),
    "truth thinned": lambda: against_truth(
        true_pairs(60, 300), curves("before", "after", n=3000), unit="log units of the input"
    ),
    "truth 1 point": lambda: against_truth(true_pairs(1, 1), curves("before", n=1)),
    "truth no prediction": lambda: against_truth(
        NOTHING, curves("before", "after"), missing=UNMEASURED
    ),
    "truth no network": lambda: against_truth(true_pairs(2, 30), NOTHING),
    "truth empty": lambda: against_truth(NOTHING, NOTHING),
}  # fmt: skip
EMPTY = {
    "genes no values": "No held-out scores",
    "genes empty": "No held-out scores",
    "swaps alone": "Only one model, lgem",
    "swaps empty": "No held-out scores",
    "doubles singles": "No combination was held out",
    "doubles empty": "No combination was held out",
    "calibration empty": "No held-out scores",
    "truth empty": "Nothing to compare",
}
