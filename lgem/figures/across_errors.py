"""Errors of several datasets: by model, by number of genes, and what other embeddings change."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lgem.figures import across, gene_counts, prediction, style, swaps, ticks
from lgem.figures.across import Tables
from lgem.figures.looks import looks
from lgem.figures.prediction import BASELINES, KIND_LOOKS
from lgem.figures.style import Drawn

TOP = "top"  # the gene set drawn: where datasets stand side by side there is no room for two
_COUNTS = "Under the names: perturbations in the mean of those asked for; in brackets where fewer."
_LABELS = {"l2": "L2 ({unit})", "pearson_delta": "Pearson r of effects"}


@style.styled
def held_out_errors(
    tables: Tables,
    units: Mapping[str, str],
    *,
    missing: Mapping[str, str] | None = None,
    interval: float = 0.9,
) -> Drawn:
    """Draw the error of every model on held-out perturbations, a column of panels per dataset.

    Rows are models in one order for all datasets: those of the config, baselines, random
    embeddings, the technical duplicate.

    Parameters
    ----------
    tables
        The table of `lgem.figures.prediction.held_out_error` for each dataset.
    units
        Unit of log-expression of each dataset.
    missing
        Datasets that have no scores, with the reason.
    interval
        Share that the intervals cover.

    Returns
    -------
    figure, table
        The rows of the gene set ``top`` of all tables, behind their ``dataset``.
    """
    columns = ["dataset", *prediction.HELD_OUT_COLUMNS]
    name = "Error on held-out perturbations, by dataset"
    drawn, names, told = across.gather(tables, missing or {}, "mean", "value")
    if drawn.empty:
        return style.empty_figure(f"No held-out scores. {told}", columns, title=name)
    drawn = drawn[(drawn["gene_set"] == TOP) | (drawn["mark"] == "note")].copy()
    models = _by_kind(drawn)
    shift = prediction.jitter(drawn["perturbation"].dropna(), 0.22)
    drawn["position"] = drawn["model"].map(models.index) + drawn["perturbation"].map(shift).fillna(
        0.0
    )
    drawn.loc[drawn["mark"] == "best_baseline", "position"] = float("nan")
    shown = drawn[drawn["dataset"].isin(names)]
    unit, about_units = across.shared_unit(units, names)
    kinds = [kind for kind in KIND_LOOKS if kind in set(shown["kind"])]
    legend = [(style.handle(*KIND_LOOKS[kind]), kind) for kind in kinds]
    if (shown["mark"] == "best_baseline").any():
        line = Line2D([], [], color=style.ORANGE, linewidth=0.8, linestyle=":")
        legend.append((line, "best baseline"))
    said = [
        f"Small marks: perturbations; large: mean with {100 * interval:g} % interval. {_COUNTS}",
        *(about_units, _unscored(shown), told),
    ]
    figure = style.new_figure(
        "double", across.body_height(names, 2, len(models), 3.8, 12.0),
        title=name, legend=legend, note=" ".join(filter(None, said)),
    )  # fmt: skip
    panels = across.grid(figure, names, prediction.METRICS)
    counts = _counts(shown)
    usual = {name: max(counts[name].values(), default=(0, 0)) for name in names}
    for (dataset, metric), axes in panels.items():
        own = shown[(shown["dataset"] == dataset) & (shown["metric"] == metric)]
        prediction.error_panel(axes, own, (TOP,), len(models))
        scored = {model: n for (model, what), n in counts[dataset].items() if what == metric}
        suffixes = [_in_brackets(scored.get(model, (0, 0)), usual[dataset]) for model in models]
        first = across.is_first(names, dataset) and (len(names) > 1 or metric == "l2")
        across.name_rows(axes, models, suffixes, first=first)
        axes.set_xlabel(across.beside(names, _LABELS[metric].format(unit=unit)))
        if metric == "l2":
            axes.set_title(f"{dataset}\n{usual[dataset][0]:.0f} of {usual[dataset][1]:.0f}")
        if axes.get_xscale() == "linear":
            ticks.number_axis(axes.xaxis, 4)
    across.same_ends(axes for (_, metric), axes in panels.items() if metric != "l2")
    style.freeze(figure)
    for (dataset, metric), axes in panels.items():
        across.fit_title(axes)
        own = shown[(shown["dataset"] == dataset) & (shown["metric"] == metric)]
        for model in own.loc[own["mark"] == "note", "model"]:
            across.in_row(axes, models.index(model), "none scored")
    return figure, style.drawn_table([drawn], columns)


def _by_kind(drawn: pd.DataFrame) -> list[str]:
    """Return the models, kinds together, within a kind as they come."""
    kinds = {model: prediction.kind_of(model) for model in dict.fromkeys(drawn["model"].dropna())}
    return sorted(kinds, key=lambda model: list(KIND_LOOKS).index(kinds[model]))


def _counts(shown: pd.DataFrame) -> dict[str, dict[tuple[str, str], tuple[float, float]]]:
    """Return perturbations scored and asked for, by dataset, then by model and metric."""
    found: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
    means = shown[shown["mark"] == "mean"]
    for dataset, own in means.groupby("dataset"):
        keys = zip(own["model"], own["metric"], strict=True)
        counts = zip(own["n"], own["n_asked"], strict=True)
        found[str(dataset)] = dict(zip(keys, counts, strict=True))
    return found


def _in_brackets(count: tuple[float, float], usual: tuple[float, float]) -> str:
    """Return what stands beside a row that has fewer perturbations than others, but some."""
    return f"({count[0]:.0f})" if 0 < count[0] != usual[0] else ""


def _unscored(shown: pd.DataFrame) -> str:
    """Return why rows have no marks: each reason once, with the models that it concerns."""
    notes = shown[shown["mark"] == "note"]
    reasons: dict[str, list[str]] = {}
    for model, note in zip(notes["model"], notes["note"], strict=True):
        why = re.sub(r" \(\d+ of \d+\)$", "", str(note).removeprefix("none scored: "))
        if model not in reasons.setdefault(why, []):
            reasons[why].append(str(model))
    return " ".join(f"None scored: {', '.join(own)} ({why})." for why, own in reasons.items())


@style.styled
def errors_by_genes(
    tables: Tables,
    units: Mapping[str, str],
    *,
    missing: Mapping[str, str] | None = None,
    baselines: Collection[str] = BASELINES,
    interval: float = 0.9,
) -> Drawn:
    """Draw the mean error over the most expressed genes, a column of panels per dataset.

    Parameters
    ----------
    tables
        The table of `lgem.figures.gene_counts.error_by_genes` for each dataset.
    units, missing, interval
        As for `held_out_errors`.
    baselines
        Names of the baselines, also with the on-target term behind them.

    Returns
    -------
    figure, table
        The rows of all tables, behind their ``dataset``.
    """
    columns = ["dataset", *gene_counts.ERROR_COLUMNS]
    name = "Error against the number of genes, by dataset"
    drawn, names, told = across.gather(tables, missing or {}, "mean", "mean")
    if drawn.empty:
        return style.empty_figure(f"No held-out scores. {told}", columns, title=name)
    shown = drawn[drawn["dataset"].isin(names)]
    known = shown[shown["mark"] == "mean"].dropna(subset=["mean"])
    models = list(dict.fromkeys(known["model"]))
    look = looks(models, baselines)
    unit, about_units = across.shared_unit(units, names)
    legend = [(look[model].handle(line=True), style.shorten(model, 70)) for model in models]
    if (shown["mark"] == "scored").any():
        line = Line2D([], [], color=style.LIGHT, linewidth=0.9)
        legend.append((line, "genes, as scored elsewhere"))
    said = [
        f"Band: {100 * interval:g} % interval of {models[0]}. Pale: over fewer perturbations "
        "than others, not comparable. Equal lines lie on one another. A perturbation's own target "
        "is scored in any case.",
        *(about_units, told),
    ]
    figure = style.new_figure(
        "double", across.body_height(names, 2, 1, 42.0, 30.0),
        title=name, legend=legend, note=" ".join(filter(None, said)),
    )  # fmt: skip
    panels = across.grid(figure, names, gene_counts.METRICS)
    labels = {"l2": f"mean L2 ({unit})", "pearson_delta": "mean Pearson r of effects"}
    for (dataset, metric), axes in panels.items():
        own = known[(known["dataset"] == dataset) & (known["metric"] == metric)]
        most = own.groupby("model")["n"].max()
        faint = set(most[most < most.max()].index)
        gene_counts.lines_panel(axes, own, models, look, faint)
        for scored in shown.loc[
            (shown["dataset"] == dataset) & (shown["mark"] == "scored"), "genes"
        ]:
            axes.axvline(scored, color=style.LIGHT, linewidth=0.9, zorder=0)
        if len(own):
            words = across.beside(names, "genes (log scale)")
            apart = 0.15 if across.columns_of(names) < 3 else 0.3
            gene_counts.count_axis(axes, own["genes"].unique(), words, apart)
        if metric == "l2":
            axes.set_title(f"{dataset}\nn = {most.max():.0f}")
        if across.is_first(names, dataset) or len(names) == 1:
            axes.set_ylabel(labels[metric])
    style.freeze(figure)
    for axes in panels.values():
        across.fit_title(axes)
        if not axes.lines:
            style.say(axes, "Undefined for every model: no prediction differs between genes.")
    return figure, style.drawn_table([drawn], columns)


@style.styled
def all_swaps(
    tables: Tables,
    units: Mapping[str, str],
    *,
    missing: Mapping[str, str] | None = None,
    baselines: Collection[str] = BASELINES,
    interval: float = 0.9,
) -> Drawn:
    """Draw the paired differences of the first model from others, a column per dataset.

    Parameters
    ----------
    tables
        The table of `lgem.figures.swaps.embedding_swaps` for each dataset.
    units, missing, baselines, interval
        As for `errors_by_genes`.

    Returns
    -------
    figure, table
        The rows of the gene set ``top`` of all tables, behind their ``dataset``.
    """
    columns = ["dataset", *swaps.SWAP_COLUMNS]
    name = "Embedding swaps, by dataset"
    drawn, names, told = across.gather(tables, missing or {}, "mean", "difference")
    if drawn.empty:
        return style.empty_figure(f"Nothing to compare. {told}", columns, title=name)
    drawn = drawn[(drawn["gene_set"] == TOP) | (drawn["mark"] == "note")].copy()
    others = list(dict.fromkeys(drawn["other"].dropna()))
    others.sort(key=lambda other: prediction.kind_of(other, baselines) != "model")
    drawn["position"] = drawn["other"].map(others.index).astype(float)
    shown = drawn[drawn["dataset"].isin(names)]
    first = str(shown["model"].dropna().iloc[0])
    unit, about_units = across.shared_unit(units, names)
    said = [
        f"Small marks: perturbations; large: mean difference, {first} minus the other, with "
        f"{100 * interval:g} % interval. In brackets: perturbations that both score.",
        *(about_units, told),
    ]
    figure = style.new_figure(
        "double", across.body_height(names, 2, len(others), 5.0, 18.0),
        title=f"{name}: {style.shorten(first, 80, style.TITLE)} against others",
        note=" ".join(filter(None, said)),
    )  # fmt: skip
    panels = across.grid(figure, names, swaps.METRICS)
    look = looks([first, *others], baselines)
    labels = {"l2": f"difference in L2 ({unit})", "pearson_delta": "difference in Pearson r"}
    for (dataset, metric), axes in panels.items():
        own = shown[(shown["dataset"] == dataset) & (shown["metric"] == metric)]
        swaps.difference_panel(axes, own, others, look)
        pairs = own[own["mark"] == "mean"].set_index("other")["n"]
        suffixes = [f"({pairs[other]:.0f})" if other in pairs else "" for other in others]
        at_border = across.is_first(names, dataset) and (len(names) > 1 or metric == "l2")
        across.name_rows(axes, others, suffixes, first=at_border)
        better = f"{style.shorten(first, 16, style.LABEL)} better"
        better = f"← {better}" if swaps.BETTER[metric] < 0 else f"{better} →"
        axes.set_xlabel(f"{across.beside(names, labels[metric])}\n{better}")
        if metric == "l2":
            axes.set_title(dataset)
        ticks.number_axis(axes.xaxis, 4)
    style.freeze(figure)
    for (dataset, metric), axes in panels.items():
        across.fit_title(axes)
        own = shown[(shown["dataset"] == dataset) & (shown["metric"] == metric)]
        _say_rows(axes, own, others)
    return figure, style.drawn_table([drawn], columns)


def _say_rows(axes: Axes, own: pd.DataFrame, others: Sequence[str]) -> None:
    """Say of every row without a mean that no perturbation is scored by both."""
    known = set(own.loc[own["mark"] == "mean", "other"])
    for row, other in enumerate(others):
        if other not in known:
            across.in_row(axes, row, "none in common")
