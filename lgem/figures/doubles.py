"""Picture of combinations of perturbations: error per combination, observed against predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgem.figures import scatter, style, ticks
from lgem.figures.looks import Look, looks
from lgem.figures.pairs import PAIR_COLUMNS, thin
from lgem.figures.prediction import METRICS_COLUMNS
from lgem.figures.style import Drawn

DOUBLES_COLUMNS = (
    "mark", "model", "perturbation", "seen", "value", "position", "gene", "predicted_effect",
    "observed_effect", "is_target", "r", "n", "n_drawn", "note",
)  # fmt: skip
BESIDE = ("additive", "no_change", "additive_on_target", "no_change_on_target")
MOST_NAMES = 30
NAME_MM = 26.0
MOST_POINTS = 12_000

_SPREAD = 0.24  # of the marks of one combination, to both sides
# Not the colours of the models above.
_BELOW = (style.GREY, style.BLACK)
JOINT = "+"  # between the genes of a combination, in all tables
_TITLE = "Combinations of perturbations"
_NONE = "No combination was held out: every perturbation that was predicted has one target."


def is_combination(perturbation: object) -> bool:
    """Return whether a perturbation has several targets."""
    return JOINT in str(perturbation)


@style.styled
def doubles(
    metrics: pd.DataFrame,
    splits: pd.DataFrame,
    pairs: pd.DataFrame,
    first: str,
    *,
    unit: str = "natural log units",
    most_points: int = MOST_POINTS,
) -> Drawn:
    """Draw the first model on combinations beside the sum of single effects and no change.

    Above, the L2 of every combination, sorted by that of ``additive``, in one panel for each
    number of its genes that were seen alone in training. Below, observed against predicted
    effects of the first model and of ``additive``.

    Parameters
    ----------
    metrics
        ``metrics.tsv``; L2 over the gene set ``top`` is drawn.
    splits
        ``splits.tsv``: repeat, fold, perturbation, set and, where known, seen.
    pairs
        model, perturbation, gene, predicted_effect, observed_effect, is_target.
    first
        The model that is shown.
    unit
        Unit of log-expression.
    most_points
        Largest number of points below.

    Returns
    -------
    figure, table
        Rows of the table: ``error`` (one mark above), ``point`` (one below), ``model`` (r, n,
        n_drawn of a panel below) and ``note``.
    """
    scores = style.take(metrics, METRICS_COLUMNS, "table of metrics")
    scores["model"] = style.texts(scores["model"])
    models = [name for name in (*BESIDE, first) if (scores["model"] == name).any()]
    errors = _errors(scores[scores["model"].isin(models)], splits)
    if errors.empty:
        return style.empty_figure(_NONE, DOUBLES_COLUMNS, title=_TITLE)
    models = [name for name in models if (errors["model"] == name).any()]
    errors["position"] = _positions(errors) + errors["model"].map(_beside(models))
    shown = _pairs(pairs, first)
    points = thin(shown, most_points)
    told = _correlations(shown, points, first)
    figure = _draw(errors, models, points, told, first, unit)
    drawn = [errors.assign(mark="error"), points.assign(mark="point"), told.assign(mark="model")]
    return figure, style.drawn_table(drawn, DOUBLES_COLUMNS)


def _errors(scores: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Return the mean L2 of every model, combination and number of genes seen."""
    combined = np.array([is_combination(name) for name in scores["perturbation"]], dtype=bool)
    own = scores[combined & (scores["metric"] == "l2") & (scores["gene_set"] == "top")]
    own = own.assign(value=style.numbers(own["value"])).dropna(subset=["value"])
    keys = ["repeat", "fold", "perturbation"]
    own = own.assign(**{name: style.numbers(own[name]) for name in ("repeat", "fold")})
    if "seen" in splits and len(own):
        tests = splits[splits["set"] == "test"]
        told = {name: style.numbers(tests[name]) for name in ("repeat", "fold", "seen")}
        seen = tests.assign(**told)[[*keys, "seen"]].drop_duplicates(keys)
        own = own.merge(seen.astype({"perturbation": object}), on=keys, how="left")
    else:
        own = own.assign(seen=np.nan)
    keys = ["model", "seen", "perturbation"]
    return own.groupby(keys, dropna=False, sort=True)["value"].mean().reset_index()


