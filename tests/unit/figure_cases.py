"""Tables to draw, ordinary and awkward, for the tests of figures."""

from functools import cache
from itertools import product
from unittest.mock import patch

import numpy as np
import pandas as pd
from matplotlib.text import Text

from lgem.figures import network, prediction, screen, style
from lgem.figures.pairs import PAIR_COLUMNS, observed_against_predicted

LONG = ["CTD-2196E14.4", "RP11-1094M14.11", "HES1+NKX2-5", "AC093323.1", "STAT1"]
MODELS = [
    "lgem", "no_change", "mean", "additive", "no_change_on_target", "mean_on_target",
    "lgem_random_P", "lgem_random_G", "paper", "mine_of_an_extraordinarily_long_name_of_a_model",
    "ridge10", "transfer_from_rpe1",
]  # fmt: skip
CONSTANT = "prediction or observation does not differ between genes"
UNMEASURED = "the target is not measured" + " in this panel of genes" * 4
SCORE_KEYS = ["model", "gene_set", "metric"]


def qc(n, missing=0.1):
    rng = np.random.default_rng(n)
    names = np.array((LONG + [f"GENE{k}" for k in range(n)])[:n])
    effect, error = rng.normal(-1, 0.6, n), rng.uniform(0.05, 0.3, n)
    gene, few = np.where(rng.random(n) < missing, "", names), rng.random(n) < missing
    table = pd.DataFrame({"perturbation": names, "n_cells": 90, "n_guides": 3})
    return table.assign(
        on_target_gene=gene,
        on_target_effect=np.where(gene == "", np.nan, effect),
        on_target_z=np.where(gene == "", np.nan, effect / error),
        status=np.where(few, "left_out", "kept"),
        reason=np.where(few, "7 cells, fewer than min_cells 10", None),
    )


def scores(models, perturbations, unscored=(), repeats=1):
    """Return metrics and summary; no_change has no correlation, `mean` misses each fifth."""
    rng, rows = np.random.default_rng(0), []
    sets = product(models, ("top", "top_off_target"), ("l2", "pearson_delta"))
    for (model, gene_set, metric), k in product(sets, range(perturbations * repeats)):
        value = rng.gamma(8, 0.15) if metric == "l2" else np.tanh(rng.normal(0.5, 0.4))
        constant = model == "no_change" and metric != "l2"
        repeat, k = divmod(k, perturbations)
        unmeasured = f"{UNMEASURED}: G{k}"
        reason = unmeasured if model in unscored else CONSTANT if constant else None
        value = np.nan if reason or (model == "mean" and k % 5 == 0) else value
        rows.append((model, repeat, 0, f"P{k}", gene_set, metric, value, "predicted", reason))
    metrics = pd.DataFrame(rows, columns=prediction.METRICS_COLUMNS)
    grouped = metrics.groupby([*SCORE_KEYS, "perturbation"])["value"].mean().groupby(SCORE_KEYS)
    summary = grouped.agg(mean="mean", n="count", n_asked="size").reset_index()
    return metrics, summary.assign(lower=summary["mean"] - 0.1, upper=summary["mean"] + 0.1)


def pairs(models, perturbations, genes):
    rng, parts = np.random.default_rng(1), []
    for model, k in product(models, range(perturbations)):
        target = np.arange(genes) == k % genes
        observed = rng.standard_t(3, genes) * 0.1 - 1.4 * target
        predicted = 0.0 if model == "no_change" else 0.6 * observed + rng.normal(0, 0.1, genes)
        gene = [f"G{j}" for j in range(genes)]
        columns = [model, f"P{k}", gene, predicted, observed, target]
        parts.append(pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True)


def histogram(scale=0.03, n=5000):
    rng, bounds = np.random.default_rng(2), np.linspace(-1, 1, 161)
    before = rng.standard_t(4, n) * scale
    both = {"before": before, "after": before + rng.normal(0, scale / 2, n)}
    counts = {name: np.histogram(values, bounds)[0] for name, values in both.items()}
    return pd.DataFrame({"left": bounds[:-1], "right": bounds[1:], **counts})


def changes(n):
    change = np.sort(np.random.default_rng(n).exponential(0.05, n))[::-1] * np.resize([1, -1, 1], n)
    table = pd.DataFrame({"rank": range(1, n + 1), "gene_a": np.resize(LONG, n), "before": 0.2})
    return table.assign(
        gene_b=[f"RP11-{k}M14" for k in range(n)], after=0.2 + change, change=change
    )


def network_table(*estimators):
    known = zip(["auroc", "aupr", "aupr_ratio", "early_precision"], [0.7, 0.1, 6, 0.2], strict=True)
    rows = [(name, *metric) for name, metric in product(estimators, known)]
    table = pd.DataFrame(rows, columns=["estimator", "metric", "value"]).assign(chance=0.1)
    return table.assign(lower=table["value"] * 0.9, upper=table["value"] * 1.1)


def blank(table, *columns):
    return table.assign(**dict.fromkeys(columns, np.nan))


def held(*args, **kwargs):
    return prediction.held_out_error(*scores(*args, **kwargs))


def paired(models, *args, **kwargs):
    return observed_against_predicted(pairs(models, *args), **kwargs)


def partial(table, threshold=0.15, means=(0.0049, 0.0053)):
    rows = [("strong_edges", 1, 1234), ("mean_abs_rho", *means), ("density", 0.1, 0.2)]
    statistics = pd.DataFrame(rows, columns=network.STATISTICS_COLUMNS)
    return network.partial_correlations(table, threshold, statistics)


