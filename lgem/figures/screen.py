"""Pictures of what was measured: the effect of each perturbation on its own target."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgem.errors import listing
from lgem.figures import style, ticks
from lgem.figures.style import Drawn

QC_COLUMNS = (
    "perturbation", "n_cells", "n_guides", "on_target_gene", "on_target_effect", "on_target_z",
    "status", "reason",
)  # fmt: skip
ON_TARGET_COLUMNS = (
    "mark", "position", "perturbation", "on_target_gene", "n_cells", "n_guides", "value", "lower",
    "upper", "status", "label", "note",
)  # fmt: skip
MOST_LABELS = 40
EXTREMES = 3
_TITLE = "Effect on the perturbed gene itself"
DENSE = 300

# Colour and marker by status, the usual one first; what is not kept is drawn open.
_LOOKS = (
    (style.BLUE, "o"),
    (style.ORANGE, "s"),
    (style.PURPLE, "D"),
    (style.GREEN, "^"),
    (style.GREY, "v"),
)
_USUAL = ("kept", "ok", "")


@style.styled
def on_target(
    qc: pd.DataFrame, *, unit: str = "natural log units", most_labels: int = MOST_LABELS
) -> Drawn:
    """Draw each perturbation's effect on its own target, with 95 % intervals, sorted.

    Up to `most_labels` perturbations stand one below the other, each with its name. More are
    drawn by rank, and the extremes are named. Those without a measured effect are counted by
    reason under the figure.

    Parameters
    ----------
    qc
        ``qc.tsv``: perturbation, n_cells, n_guides, on_target_gene, on_target_effect (change in
        log-expression), on_target_z (effect / standard error), status, reason.
    unit
        Unit of the effects.
    most_labels
        Largest number of perturbations that are all named.

    Returns
    -------
    figure, table
        Rows of the table: ``point`` (position on the axis, effect and interval as drawn, the
        label if any), ``not_measured`` (with the reason in ``note``) and ``note``.
    """
    table = style.take(qc, QC_COLUMNS, "table of on-target effects")
    if table.empty:
        return style.empty_figure(
            "No perturbations in the quality table.", ON_TARGET_COLUMNS, title=_TITLE
        )
    table = _prepared(table)
    points = table[table["value"].notna()].sort_values(
        ["value", "perturbation", "on_target_gene"], ignore_index=True
    )
    missing = table[table["value"].isna()].sort_values("perturbation", ignore_index=True)
    note = _not_measured(missing, len(table))
    missing = missing.assign(mark="not_measured", label="")
    if points.empty:
        figure, said = style.empty_figure(note, ON_TARGET_COLUMNS, title=_TITLE)
        return figure, style.drawn_table([missing, said], ON_TARGET_COLUMNS)
    note = " ".join(filter(None, [_no_interval(points), note]))
    points = points.assign(mark="point", position=np.arange(1.0, len(points) + 1), label="")
    looks = _looks(points["status"])
    legend = [
        (
            style.handle(*look, open_=_is_open(status, len(points))),
            status.replace("_", " ") or "no status",
        )
        for status, look in looks.items()
    ] * (len(looks) > 1)
    if len(points) <= most_labels:
        figure, labels = _dots(points, looks, note, legend, unit)
    else:
        figure, labels = _ranks(points, looks, note, legend, unit)
    points["label"] = labels
    return figure, style.drawn_table([points, missing], ON_TARGET_COLUMNS)


def _prepared(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with values, intervals and clean words; no z, no interval."""
    value, z = style.numbers(table["on_target_effect"]), style.numbers(table["on_target_z"])
    error = (value / z.where(z != 0)).abs()
    text = {name: style.texts(table[name]) for name in ("perturbation", "on_target_gene", "status")}
    reason = style.texts(table["reason"])
    # Without a cell left, the reason is not the gene.
    unmeasured = (
        value.isna() & (text["on_target_gene"] == "") & (style.numbers(table["n_cells"]) > 0)
    )
    return table.assign(
        **text,
        value=value,
        lower=value - 1.96 * error,
        upper=value + 1.96 * error,
        note=reason.mask(unmeasured, "target gene not measured"),
        position=np.nan,
    )


def _not_measured(missing: pd.DataFrame, asked: int) -> str:
    """Return the sentence that counts and names the perturbations without a measured effect."""
    if missing.empty:
        return ""
    groups = sorted(
        missing.groupby("note", sort=True)["perturbation"], key=lambda group: -len(group[1])
    )
    parts = [
        str(reason or "no reason given") + f" ({listing(names, most=6)})"
        for reason, names in groups[:4]
    ]
    if len(groups) > 4:
        rest = sum(len(names) for _, names in groups[4:])
        parts.append(f"{len(groups) - 4} other reasons ({rest} perturbations)")
    return f"Not measured, {len(missing)} of {asked}: " + "; ".join(parts) + "."


def _no_interval(points: pd.DataFrame) -> str:
    """Return the sentence that counts and names the effects drawn without an interval."""
    bare = points.loc[points["lower"].isna(), "perturbation"]
    if bare.empty:
        return ""
    return (
        f"No interval, {len(bare)} of {len(points)}: standard error unknown, as of a single sample "
        f"or of samples that do not differ ({listing(sorted(bare), most=6)})."
    )