def _positions(errors: pd.DataFrame) -> pd.Series:
    """Return the place of each combination in its panel: best for ``additive`` first."""
    reference = errors[errors["model"] == "additive"]
    rank = reference.groupby("perturbation")["value"].mean()
    mean = errors.groupby("perturbation")["value"].mean()
    places: dict[tuple[str, str], float] = {}
    for seen, own in errors.groupby("seen", dropna=False):
        names = own["perturbation"].unique()
        order = sorted(names, key=lambda name: (rank.get(name, np.inf), mean[name], name))
        places |= {(str(seen), name): float(k) for k, name in enumerate(order)}
    keys = zip(errors["seen"].map(str), errors["perturbation"], strict=True)
    return pd.Series([places[key] for key in keys], index=errors.index)


def _beside(models: Sequence[str]) -> dict[str, float]:
    """Return a shift for each model: marks of equal errors stand beside, not on, one another."""
    return dict(zip(models, np.linspace(-_SPREAD, _SPREAD, len(models)), strict=True))


def _pairs(pairs: pd.DataFrame, first: str) -> pd.DataFrame:
    """Return the effects of combinations by the first model and ``additive``, as numbers."""
    table = style.take(pairs, PAIR_COLUMNS, "table of predicted and observed effects")
    table["model"] = style.texts(table["model"])
    combined = [is_combination(name) for name in table["perturbation"]]
    table = table[table["model"].isin([first, "additive"]) & np.array(combined, dtype=bool)]
    effects = ["predicted_effect", "observed_effect"]
    table = table.assign(**{name: style.numbers(table[name]) for name in effects})
    table["is_target"] = table["is_target"].eq(True)
    return table.dropna(subset=effects).reset_index(drop=True)


def _correlations(pairs: pd.DataFrame, points: pd.DataFrame, first: str) -> pd.DataFrame:
    """Return r and n of the two panels below, and what stands over them."""
    rows = []
    for model in dict.fromkeys([first, "additive"]):
        own, drawn = pairs[pairs["model"] == model], int((points["model"] == model).sum())
        r = scatter.correlation(own["predicted_effect"], own["observed_effect"])
        note = scatter.in_words(r, len(own)) if len(own) else "no combination predicted"
        note += f", {drawn:,} drawn" if drawn < len(own) else ""
        rows.append((model, r, len(own), drawn, note))
    return pd.DataFrame(rows, columns=["model", "r", "n", "n_drawn", "note"])


