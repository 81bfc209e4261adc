"""Picture of the linear systems that a run met: their singular values, their verdicts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgem.figures import style, system_words
from lgem.figures.looks import DASHES, INDIGO, SKY
from lgem.figures.style import Drawn
from lgem.figures.ticks import apart, power_of_ten, set_decades

DESIGN_COLUMNS = ("system", "rows", "columns", "rank", "condition", "verdict", "cause")
SPECTRUM_COLUMNS = ("system", "order", "singular_value")
SYSTEM_COLUMNS = (
    "mark", "kind", "system", "number", "rows", "columns", "rank", "condition", "verdict", "cause",
    "n_values", "n_drawn", "order", "singular_value", "share", "relative", "position", "note",
)  # fmt: skip

KINDS = ("effects", "LGEM", "mixed forms", "covariance")
OTHER = "other systems"
MOST_SYSTEMS = 16
# More values than this along a line of 45 mm cannot be told apart.
MOST_VALUES = 400

_TITLE = "Linear systems met"
_LOADINGS_AND_CODES = ("α", "β", "u", "K", "H")
_COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE, INDIGO, SKY, style.ORANGE)
# A value below this, relative to the largest, is drawn as 0 is: at the lower border.
_LEAST = 1e-20
_BAND_MM, _ROW_MM, _NAME_MM, _NUMBER_MM = 25.0, 4.2, 34.0, 2.2
# What stands beside panels and words: labels of the left axis, numbers, keys and gaps.
_BESIDE_MM = 36.0


@style.styled
def linear_systems(design: pd.DataFrame, spectra: pd.DataFrame) -> Drawn:
    """Draw the singular values of every system, and beside them rank, condition and verdict.

    One band per kind of system. On the left a line per system: its singular values relative to
    the largest, against their order as a share of its columns. On the right a row per system,
    those without a unique solution first, then the worst conditioned.

    Parameters
    ----------
    design
        ``design.tsv``, a row per system: system, rows, columns, rank, condition (infinite where
        columns are dependent), verdict (``unique``, ``infinite`` or ``not solved``), cause.
    spectra
        ``singular_values.tsv``: system, order (1 is the largest), singular_value. A system may
        have none.

    Returns
    -------
    figure, table
        Rows of the table: ``system`` and ``not_drawn`` (systems beyond the first 16),
        ``singular_value``, ``rank_rule`` (relative size up to which a value counts as 0); ``note``
        where there is nothing to draw.
    """
    table = _systems(design, spectra)
    if table.empty:
        return style.empty_figure(
            "No linear system was met: nothing was estimated.", SYSTEM_COLUMNS, title=_TITLE,
            width="double",
        )  # fmt: skip
    shown = table[table["mark"] == "system"]
    values = _values(shown, spectra)
    table["n_drawn"] = table["system"].map(values["system"].value_counts()).fillna(0).astype(int)
    rules = _rules(shown, values)
    figure = _draw(shown, values, rules, _note(table, values, spectra))
    return figure, style.drawn_table([table, values, rules], SYSTEM_COLUMNS)


def _systems(design: pd.DataFrame, spectra: pd.DataFrame) -> pd.DataFrame:
    """Return the systems by kind, the worst first, numbered as far as they are drawn."""
    table = style.take(design, DESIGN_COLUMNS, "table of systems")
    for name in ("system", "verdict", "cause"):
        table[name] = style.texts(table[name])
    for name in ("rows", "columns", "rank"):
        table[name] = style.numbers(table[name])
    table["condition"] = pd.to_numeric(table["condition"], errors="coerce").astype(float)
    deficient = table["verdict"] == "infinite"
    table.loc[deficient & table["condition"].isna(), "condition"] = np.inf
    table["kind"] = [kind_of(name) for name in table["system"]]
    owned = style.take(spectra, SPECTRUM_COLUMNS, "table of singular values")
    n_values = style.texts(owned["system"])[style.numbers(owned["singular_value"]).notna()]
    table["n_values"] = table["system"].map(n_values.value_counts()).fillna(0).astype(int)
    table["place"] = table["kind"].map([*KINDS, OTHER].index).astype(int)
    table = table.assign(
        fine=~deficient,
        off=table["verdict"] == system_words.NOT_SOLVED,
        badness=-table["condition"],
    )
    table = table.sort_values(["place", "off", "fine", "badness", "system"], kind="stable")
    # The worst of every kind come first, so that no kind crowds out another.
    turn = table.groupby("place").cumcount()
    chosen = turn.sort_values(kind="stable").index[:MOST_SYSTEMS]
    table["mark"] = np.where(table.index.isin(chosen), "system", "not_drawn")
    drawn = table["mark"] == "system"
    table["number"] = drawn.cumsum().where(drawn).astype("Int64")
    table["position"] = table[drawn].groupby("place").cumcount().astype(float)
    return table.drop(columns=["place", "fine", "off", "badness"]).reset_index(drop=True)


def kind_of(system: str) -> str:
    """Return which kind of system a name stands for."""
    for kind in KINDS:
        if system.casefold().startswith(kind.casefold()):
            return kind
    if system in _LOADINGS_AND_CODES:
        return "mixed forms"
    return "covariance" if "covariance" in system.casefold() else OTHER


def _values(shown: pd.DataFrame, spectra: pd.DataFrame) -> pd.DataFrame:
    """Return the singular values that are drawn, relative to their system's largest one."""
    table = style.take(spectra, SPECTRUM_COLUMNS, "table of singular values")
    table["system"] = style.texts(table["system"])
    for name in ("order", "singular_value"):
        table[name] = style.numbers(table[name])
    groups = dict(list(table.dropna(subset=["order", "singular_value"]).groupby("system")))
    parts = []
    for row in shown.to_dict("records"):
        if row["system"] not in groups:
            continue
        own = groups[row["system"]].sort_values("order", kind="stable")
        largest = own["singular_value"].max()
        columns = row["columns"] if row["columns"] >= 1 else own["order"].max()
        own = own.assign(
            mark="singular_value", kind=row["kind"], number=row["number"],
            share=own["order"] / columns,
            relative=own["singular_value"] / largest if largest > 0 else 0.0,
        )  # fmt: skip
        kept = np.unique(np.linspace(0, len(own) - 1, MOST_VALUES).round().astype(int))
        parts.append(own.iloc[kept])
    if not parts:
        return pd.DataFrame(columns=list(SYSTEM_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _rules(shown: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Return up to which relative size a singular value counts as 0, where any comes near it."""
    shown = shown[shown["kind"] != "LGEM"]  # the rank of P ⊗ G is a product: it has no such size
    size = np.finfo(float).eps * shown[["rows", "columns"]].max(axis=1)
    least = shown["system"].map(values.groupby("system")["relative"].min())
    near = least <= 100 * size
    rules = shown.assign(mark="rank_rule", relative=size)[near.to_numpy(dtype=bool)]
    return rules[["mark", "kind", "system", "number", "relative"]]


def _note(table: pd.DataFrame, values: pd.DataFrame, spectra: pd.DataFrame) -> str:
    """Return what has to be said at the foot."""
    beyond = int((table["mark"] == "not_drawn").sum())
    parts = [
        "Singular values are relative to the largest of their system, their order to its number "
        "of columns; a line that ends early has fewer values than columns. Condition: largest "
        "over smallest singular value, ∞ where columns depend on one another. Mixed forms: each "
        "block, the others given. No number has a unit; ranks are out of the number of columns."
    ]
    if (values["relative"] < _LEAST).any():
        parts.append("Values of 0 lie on the lower border.")
    if beyond:
        parts.append(
            f"The worst of each kind; {beyond} more system{'s' * (beyond > 1)} in the table."
        )
    mended = table[(table["verdict"] == "unique") & (table["cause"] != "")]
    for row in mended.head(3).to_dict("records"):
        parts.append(f"{style.shorten(row['system'], 40)}: unique as solved, not as asked for: "
                     f"{row['cause']}.")  # fmt: skip
    strange = set(style.texts(spectra["system"])) - set(table["system"]) if len(spectra) else set()
    if strange:
        names = ", ".join(style.shorten(name, 40) for name in sorted(strange)[:3])
        parts.append(f"Not in the table of systems, and not drawn: {names}.")
    return " ".join(parts)


def _draw(shown: pd.DataFrame, values: pd.DataFrame, rules: pd.DataFrame, note: str) -> Figure:
    """Draw a band per kind: singular values, condition numbers, rank and verdict in words."""
    bands = list(shown.groupby("kind", sort=False))
    heights = [max(_BAND_MM, 6 + _ROW_MM * len(own)) for _, own in bands]
    legend = [
        (style.handle(look.colour, look.marker), look.legend)
        for look in dict.fromkeys(system_words.VERDICTS.values())
        if any(system_words.look(verdict) == look for verdict in shown["verdict"])
    ]
    if len(rules):
        rule = Line2D([], [], color=style.BLACK, linewidth=0.7, linestyle="--")
        legend.append((rule, "rank rule: below, a value counts as 0"))
    figure = style.new_figure("double", sum(heights) + 8, title=_TITLE, legend=legend, note=note)
    names = max(style.text_width(_short(row)) for row in shown.to_dict("records"))
    room = style.WIDTHS_MM["double"] - _BESIDE_MM - names
    words = min(room / 2, max(system_words.words_width(own) for _, own in bands))
    free = room - words
    grid = figure.add_gridspec(
        len(bands), 3, height_ratios=heights, width_ratios=[0.65 * free, 0.35 * free, words]
    )
    panels = [[figure.add_subplot(grid[k, j]) for j in range(3)] for k in range(len(bands))]
    ends = _condition_ends(shown)
    for (kind, own), (left, middle, right) in zip(bands, panels, strict=True):
        _draw_values(left, values[values["kind"] == kind], rules[rules["kind"] == kind])
        left.set_title(str(kind))
        _draw_conditions(middle, own, ends)
        right.set_axis_off()
    for left, middle, _ in panels[:-1]:
        left.tick_params(labelbottom=False)
        middle.tick_params(labelbottom=False)
    panels[-1][0].set_xlabel("order / number of columns")
    panels[-1][1].set_xlabel("condition number")
    figure.supylabel("singular value / largest", fontsize=style.LABEL)
    style.freeze(figure)
    rank_mm = system_words.rank_width(shown)
    for (kind, own), (left, middle, right) in zip(bands, panels, strict=True):
        _number_lines(left, values[values["kind"] == kind], own)
        _set_rows([middle, right], len(own))
        _draw_keys(middle, own, set(values["number"].dropna()))
        system_words.write_words(right, own, rank_mm)
    system_words.write_heads(panels[0][2], rank_mm)
    return figure


def _line_look(number: int) -> tuple[str, Literal["-", "--", ":"]]:
    """Return colour and dash of a system's line; its number tells it apart in any case."""
    return _COLOURS[(number - 1) % len(_COLOURS)], DASHES[(number - 1) // len(_COLOURS) % 3]


def _draw_values(axes: Axes, values: pd.DataFrame, rules: pd.DataFrame) -> None:
    """Draw the singular values of all systems of one kind."""
    axes.set_xlim(0, 1.2)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    if values.empty:
        return
    relative = values["relative"].astype(float)
    lowest = min([1.0, *relative[relative >= _LEAST], *rules["relative"]])
    low, high = min(lowest / 3, 0.1), 2.0
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    set_decades(axes.yaxis, low, high, 4)
    for number, own in values.groupby("number"):
        colour, dash = _line_look(int(str(number)))
        axes.plot(
            own["share"], own["relative"].clip(lower=low), color=colour, linestyle=dash,
            gid="values", marker="o" if len(own) <= 30 else "", markersize=1.8, clip_on=False,
        )  # fmt: skip
    axes.hlines(
        rules["relative"], 0, 1, colors=style.BLACK, linewidth=0.7, linestyles="--", gid="rules"
    )


def _number_lines(axes: Axes, values: pd.DataFrame, own: pd.DataFrame) -> None:
    """Write at the end of every line which row it belongs to, or say why there is no line."""
    if values.empty:
        off = (own["verdict"] == system_words.NOT_SOLVED).all()
        style.say(axes, "Switched off: no system." if off else "No singular values were kept.")
        return
    height = style.panel_height(axes)
    ends = values.sort_values("share", kind="stable").groupby("number").tail(1)
    to_panel, low = axes.transData + axes.transAxes.inverted(), axes.get_ylim()[0]
    points = np.column_stack([ends["share"], ends["relative"].clip(lower=low)]).astype(float)
    places = to_panel.transform(points)
    label = float(to_panel.transform((1.08, low))[0])
    wanted = apart(places[:, 1] * height, _NUMBER_MM, 1.8, height - 1.8) / height
    for number, (x, y), at in zip(ends["number"], places, wanted, strict=True):
        axes.plot(
            [x, label - 0.005], [y, at], color=style.LIGHT, linewidth=0.5,
            transform=axes.transAxes, zorder=1,
        )  # fmt: skip
        where: dict[str, Any] = {"transform": axes.transAxes, "va": "center_baseline"}
        axes.text(label, at, f"{number}", fontsize=style.SMALL, **where)


def _condition_ends(shown: pd.DataFrame) -> tuple[float, float | None]:
    """Return the upper end of the axis of condition numbers, and where ∞ stands on it, if at all.

    The axis is of logarithms to base 10.
    """
    condition = shown["condition"].dropna()
    finite = condition[np.isfinite(condition) & (condition > 0)]
    top = max(1.0, float(np.log10(finite.max())) if len(finite) else 1.0)
    if not np.isinf(condition).any():
        return 1.08 * top, None
    return 1.35 * top, 1.25 * top


def _draw_conditions(axes: Axes, own: pd.DataFrame, ends: tuple[float, float | None]) -> None:
    """Draw the condition numbers of one kind, a row per system, with the systems' names."""
    top, infinity = ends
    last = int(top if infinity is None else infinity - 0.15 * top)
    axes.set_xlim(-0.05 * top, top)
    places = [float(power) for power in range(0, last + 1, max(1, -(-(last + 1) // 3)))]
    labels = [power_of_ten(10.0**place) for place in places]
    if infinity is not None:
        places, labels = [*places, infinity], [*labels, "∞"]
        axes.axvline(infinity - 0.07 * top, color=style.LIGHT, linewidth=0.6, linestyle=":")
    axes.set_xticks(places, labels)
    axes.grid(axis="x", color="#EBEBEB", linewidth=0.5)
    at = np.log10(own["condition"].clip(lower=1.0))
    at = at.where(~np.isinf(own["condition"]), infinity)
    for verdict, rows in own.groupby("verdict", sort=False):
        look = system_words.look(str(verdict))
        axes.scatter(
            at[rows.index], rows["position"], c=look.colour, marker=look.marker, s=16, zorder=3,
            linewidths=0.8, gid="conditions",
        )  # fmt: skip
    for position in own.loc[at.isna(), "position"]:
        axes.text(
            0.5, position, "–", transform=axes.get_yaxis_transform(), ha="center",
            va="center_baseline", fontsize=style.SMALL,
        )  # fmt: skip
    labels = [f"{_short(row)}  {row['number']}" for row in own.to_dict("records")]
    axes.set_yticks(own["position"], labels)
    axes.tick_params(axis="y", length=0, pad=4.6 / 25.4 * 72)


def _name(row: dict[Hashable, Any]) -> str:
    """Return a system's name without its kind, which stands over the band."""
    return str(row["system"]).removeprefix(f"{row['kind']}:").strip() or str(row["system"])


def _short(row: dict[Hashable, Any]) -> str:
    return style.shorten(_name(row), _NAME_MM)


def _set_rows(panels: Sequence[Axes], rows: int) -> None:
    """Give rows one height everywhere, from the top of their band; the figure must be frozen."""
    height = style.panel_height(panels[0])
    units = max(rows, height / _ROW_MM)
    for axes in panels:
        axes.set_ylim(units - 0.5, -0.5)


def _draw_keys(axes: Axes, own: pd.DataFrame, lined: set[int]) -> None:
    """Draw beside every name how the system's line looks."""
    width = style.panel_width(axes)
    for row in own.to_dict("records"):
        if row["number"] in lined:
            colour, dash = _line_look(int(row["number"]))
            axes.plot(
                [-4.0 / width, -0.8 / width], [row["position"]] * 2, color=colour, linestyle=dash,
                transform=axes.get_yaxis_transform(), clip_on=False,
            )  # fmt: skip