def _looks(status: pd.Series) -> dict[str, tuple[str, str]]:
    """Return colour and marker for each status that occurs."""
    found = sorted(status.unique(), key=lambda word: (word not in _USUAL, word))
    # Where a first place is not taken by a usual status, no other one may look like it.
    first = 0 if found[0] in _USUAL else 1
    return {word: _LOOKS[min(first + k, len(_LOOKS) - 1)] for k, word in enumerate(found)}


def _is_open(status: str, count: int) -> bool:
    """Tell whether a status is drawn as an open mark; among very many, marks have no inside."""
    return status not in _USUAL and count <= DENSE


def _draw(
    axes: Axes, points: pd.DataFrame, looks: dict[str, tuple[str, str]], *, across: bool
) -> None:
    """Draw points with their intervals; `across` puts effects on the x axis."""
    count = len(points)
    many = count > style.MOST_VECTOR_MARKS
    dense = count > DENSE
    x, y = ("value", "position") if across else ("position", "value")
    for status, (colour, marker) in looks.items():
        part = points[points["status"] == status]
        lines = axes.hlines if across else axes.vlines
        lines(
            part["position"], part["lower"], part["upper"], colors=colour, rasterized=many,
            linewidth=0.8 if across else 0.5, alpha=1.0 if across else 0.15 if dense else 0.35,
            zorder=2,
        )  # fmt: skip
        axes.scatter(
            part[x], part[y], s=12 if across else 2 if dense else 6, marker=marker, zorder=3,
            edgecolors=colour, linewidths=0.3 if dense else 0.7, rasterized=many, gid="points",
            facecolors="white" if _is_open(status, count) else colour,
        )  # fmt: skip


def _dots(
    points: pd.DataFrame,
    looks: dict[str, tuple[str, str]],
    note: str,
    legend: list[tuple[Line2D, str]],
    unit: str,
) -> tuple[Figure, list[str]]:
    """Draw one named row per perturbation, the strongest decrease at the top."""
    # A perturbation of two genes has one row for each of them.
    twice = points["perturbation"].duplicated(keep=False) & (points["on_target_gene"] != "")
    names = points["perturbation"].where(
        ~twice, points["perturbation"] + ": " + points["on_target_gene"]
    )
    labels = [style.shorten(name, 28) for name in names]
    figure = style.new_figure(
        "single", max(28.0, 14 + 3.2 * len(points)), title=_TITLE,
        note=note, legend=legend,
    )  # fmt: skip
    axes = figure.subplots()
    axes.axvline(0, color=style.LIGHT, linewidth=0.6, zorder=0)
    _draw(axes, points, looks, across=True)
    axes.set_yticks(points["position"], labels)
    axes.set_ylim(len(points) + 0.7, 0.3)
    axes.tick_params(axis="y", length=0)
    ticks.number_axis(axes.xaxis)
    axes.set_xlabel(f"change in log-expression\n({unit}; 95 % interval)")
    style.freeze(figure)
    return figure, labels


def _ranks(
    points: pd.DataFrame,
    looks: dict[str, tuple[str, str]],
    note: str,
    legend: list[tuple[Line2D, str]],
    unit: str,
) -> tuple[Figure, list[str]]:
    """Draw effects against their rank and name the extremes."""
    figure = style.new_figure("single", 62, title=_TITLE, note=note, legend=legend)
    axes = figure.subplots()
    axes.axhline(0, color=style.LIGHT, linewidth=0.6, zorder=0)
    _draw(axes, points, looks, across=False)
    count = len(points)
    axes.set_xlim(1 - 0.02 * count, 1.02 * count)
    ticks.number_axis(axes.yaxis, 6)
    ticks.number_axis(axes.xaxis, whole=True)
    axes.set_xlabel(f"rank of the perturbation, 1 to {count}")
    axes.set_ylabel(f"change in log-expression\n({unit}; 95 % interval)")
    style.freeze(figure)
    labels = [""] * count
    for rank in [*range(EXTREMES), *range(count - EXTREMES, count)]:
        labels[rank] = style.shorten(points["perturbation"][rank], 25)
    _name_extremes(axes, points, labels)
    return figure, labels


def _name_extremes(axes: Axes, points: pd.DataFrame, labels: list[str]) -> None:
    """List the extremes in the two corners that a rising curve leaves free, and keep them free."""
    named = [
        label + f"  {value:z.2f}".replace("-", ticks.MINUS)
        for label, value in zip(labels, points["value"], strict=True)
    ]
    share = (EXTREMES + 1.5) * style.LINE_MM[style.SMALL] / style.panel_height(axes)
    bottom, top = axes.get_ylim()
    half = len(points) // 2
    # The limits move until no interval reaches into a corner: its names take this share of them.
    lowest = points["lower"].fillna(points["value"])[half:].min()
    highest = points["upper"].fillna(points["value"])[:half].max()
    # Nor does the line of no effect. As one limit moves the other's corner grows, hence the turns.
    for _ in range(8):
        bottom = min(bottom, (min(lowest, 0.0) - share * top) / (1 - share))
        top = max(top, (max(highest, 0.0) - share * bottom) / (1 - share))
    axes.set_ylim(bottom, top)
    lines = {
        (0.99, 0.02, "right", "bottom"): ["lowest", *named[:EXTREMES]],
        (0.03, 0.99, "left", "top"): ["highest", *named[: -EXTREMES - 1 : -1]],
    }
    for (x, y, across, along), words in lines.items():
        axes.text(
            x, y, "\n".join(words), ha=across, va=along, transform=axes.transAxes,
            fontsize=style.SMALL, multialignment=across,
        )  # fmt: skip