def _draw(
    errors: pd.DataFrame,
    models: Sequence[str],
    points: pd.DataFrame,
    told: pd.DataFrame,
    first: str,
    unit: str,
) -> Figure:
    """Draw the errors above and the effects below."""
    look = looks([first, *(name for name in models if name != first)])
    parts = [(float(str(seen)), own) for seen, own in errors.groupby("seen", dropna=False)]
    sizes = [own["perturbation"].nunique() for _, own in parts]
    named = sum(sizes) <= MOST_NAMES
    legend = [(look[name].handle(line=False), style.shorten(name, 60)) for name in models]
    if len(points):
        legend += scatter.legend(bool(points["is_target"].any()), _BELOW)
    total = errors["perturbation"].nunique()
    fewer = [
        f"{name} ({count})"
        for name in models
        if (count := errors.loc[errors["model"] == name, "perturbation"].nunique()) < total
    ]
    note = f"{total} combination{'s' * (total != 1)}, sorted by the L2 of additive."
    note += " Seen: in training as a perturbation of its own."
    note += f" Scored fewer: {', '.join(fewer)}." * bool(fewer)
    above = 46 + (0.8 * NAME_MM if named else 4)
    below = 62
    figure = style.new_figure(
        "double", above + below, title=_TITLE, legend=legend,
        note=note,
    )  # fmt: skip
    grid = figure.add_gridspec(2, 1, height_ratios=[above, below])
    # A panel of one combination still has to hold its title.
    widths = [max(size, sum(sizes) / (2 * len(sizes))) for size in sizes]
    top = grid[0].subgridspec(1, len(parts), width_ratios=widths)
    upper = [figure.add_subplot(top[0, k]) for k in range(len(parts))]
    bottom = grid[1].subgridspec(1, 2)
    lower = [figure.add_subplot(bottom[0, k]) for k in range(2)]
    low, high = errors["value"].min(), errors["value"].max()
    pad = 0.08 * (high - low) or 0.5
    for axes, (seen, own) in zip(upper, parts, strict=True):
        _draw_errors(axes, own, models, look)
        axes.set_ylim(low - pad, high + pad)
        axes.set_title(_seen_in_words(seen))
        ticks.number_axis(axes.yaxis)
        axes.tick_params(labelleft=axes is upper[0])
        _name_combinations(axes, own, named)
    upper[0].set_ylabel(f"L2 distance ({unit}),\nlower is better")
    ends = scatter.limits(points["predicted_effect"], points["observed_effect"])
    for axes, said in zip(lower, told.itertuples(), strict=False):
        own = points[points["model"] == said.model]
        scatter.effect_panel(axes, own, "predicted_effect", "observed_effect", ends, _BELOW)
        axes.set_xlabel(f"predicted effect ({unit})")
        axes.set_title(f"{said.model}\n{said.note}")
    lower[0].set_ylabel(f"observed effect\n({unit})")
    for axes in lower[len(told) :]:
        axes.set_axis_off()
    style.freeze(figure)
    for axes, said in zip(lower, told.itertuples(), strict=False):
        width = style.panel_width(axes)
        axes.set_title(f"{style.shorten(said.model, width, style.LABEL)}\n{said.note}")
        if not said.n:
            style.say(axes, f"{said.model}: {said.note}.")
    for axes, (seen, _) in zip(upper, parts, strict=True):
        words = _seen_in_words(seen)
        fits = style.text_width(words, style.LABEL) <= style.panel_width(axes)
        axes.set_title(words if fits else f"{seen:.0f} seen")
    return figure


def _name_combinations(axes: Axes, table: pd.DataFrame, named: bool) -> None:
    """Write the combinations under their marks, where there are few enough to read."""
    if not named:
        axes.set_xticks([])
        axes.set_xlabel("combinations, sorted")
        return
    names = table.assign(place=table["position"].round()).drop_duplicates("place")
    short = [style.shorten(name, NAME_MM) for name in names["perturbation"]]
    axes.set_xticks(names["place"], short, rotation=90)


def _seen_in_words(seen: float) -> str:
    """Return the title of a panel."""
    return "all combinations" if np.isnan(seen) else f"{seen:.0f} gene{'s' * (seen != 1)} seen"


def _draw_errors(
    axes: Axes, table: pd.DataFrame, models: Sequence[str], look: dict[str, Look]
) -> None:
    """Draw the marks of all models, those of one combination joined by a thin line."""
    span = table.groupby(table["position"].round())["value"].agg(["min", "max"])
    axes.vlines(span.index, span["min"], span["max"], colors=style.LIGHT, linewidth=0.5, zorder=1)
    for name in models:
        own = table[table["model"] == name]
        area = 9 if len(own) <= 60 else 5
        front = 3 if look[name].width > 1.5 else 2
        axes.scatter(
            own["position"], own["value"], gid="errors", zorder=front, **look[name].mark(area)
        )
    axes.set_xlim(-0.8, table["position"].round().max() + 0.8)