def few_z(table):
    return table["on_target_z"].where(table.index > 2)


NOTHING = pd.DataFrame()
FIVE = ("ledoit_wolf", "oas", "schaefer_strimmer", "factor_model", "graphical_lasso")
CASES = {
    "on_target 1": lambda: screen.on_target(qc(1, 0)),
    "on_target 3": lambda: screen.on_target(qc(3)),
    "on_target 40": lambda: screen.on_target(qc(40)),
    "on_target 200": lambda: screen.on_target(qc(200)),
    "on_target 2000": lambda: screen.on_target(qc(2000)),
    "on_target no z": lambda: screen.on_target(blank(qc(60), "on_target_z")),
    "on_target equal": lambda: screen.on_target(qc(50, 0).assign(on_target_effect=0.0)),
    "on_target wide": lambda: screen.on_target(qc(60, 0).assign(on_target_z=0.1)),
    "on_target few z": lambda: screen.on_target(qc(30, 0).assign(on_target_z=few_z)),
    "on_target below": lambda: screen.on_target(
        qc(60, 0).assign(on_target_effect=np.linspace(-2, -0.02, 60))
    ),
    "on_target unmeasured": lambda: screen.on_target(qc(8, missing=1)),
    "on_target empty": lambda: screen.on_target(NOTHING),
    "held_out 1": lambda: held(["lgem"], 1),
    "held_out 3": lambda: held(MODELS[:4], 3, unscored=["additive"]),
    "held_out 12 models": lambda: held(MODELS, 25, unscored=[MODELS[9]]),
    "held_out 200": lambda: held(MODELS[:5], 200, repeats=2),
    "held_out unscored": lambda: held(MODELS[:3], 5, unscored=MODELS),
    "held_out empty": lambda: prediction.held_out_error(NOTHING, NOTHING),
    "pairs 1 model": lambda: paired(["lgem"], 3, 20),
    "pairs 1 point": lambda: paired(["lgem"], 1, 1),
    "pairs 3 models": lambda: paired(MODELS[:3], 5, 50),
    "pairs 5 of 12": lambda: paired(
        MODELS[:5], 5, 50, missing=dict.fromkeys(MODELS, UNMEASURED + ": G1")
    ),
    "pairs thinned": lambda: paired(MODELS[:2], 10, 300, most_points=500),
    "pairs no values": lambda: observed_against_predicted(
        blank(pairs(MODELS[:2], 2, 5), "predicted_effect")
    ),
    "pairs empty": lambda: observed_against_predicted(NOTHING),
    "partial": lambda: partial(histogram()),
    "partial tiny": lambda: partial(histogram(0.002, 300)),
    "partial same": lambda: partial(histogram().assign(after=histogram()["before"]), None),
    "partial one bin": lambda: partial(histogram().iloc[80:81]),
    "partial no counts": lambda: partial(blank(histogram(), "before", "after")),
    "partial zero": lambda: partial(histogram(0, 80), means=(0.0, 0.0)),
    "partial empty": lambda: partial(NOTHING),
    "changes 20": lambda: network.largest_changes(changes(20)),
    "changes 1": lambda: network.largest_changes(changes(1)),
    "changes symbols": lambda: network.largest_changes(
        changes(3).assign(symbol_a=["recA", None, "lexA"], symbol_b="umuD")
    ),
    "changes tiny": lambda: network.largest_changes(changes(3).assign(change=[4e-8, -1e-8, 0.0])),
    "changes no values": lambda: network.largest_changes(blank(changes(3), "change")),
    "changes empty": lambda: network.largest_changes(NOTHING),
    "scores 5": lambda: network.network_scores(
        network_table(*FIVE), network="before the update", interval=0.95
    ),
    "scores 1": lambda: network.network_scores(network_table("oas").head(1)),
    "scores no values": lambda: network.network_scores(blank(network_table("oas"), "value")),
    "scores empty": lambda: network.network_scores(NOTHING),
}
EMPTY = {
    "on_target unmeasured": "Not measured, 8 of 8: target gene not measured",
    "on_target empty": "No perturbations",
    "held_out empty": "No held-out scores",
    "pairs empty": "No predicted effects",
    "partial no counts": "No partial correlations",
    "partial zero": "Shrinkage left no partial correlation: all 80 are 0",
    "partial empty": "No partial correlations",
    "changes no values": "3 without a value",
    "changes empty": "no edge changed",
    "scores empty": "no reference network",
}


@style.styled
def drawn_texts(figure):
    """Draw a figure and return the texts that were really drawn, with their boxes in pixels."""
    drawn, draw = [], Text.draw

    def spy(text, *args, **kwargs):
        drawn.append(text)
        return draw(text, *args, **kwargs)

    with patch.object(Text, "draw", spy):
        figure.draw_without_rendering()
    return [(text, text.get_window_extent()) for text in drawn if text.get_text().strip()]


@cache
def case(name):
    return CASES[name]()


@cache
def texts(name):
    return drawn_texts(case(name)[0])


def said(name):
    return " ".join(" ".join(text.get_text() for text, _ in texts(name)).split())


def overlap(a, b):
    """Tell whether two boxes share more than a pixel in both directions."""
    return min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1


def within(a, b):
    """Tell whether box a lies in box b, up to a pixel."""
    return min(a.x0 - b.x0, a.y0 - b.y0, b.x1 - a.x1, b.y1 - a.y1) >= -1
