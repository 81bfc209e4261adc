"""The figure of linear mixed forms: legible for any screen, drawn as tabled, honest about gaps."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from figure_cases import NOTHING, drawn_texts
from figure_checks import assert_sound, drawing, ordered, said
from matplotlib.collections import LineCollection, PathCollection

from lgem.errors import InputError
from lgem.figures import codes as coded
from lgem.figures import style
from lgem.figures.mixed_forms import mixed_forms

LONG = "lowest_read_depth_quartile_of_the_second_run_{k}_2019-04-{k:02d}_flowcell_HJ7"


def fits(starts=4, sweeps=2000, schedule="accelerated", cyclic="rises"):
    """Return objectives: a quick and a slow descent, a line that jumps, other starts."""
    t = np.arange(sweeps + 1)
    lines = {
        ("accelerated", 1): 100 + 900 * np.exp(-t / 12)[: max(2, sweeps // 8)],
        ("monotone", 1): 100 + 900 / (1 + t) ** 1.3,
    }
    if cyclic == "rises":
        lines["cyclic", 1] = 400 + 250 * (t % 3) + 300 / (1 + t)
    if cyclic == "overflows":
        with np.errstate(over="ignore"):
            lines["cyclic", 1] = 1000 * np.exp(np.minimum(t, 60) * 20.0)
    for start in range(2, starts + 1):
        lines[schedule, start] = 100 + start / 50 + 900 * np.exp(-t / (9 + 3 * start))[:200]
    return pd.concat(
        pd.DataFrame({"schedule": name, "start": start, "sweep": np.arange(len(values)),
                      "objective": values})
        for (name, start), values in lines.items()
    )  # fmt: skip


def variance(starts=4, forms=("free", "constrained"), random=True):
    rows = []
    for form, start in product(forms, range(1, starts + 1)):
        if form == "constrained" and start > 1:
            continue
        fixed = 0.3 + 0.07 * start * (form == "free")
        parts = {"fixed": fixed, "random": 0.25 * random, "overlap": -0.08 * random}
        parts["residual"] = 1 - sum(parts.values())
        rows += [(form, start, part, share) for part, share in parts.items()]
    return pd.DataFrame(rows, columns=["form", "start", "part", "share"])


def codes(n, perturbations, batches, k=10, random=True):
    """Return codes of n samples; batches are a number, or their names."""
    rng = np.random.default_rng(n)
    names = ["control", *(f"GENE{j}" if j % 9 else f"RP11-{j}M14.11+HES1+NKX2-5"
                          for j in range(perturbations - 1))]  # fmt: skip
    which = rng.integers(perturbations, size=n)
    batches = [f"batch_{j}" for j in range(batches)] if isinstance(batches, int) else batches
    own = rng.integers(max(1, len(batches)), size=n)
    centres = rng.normal(0, 1, (perturbations, k)) * (which.max() > 0)
    shifts = rng.normal(0, 0.5, (max(1, len(batches)), k))
    K = (centres[which] + rng.normal(0, 0.2, (n, k))) * 3 / np.arange(1, k + 1)
    H = (shifts[own] + rng.normal(0, 0.1, (n, k))) * random / np.arange(1, k + 1)
    table = pd.DataFrame(
        {"sample": [f"s{j}" for j in range(n)], "perturbation": np.array(names)[which],
         "batch": np.array(batches)[own] if batches else "all", "n_cells": 40}
    )  # fmt: skip
    both = {f"{name}{j + 1}": C[:, j] for name, C in (("K", K), ("H", H)) for j in range(k)}
    return table.assign(**both)


def flat(n=50):
    return pd.DataFrame(
        {"schedule": "monotone", "start": 1, "sweep": np.arange(n), "objective": 5.0}
    )


CASES = {
    "demo": lambda: mixed_forms(fits(), variance(), codes(200, 68, 3)),
    "ecoli": lambda: mixed_forms(
        fits(2, 400, "monotone"), variance(2),
        codes(104, 60, [LONG.format(k=k) for k in range(1, 22)]),
    ),
    "long batches": lambda: mixed_forms(
        fits(), variance(), codes(104, 60, [LONG.format(k=k) for k in range(1, 9)])
    ),
    "no batch": lambda: mixed_forms(
        fits(5, cyclic=None), variance(5, random=False), codes(90, 30, 0, random=False)
    ),
    "overflow": lambda: mixed_forms(
        fits(3, cyclic="overflows"), variance(3), codes(60, 5, 2)
    ),
    "60 batches": lambda: mixed_forms(fits(1), variance(1), codes(600, 100, 60)),
    "one batch": lambda: mixed_forms(fits(1), variance(1), codes(60, 10, 1)),
    "k 1": lambda: mixed_forms(fits(), variance(), codes(80, 12, 3, k=1)),
    "one start": lambda: mixed_forms(fits(1), variance(1, ["free"]), codes(30, 3, 2)),
    "one sample": lambda: mixed_forms(fits(1, 3), variance(1), codes(1, 1, 1)),
    "only control": lambda: mixed_forms(fits(1, 3), variance(1), codes(20, 1, 2)),
    "many samples": lambda: mixed_forms(fits(), variance(), codes(5000, 300, 8)),
    "flat": lambda: mixed_forms(flat(), variance(), codes(60, 5, 2)),
    "one sweep": lambda: mixed_forms(flat(1), variance(), codes(60, 5, 2)),
    "never finite": lambda: mixed_forms(
        flat().assign(objective=np.nan), variance(), codes(60, 5, 2)
    ),
    "no sweeps": lambda: mixed_forms(NOTHING, variance(), codes(60, 5, 2)),
    "no variance": lambda: mixed_forms(fits(), NOTHING, codes(60, 5, 2)),
    "no codes": lambda: mixed_forms(fits(), variance(), NOTHING),
    "empty": lambda: mixed_forms(NOTHING, NOTHING, NOTHING),
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    """Return figure, table and texts of a case, each made once."""
    return drawing(CASES)


def shown(figure, gid):
    marks = [found for found in figure.findobj(PathCollection) if found.get_gid() == gid]
    return np.concatenate([np.asarray(found.get_offsets(), dtype=float) for found in marks])


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_legible_without_empty_panels_and_reads_back(name, tmp_path, drawn):
    assert_sound(drawn(name), tmp_path, [style.WIDTHS_MM["double"]])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "Nothing was fitted"), ("no sweeps", "No sweeps were recorded."),
        ("no variance", "No shares of variance were computed."),
        ("no codes", "No codes were fitted. d random codes"),
        ("never finite", "F was never a finite number."),
        ("no batch", "there is no batch, and so no random part."),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_words(name, words, drawn):
    assert words in said(drawn(name)[2])


def test_the_objective_is_drawn_as_its_excess_over_the_lowest_that_anything_reached(drawn):
    figure, table, texts = drawn("demo")
    rows = table[table["mark"] == "objective"].astype({"sweep": float, "excess": float})
    lowest = fits()["objective"].min()
    np.testing.assert_allclose(rows["excess"], rows["objective"].astype(float) / lowest - 1,
                               atol=1e-12)  # fmt: skip
    lines = [line for line in figure.axes[0].lines if line.get_gid() == "sweeps"]
    owned = [own for _, own in rows.groupby(["start", "schedule"])]
    assert len(lines) == len(owned) == 6
    for line, own in zip(lines, owned, strict=True):
        x, y = line.get_xydata().T
        later, high = (own["sweep"] > 0).to_numpy(), (own["excess"] >= 1e-8).to_numpy()
        np.testing.assert_array_equal(x[later], own["sweep"][later])
        assert ((x[~later] > 0) & (x[~later] < 1)).all()
        np.testing.assert_array_equal(y[high], own["excess"][high])
        np.testing.assert_array_equal(y[~high], 1e-8)
    assert "drawn at 10⁻⁸" in said(texts)
    assert "3 other starts" in said(texts)


def test_each_schedule_has_a_colour_and_other_starts_are_thin_and_grey(drawn):
    lines = [line for line in drawn("demo")[0].axes[0].lines if line.get_gid() == "sweeps"]
    first = {(line.get_color(), line.get_linestyle()) for line in lines[:3]}
    assert len({colour for colour, _ in first}) == len({dash for _, dash in first}) == 3
    assert {line.get_color() for line in lines[3:]} == {style.LIGHT}
    assert max(k.get_linewidth() for k in lines[3:]) < min(k.get_linewidth() for k in lines[:3])


def test_a_schedule_that_overflows_is_cut_at_the_border_and_says_where_it_stopped(drawn):
    figure, table, texts = drawn("overflow")
    cyclic = table[(table["mark"] == "objective") & (table["schedule"] == "cyclic")]
    stopped = cyclic.loc[cyclic["objective"].isna(), "sweep"].min()
    assert 0 < stopped < 60
    assert f"cyclic: F is no finite number from sweep {stopped:.0f} on." in said(texts)
    assert "Lines at the upper border rise beyond it." in said(texts)
    low, high = figure.axes[0].get_ylim()
    lines = [line for line in figure.axes[0].lines if line.get_gid() == "sweeps"]
    heights = [h for line in lines for h in line.get_ydata()]
    assert max(heights) == high < 1e6
    assert min(heights) >= low > 0
    begun = max(line.get_ydata()[0] for line in lines)
    assert begun < high / 100


def test_shares_are_bars_of_the_first_start_with_the_range_over_all(drawn):
    figure, table, texts = drawn("demo")
    rows = table[table["mark"] == "share"].set_index(["form", "part"])
    asked = variance()
    for (form, part), own in asked.groupby(["form", "part"]):
        row = rows.loc[form, part]
        assert row["share"] == own.loc[own["start"] == 1, "share"].item()
        if form == "free":
            assert (row["lower"], row["upper"]) == (own["share"].min(), own["share"].max())
        else:
            assert pd.isna(row["lower"])
            assert pd.isna(row["upper"])
    bars = [bar.get_height() for bar in figure.axes[2].patches if bar.get_gid() == "shares"]
    np.testing.assert_allclose(np.sort(bars), np.sort(100 * rows["share"].astype(float)))
    whiskers = [m for m in figure.findobj(LineCollection) if m.get_gid() == "ranges"]
    ends = np.array([s[:, 1] for m in whiskers for s in m.get_segments() if len(s)])
    ends = ends[np.isfinite(ends).all(axis=1)]
    free = rows.loc["free"][["lower", "upper"]].astype(float)
    np.testing.assert_allclose(ordered(ends), ordered(100 * free))
    assert "over 4 starts the fixed part is 37 % to 58 % of ‖Y‖²" in said(texts)
    assert "Overlap below 0" in said(texts)


def test_how_the_split_varies_is_said_only_where_there_is_a_split_and_more_than_one_start(drawn):
    assert "how its codes are split" not in said(drawn("no batch")[2])
    assert "at best the column space" in said(drawn("no batch")[2])
    assert "of which there was one" in said(drawn("one start")[2])
    assert "range over" not in said(drawn("one start")[2])


@pytest.mark.parametrize("name", ["demo", "ecoli", "60 batches", "k 1", "many samples", "no batch"])
def test_codes_are_drawn_as_tabled(name, drawn):
    figure, table, _ = drawn(name)
    rows = table[table["mark"] == "code"]
    for axis in sorted(set(rows["axis"])):
        own = rows.loc[rows["axis"] == axis, ["x", "y"]]
        np.testing.assert_array_equal(ordered(shown(figure, f"codes {axis}")), ordered(own))
    assert set(rows["axis"]) == ({"K"} if name == "no batch" else {"K", "H"})


def test_the_first_two_axes_are_drawn_and_with_one_axis_the_order_of_samples():
    table = codes(40, 5, 2)
    rows = mixed_forms(NOTHING, NOTHING, table)[1].query("mark == 'code'")
    for axis in "KH":
        own = rows[rows["axis"] == axis].set_index("sample").loc[table["sample"]]
        np.testing.assert_array_equal(own["x"].astype(float), table[f"{axis}1"])
        np.testing.assert_array_equal(own["y"].astype(float), table[f"{axis}2"])
    alone = table.drop(columns=[c for c in table if c[0] in "KH" and c not in ("K1", "H1")])
    rows = mixed_forms(NOTHING, NOTHING, alone)[1].query("mark == 'code' and axis == 'K'")
    assert rows["x"].tolist() == list(range(1, 41))
    np.testing.assert_array_equal(rows["y"].astype(float), table["K1"])


def test_named_perturbations_are_those_whose_means_are_farthest_from_controls_mean(drawn):
    _, table, texts = drawn("demo")
    rows = table[(table["mark"] == "code") & (table["axis"] == "K")]
    means = rows.astype({"x": float, "y": float}).groupby("perturbation")[["x", "y"]].mean()
    distance = np.hypot(*(means - means.loc["control"]).to_numpy().T)
    farthest = set(means.index[np.argsort(distance)[-coded.NAMED :]])
    named = set(rows["group"]) - {"control", coded.REST}
    assert named == farthest
    assert all(name in said(texts) for name in named)
    assert "56 other perturbations" in said(texts)
    assert (rows["group"] == rows["perturbation"]).sum() == rows["perturbation"].isin(
        named | {"control"}
    ).sum()


def test_up_to_eight_batches_are_coloured_and_more_are_one_grey(drawn):
    figure, table, texts = drawn("long batches")
    batches = table.loc[table["axis"] == "H", "batch"].unique()
    keys = [t.get_text() for t, _ in texts if "2019" in t.get_text()]
    assert len(keys) == len(set(keys)) == len(batches) == 8
    marks = [m for m in figure.findobj(PathCollection) if m.get_gid() == "codes H"]
    assert len({tuple(mark.get_facecolor()[0]) for mark in marks}) == 8
    assert len({mark.get_paths()[0].vertices.tobytes() for mark in marks}) == 8
    figure, _, texts = drawn("60 batches")
    marks = [m for m in figure.findobj(PathCollection) if m.get_gid() == "codes H"]
    assert len(marks) == 1
    assert "60 batches are too many to colour" in said(texts)


def test_samples_without_finite_codes_are_left_out_and_counted():
    table = codes(40, 5, 2)
    table.loc[3, "K1"], table.loc[4, "K2"] = np.nan, np.inf
    figure, rows = mixed_forms(fits(1), variance(1), table)
    assert (rows["axis"] == "K").sum() == 38
    assert "2 samples without finite codes not drawn" in said(drawn_texts(figure))


def test_control_may_be_called_otherwise_and_batch_may_be_missing():
    table = codes(60, 5, 0).replace({"control": "non-targeting"}).drop(columns="batch")
    rows = mixed_forms(NOTHING, NOTHING, table, control="non-targeting")[1]
    assert "non-targeting" in set(rows["group"])
    assert coded.REST not in set(rows["group"])
    some = codes(60, 5, 2).replace({"batch_0": np.nan})
    assert "no batch given" in said(drawn_texts(mixed_forms(NOTHING, NOTHING, some)[0]))


def test_names_that_would_be_cut_to_the_same_lose_what_they_share():
    names = [LONG.format(k=k) for k in range(1, 9)]
    short = coded.distinct(names, 23.0)
    assert len(set(short)) == 8
    assert all(f"0{k}" in name for k, name in enumerate(short, 1))
    assert coded.distinct(["batch_1", "batch_2"], 23.0) == ["batch_1", "batch_2"]
    nested = ["x" * 60 + "middle" * 9 + str(k) + "y" * 60 + "z" * k for k in range(3)]
    assert len(set(coded.distinct(nested, 23.0))) == 3


def test_a_table_without_a_needed_column_is_refused_by_name():
    with pytest.raises(InputError, match="did you mean 'objectives'"):
        mixed_forms(fits().rename(columns={"objective": "objectives"}), NOTHING, NOTHING)
    with pytest.raises(InputError, match="part"):
        mixed_forms(NOTHING, variance().drop(columns="part"), NOTHING)
    with pytest.raises(InputError, match="K1"):
        mixed_forms(NOTHING, NOTHING, codes(9, 3, 2).drop(columns="K1"))
