"""Picture of linear mixed forms: how the fit settled, where the variance went, the codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lgem.figures import codes as coded
from lgem.figures import style, ticks
from lgem.figures.looks import INDIGO, SKY
from lgem.figures.style import Drawn
from lgem.figures.ticks import power_of_ten, set_decades

CONVERGENCE_COLUMNS = ("schedule", "start", "sweep", "objective")
VARIANCE_COLUMNS = ("form", "start", "part", "share")
FORMS_COLUMNS = (
    "mark", "schedule", "start", "sweep", "objective", "excess", "form", "part", "starts", "share",
    "lower", "upper", "position", "sample", "perturbation", "batch", "axis", "x", "y", "group",
    "note",
)  # fmt: skip

PARTS = ("fixed", "random", "overlap", "residual")
_TITLE = "Linear mixed forms"
_SCHEDULES: dict[str, tuple[str, Literal["-", "--", ":"]]] = {
    "accelerated": (style.BLUE, "-"),
    "monotone": (style.GREEN, "--"),
    "cyclic": (style.VERMILLION, ":"),
}
_OTHERS = (style.PURPLE, INDIGO)
_FORMS = {"free": (SKY, -0.19), "constrained": (style.ORANGE, 0.19)}
# Nobody needs to see F closer to its lowest value than this, as a share of it.
_FLOOR = 1e-8
# A schedule that rises further above where it began leaves the panel at its upper border.
_RISE = 1e3
# Sweep 0 has no place on a logarithmic axis; this is where the start is drawn.
_START = 0.6
_ROW_MM = 52.0


@style.styled
def mixed_forms(
    convergence: pd.DataFrame,
    variance: pd.DataFrame,
    codes: pd.DataFrame,
    *,
    control: str = "control",
) -> Drawn:
    """Draw the objective per sweep, the variance by part, and the codes of the samples.

    Above, F above the lowest value that any schedule or start reached, as a share of it; and the
    shares of ‖Y‖² of both forms, with the range over starts. Below, the first two axes of the
    fixed codes K by perturbation and of the random codes H by batch.

    Parameters
    ----------
    convergence
        ``convergence.tsv``: schedule, start (1 depends on the data alone), sweep (0 is the start),
        objective; not finite where a schedule left the range of numbers.
    variance
        ``variance.tsv``: form (``free`` or ``constrained``), start, part (``fixed``, ``random``,
        ``overlap`` or ``residual``), share of ‖Y‖².
    codes
        ``codes.tsv``: sample, form, perturbation, batch, K1 … Kk, H1 … Hk; H may be 0 throughout.
    control
        What the control samples are called among the perturbations.

    Returns
    -------
    figure, table
        Rows of the table: ``objective``, ``share`` (with its range), ``code`` (axis K or H, group:
        how it is coloured) and ``note``.
    """
    sweeps = _sweeps(convergence)
    shares = _shares(variance)
    samples, told = coded.samples(codes, control)
    if sweeps.empty and shares.empty and samples.empty:
        return style.empty_figure(
            "Nothing was fitted: no sweep, no variance, no codes.", FORMS_COLUMNS, title=_TITLE,
            width="double",
        )  # fmt: skip
    notes = [*_notes(sweeps), *_split(shares), *told]
    forms = sorted(set(style.texts(codes["form"]))) if "form" in codes else []
    figure = _draw(sweeps, shares, samples, " ".join(notes), control, ", ".join(forms))
    said = pd.DataFrame({"mark": "note", "note": notes})
    return figure, style.drawn_table([sweeps, shares, samples, said], FORMS_COLUMNS)


def _sweeps(convergence: pd.DataFrame) -> pd.DataFrame:
    """Return the objective after every sweep, and how far above the lowest one it is."""
    table = style.take(convergence, CONVERGENCE_COLUMNS, "table of convergence")
    table["schedule"] = style.texts(table["schedule"])
    for name in ("start", "sweep", "objective"):
        table[name] = style.numbers(table[name])
    table = table.dropna(subset=["start", "sweep"]).astype({"start": int, "sweep": int})
    known = table["objective"].dropna()
    lowest = float(known.min()) if len(known) else 0.0
    scale = lowest if lowest > 0 else float(known.abs().max()) if len(known) else 1.0
    # Objectives of schedules that diverge overflow when divided by a small one.
    with np.errstate(over="ignore"):
        excess = (table["objective"] - lowest) / (scale or 1.0)
    table = table.assign(mark="objective", excess=excess)
    return table.sort_values(["start", "schedule", "sweep"], kind="stable").reset_index(drop=True)


def _shares(variance: pd.DataFrame) -> pd.DataFrame:
    """Return the share of every part at the first start of each form, and its range over starts."""
    table = style.take(variance, VARIANCE_COLUMNS, "table of variance by part")
    for name in ("form", "part"):
        table[name] = style.texts(table[name])
    for name in ("start", "share"):
        table[name] = style.numbers(table[name])
    table = table.dropna(subset=["share"]).sort_values("start", kind="stable")
    grouped = table.groupby(["form", "part"], sort=False)["share"]
    found = grouped.agg(["first", "min", "max", "size"]).reset_index()
    found.columns = ["form", "part", "share", "lower", "upper", "starts"]
    parts = [*PARTS, *sorted(set(found["part"]) - set(PARTS))]
    found["position"] = found["part"].map(parts.index).astype(float)
    several = found["starts"] > 1
    found[["lower", "upper"]] = found[["lower", "upper"]].where(several)
    found = found.assign(mark="share").sort_values(["form", "position"], kind="stable")
    return found.reset_index(drop=True)


def _notes(sweeps: pd.DataFrame) -> list[str]:
    """Return what is to be said of the fit."""
    notes = []
    for schedule, own in sweeps.groupby("schedule", sort=False):
        lost = own.loc[own["objective"].isna(), "sweep"]
        if len(lost):
            notes.append(f"{schedule}: F is no finite number from sweep {lost.min():.0f} on.")
    if _beyond(sweeps).any():
        notes.append("Lines at the upper border rise beyond it.")
    known = sweeps["excess"].dropna()
    if len(known):
        place = power_of_ten(_floor(known))
        notes.append(f"The lowest F has no place on a log scale: drawn at {place}.")
    return notes


def _split(shares: pd.DataFrame) -> list[str]:
    """Return what is to be said of the fixed and the random part."""
    free = shares[shares["form"] == "free"]
    if free.empty:
        return []
    identified = "Free form: at best the column space of its loadings is identified"
    random = free.loc[free["part"] == "random", ["share", "lower", "upper"]]
    if not random.fillna(0.0).ne(0).any(axis=None):
        return [f"{identified}."]
    fixed = free[free["part"] == "fixed"].dropna(subset=["lower"])
    depends = f"{identified}; how its codes are split into K and H depends on the start"
    notes = [f"{depends}, of which there was one."]
    if len(fixed):
        lower, upper, starts = fixed.iloc[0][["lower", "upper", "starts"]]
        notes = [
            f"{depends}: over {starts} starts the fixed part is {_percent(lower)} to "
            f"{_percent(upper)} of ‖Y‖²."
        ]
    if (shares["share"] < 0).any():
        notes.append("Overlap below 0: the fixed and the random part cancel in part.")
    return notes


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %".replace("-", ticks.MINUS)


def _ceiling(sweeps: pd.DataFrame) -> float:
    """Return the excess above which a line runs along the upper border."""
    known = sweeps["excess"][np.isfinite(sweeps["excess"])]
    if known.empty:
        return 1.0
    begun = known[sweeps.loc[known.index, "sweep"] == sweeps["sweep"].min()]
    first = float(begun.max()) if len(begun) else float(known.max())
    return max(10 * _FLOOR, min(float(known.max()), _RISE * max(first, _FLOOR)))


def _floor(excess: pd.Series) -> float:
    """Return where the lowest F is drawn: the power of ten below the smallest excess that shows."""
    shown = excess[(excess >= _FLOOR) & np.isfinite(excess)]
    return max(_FLOOR, 10.0 ** float(np.floor(np.log10(shown.min())))) if len(shown) else _FLOOR


def _beyond(sweeps: pd.DataFrame) -> pd.Series:
    return sweeps["objective"].notna() & (sweeps["excess"] > _ceiling(sweeps))


def _draw(
    sweeps: pd.DataFrame,
    shares: pd.DataFrame,
    samples: pd.DataFrame,
    note: str,
    control: str,
    form: str,
) -> Figure:
    """Draw the fit and the variance above, both codes below, each with its key beside it."""
    figure = style.new_figure("double", 2 * _ROW_MM, title=_TITLE, note=note)
    grid = figure.add_gridspec(2, 4, width_ratios=[50, 26, 50, 26])
    panels = [[figure.add_subplot(grid[row, column]) for column in range(4)] for row in range(2)]
    (fit, fit_key, parts, parts_key), (K, K_key, H, H_key) = panels
    for axes in (fit_key, parts_key, K_key, H_key):
        axes.set_axis_off()
    fit.set_title("a  objective F per sweep")
    parts.set_title("b  variance by part")
    K.set_title(f"c  fixed codes, {form} form" if form else "c  fixed codes")
    H.set_title(f"d  random codes, {form} form" if form else "d  random codes")
    drawn = sweeps[sweeps["objective"].notna()]
    fit_handles = _draw_sweeps(fit, drawn, sweeps)
    parts_handles = _draw_shares(parts, shares)
    of_K, of_H = samples[samples["axis"] == "K"], samples[samples["axis"] == "H"]
    K_handles = coded.draw(K, of_K, "K", control)
    H_handles = coded.draw(H, of_H, "H", control)
    style.freeze(figure)
    for axes, handles in (
        (fit_key, fit_handles), (parts_key, parts_handles), (K_key, K_handles), (H_key, H_handles),
    ):  # fmt: skip
        _key(axes, handles)
    if drawn.empty:
        none = sweeps.empty
        style.say(fit, "No sweeps were recorded." if none else "F was never a finite number.")
    if shares.empty:
        style.say(parts, "No shares of variance were computed.")
    if of_K.empty:
        style.say(K, "No codes were fitted.")
    if of_H.empty:
        why = "All random codes are 0: there is no batch, and so no random part."
        style.say(H, why if len(of_K) else "No codes were fitted.")
    return figure


def _key(axes: Axes, handles: Sequence[tuple[Line2D | Patch, str]]) -> None:
    """Write the words for the marks of the panel to the left; the figure must be frozen."""
    if not handles:
        return
    width = style.panel_width(axes) - 3.0
    marks, words = zip(*handles, strict=True)
    labels = ["\n".join(style.wrap(text, width, most=2)) for text in coded.distinct(words, width)]
    axes.legend(list(marks), labels, loc="upper left", bbox_to_anchor=(0, 1), labelspacing=0.5)


def _draw_sweeps(
    axes: Axes, drawn: pd.DataFrame, sweeps: pd.DataFrame
) -> list[tuple[Line2D | Patch, str]]:
    """Draw F above its lowest value, a line per schedule and start; return what the key says."""
    axes.set_xlabel("sweep (log scale)")
    axes.set_ylabel("(F − lowest F) / lowest F")
    if drawn.empty:
        return []
    top = _ceiling(sweeps)
    floor = _floor(drawn["excess"])
    low, high = floor / 2, 3 * max(top, 10 * floor)
    axes.set_xscale("log")
    axes.set_yscale("log")
    last = max(2.0, float(drawn["sweep"].max()))
    axes.set_xlim(_START * 0.85, last * 1.15)
    axes.set_ylim(low, high)
    set_decades(axes.xaxis, 1.0, last, 4)
    set_decades(axes.yaxis, low, high, 5)
    axes.xaxis.set_ticks([_START, *axes.xaxis.get_majorticklocs()])
    axes.xaxis.set_major_formatter(lambda x, _: "0" if x < 1 else ticks.plain_powers(x, 0.0))
    handles: list[tuple[Line2D | Patch, str]] = []
    first = drawn["start"].min()
    names = list(dict.fromkeys(drawn.loc[drawn["start"] == first, "schedule"]))
    looks = {name: _SCHEDULES.get(name, (_OTHERS[k % 2], "-")) for k, name in enumerate(names)}
    for (start, name), own in drawn.groupby(["start", "schedule"], sort=False):
        x = own["sweep"].astype(float).clip(lower=_START)
        y = own["excess"].clip(floor, 3 * max(top, 10 * floor))
        colour, dash = looks[str(name)] if start == first else (style.LIGHT, "-")
        axes.plot(
            x, y, color=colour, linestyle=dash, linewidth=1.2 if start == first else 0.6,
            marker="o" if len(own) == 1 else "", markersize=3, zorder=3 if start == first else 1,
            gid="sweeps", rasterized=len(own) > style.MOST_VECTOR_MARKS,
        )  # fmt: skip
        stopped = sweeps[(sweeps["start"] == start) & (sweeps["schedule"] == name)]
        if stopped["objective"].isna().any():
            axes.plot(x.iloc[-1:], y.iloc[-1:], "x", color=colour, markersize=4, clip_on=False)
    for name in names:
        colour, dash = looks[name]
        handles.append((Line2D([], [], color=colour, linestyle=dash, linewidth=1.2), name))
    others = drawn.loc[drawn["start"] != first, "start"].nunique()
    if others:
        words = f"{others} other start{'s' * (others > 1)}"
        handles.append((Line2D([], [], color=style.LIGHT, linewidth=0.8), words))
    return handles


def _draw_shares(axes: Axes, shares: pd.DataFrame) -> list[tuple[Line2D | Patch, str]]:
    """Draw the share of every part, a bar per form; return what the key says."""
    axes.set_ylabel("share of ‖Y‖² (%)")
    if shares.empty:
        return []
    handles: list[tuple[Line2D | Patch, str]] = []
    forms = list(dict.fromkeys([*[f for f in _FORMS if f in set(shares["form"])], *shares["form"]]))
    width = 0.38 if len(forms) > 1 else 0.5
    for name in forms:
        own = shares[shares["form"] == name]
        colour, shift = _FORMS.get(name, (style.GREY, 0.0))
        at = own["position"] + (shift if len(forms) > 1 else 0.0)
        bars = axes.bar(at, 100 * own["share"], width=width, color=colour, linewidth=0)
        for bar in bars:
            bar.set_gid("shares")
        axes.vlines(at, 100 * own["lower"], 100 * own["upper"], colors=style.BLACK, linewidth=0.9,
                    gid="ranges")  # fmt: skip
        for x, share in zip(at, own["share"], strict=True):
            if share == 0:  # a bar without height looks like one that is missing
                axes.text(x, 0, "0", ha="center", va="bottom", fontsize=style.SMALL)
        first = ", first start" if own["lower"].notna().any() else ""
        handles.append((Patch(color=colour), f"{name} form{first}"))
    if shares["lower"].notna().any():
        starts = int(shares["starts"].max())
        handles.append(
            (Line2D([], [], color=style.BLACK, linewidth=0.9), f"range over {starts} starts")
        )
    axes.axhline(0, color=style.BLACK, linewidth=0.6)
    places = shares.drop_duplicates("position").sort_values("position")
    axes.set_xticks(places["position"], [style.shorten(name, 11) for name in places["part"]])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, places["position"].max() + 0.6)
    ticks.number_axis(axes.yaxis, 5)
    return handles
