"""Combinations of perturbations in several datasets, a row of panels for each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lgem.figures import across, doubles, prediction, scatter, style, ticks
from lgem.figures.across import Tables
from lgem.figures.prediction import BASELINES, KIND_LOOKS
from lgem.figures.style import Drawn

COLUMNS = ("dataset", *doubles.DOUBLES_COLUMNS)
MOST_ROWS = 4
_TITLE = "Combinations of perturbations, by dataset"
_NOT_COLOURED = (style.GREY, style.BLACK)


@style.styled
def all_doubles(
    tables: Tables,
    units: Mapping[str, str],
    *,
    missing: Mapping[str, str] | None = None,
) -> Drawn:
    """Draw errors and effects of held-out combinations, a row of panels per dataset.

    Left the L2 of every combination by model, with the mean; then observed against predicted
    effects of the first model and of ``additive``.

    Parameters
    ----------
    tables
        The table of `lgem.figures.doubles.doubles` for each dataset.
    units
        Unit of log-expression of each dataset.
    missing
        Datasets without predictions, with the reason.

    Returns
    -------
    figure, table
        The rows of all tables, behind their ``dataset``.
    """
    drawn, names, told = across.gather(tables, missing or {}, "error", "value", MOST_ROWS)
    if drawn.empty:
        return style.empty_figure(f"No combination was held out. {told}", COLUMNS, title=_TITLE)
    shown = drawn[drawn["dataset"].isin(names)]
    errors = {name: _errors(own) for name, own in shown.groupby("dataset")}
    unit, about_units = across.shared_unit(units, names)
    kinds = dict.fromkeys(kind for own in errors.values() for kind in own["kind"])
    legend = [(style.handle(*KIND_LOOKS[kind]), kind) for kind in KIND_LOOKS if kind in kinds]
    points = shown[shown["mark"] == "point"]
    if len(points):
        targets = bool(points["is_target"].eq(True).any())
        legend += scatter.legend(targets, _NOT_COLOURED)
    said = [
        "Left, small marks: combinations that all models score, where there are any; large: their "
        "mean. Under the names: how many of those held out; in brackets where fewer.",
        *(about_units, told),
    ]
    figure = style.new_figure(
        "double", 52.0 * len(names), title=_TITLE, legend=legend,
        note=" ".join(filter(None, said)),
    )  # fmt: skip
    panels = figure.subplots(len(names), 3, squeeze=False, width_ratios=[1.3, 1, 1])
    for name, (left, *squares) in zip(names, panels, strict=True):
        own = errors[name]
        models = own.sort_values("position")["model"].unique().tolist()
        prediction.error_panel(left, own, ("top",), len(models))
        n = own[own["mark"] == "mean"].set_index("model")["n"]
        fewer = [f"({n[model]:.0f})" if n[model] < n.max() else "" for model in models]
        across.name_rows(left, models, fewer, first=True)
        total = shown.loc[
            (shown["dataset"] == name) & (shown["mark"] == "error"), "perturbation"
        ].nunique()
        left.set_title(f"{name}\n{n.max():.0f} of {total}")
        left.set_xlabel(f"L2 ({unit}), lower is better")
        if left.get_xscale() == "linear":
            ticks.number_axis(left.xaxis)
        effects = points[points["dataset"] == name]
        ends = scatter.limits(effects["predicted_effect"], effects["observed_effect"])
        for axes, model in zip(squares, _compared(shown, name), strict=False):
            part = effects[effects["model"] == model]
            scatter.effect_panel(
                axes, part, "predicted_effect", "observed_effect", ends, _NOT_COLOURED
            )
            axes.set_xlabel(f"predicted effect\n({unit})")
            axes.set_ylabel(f"observed effect\n({unit})")
            axes.set_title(f"{model}\n{model}")
    style.freeze(figure)
    for name, (left, *squares) in zip(names, panels, strict=True):
        across.fit_title(left)
        told_of = shown[(shown["dataset"] == name) & (shown["mark"] == "model")]
        by_model = told_of.set_index("model")
        for axes, model in zip(squares, _compared(shown, name), strict=False):
            width = style.panel_width(axes)
            note = str(by_model.loc[model, "note"])
            axes.set_title(f"{style.shorten(model, width, style.LABEL)}\n{note}")
            if not by_model.loc[model, "n"]:
                style.say(axes, f"{model}: {note}.")
        for axes in squares[len(told_of) :]:
            axes.set_axis_off()
    return figure, style.drawn_table([drawn], COLUMNS)


def _compared(shown: pd.DataFrame, name: str) -> list[str]:
    """Return the models whose effects a dataset's table holds, the first model before others."""
    rows = shown[(shown["dataset"] == name) & (shown["mark"] == "model")]
    return rows["model"].astype(str).tolist()


def _errors(table: pd.DataFrame) -> pd.DataFrame:
    """Return marks for a panel of errors: a row per model, the lowest mean at the top.

    A sum of effects is there only where both were seen alone: a model that is scored on other
    combinations, too, would not compare with it.
    """
    rows = table[table["mark"] == "error"]
    scored_by = rows.groupby(["perturbation", "seen"], dropna=False)["model"].transform("nunique")
    shared = scored_by == rows["model"].nunique()
    rows = rows[shared] if shared.any() else rows
    # However many of its genes were seen alone, a combination is one mark.
    points = rows.groupby(["model", "perturbation"])["value"].mean().reset_index()
    means = points.groupby("model")["value"].agg(value="mean", n="count").reset_index()
    order = means.sort_values(["value", "model"])["model"].tolist()
    shift = prediction.jitter(points["perturbation"], 0.22)
    both = pd.concat([points.assign(mark="point"), means.assign(mark="mean")], ignore_index=True)
    places = both["model"].map(order.index) + both["perturbation"].map(shift).fillna(0.0)
    kinds = [prediction.kind_of(model, BASELINES) for model in both["model"]]
    return both.assign(
        position=places, kind=kinds, gene_set="top", metric="l2", lower=np.nan, upper=np.nan
    )
