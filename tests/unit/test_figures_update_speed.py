"""The figure of update times: legible for any sizes, drawn as tabled, honest about gaps."""

import numpy as np
import pandas as pd
import pytest
from figure_cases import NOTHING, drawn_texts
from figure_checks import assert_sound, drawing, ordered, said
from matplotlib.collections import LineCollection, PathCollection

from lgem.errors import InputError
from lgem.figures import style
from lgem.figures.update_speed import update_speed

SIZES = (50, 100, 200, 500, 1000, 2000, 5000)


def measured(sizes=SIZES, rank=5, factor=1.0):
    """Return times that grow with the third and second power of the number of genes."""
    genes = np.asarray(sizes, dtype=float)
    direct, update = 5e-11 * genes**3 + 2e-5, factor * (3e-10 * genes**2 + 1e-5)
    table = pd.DataFrame({"genes": genes.astype(int), "rank": rank, "n": 9})
    for name, value in (("direct", direct), ("update", update)):
        table[f"{name}_s"] = value
        table[f"{name}_min_s"], table[f"{name}_max_s"] = 0.8 * value, 1.7 * value
    return table.assign(
        implicit_s=np.where(genes >= 1000, 1e-8 * genes, np.nan),
        speed_up=direct / update,
        largest_difference=1e-13 * np.sqrt(genes),
    )


def two_ranks():
    tables = [measured(), measured(rank=50, factor=6.0)]
    return pd.concat(tables, ignore_index=True)


TIMES = [f"{k}{end}_s" for k in ("direct", "update") for end in ("", "_min", "_max")]
CASES = {
    "seven": lambda: update_speed(measured()),
    "one": lambda: update_speed(measured([500])),
    "two": lambda: update_speed(measured([100, 20_000])),
    "thirty": lambda: update_speed(measured(np.arange(100, 3100, 100))),
    "two ranks": lambda: update_speed(two_ranks()),
    "slower": lambda: update_speed(measured(factor=3e5)),
    "no direct": lambda: update_speed(
        measured().assign(direct_s=np.nan, speed_up=np.nan, largest_difference=np.nan)
    ),
    "some direct": lambda: update_speed(measured().assign(
        direct_s=measured()["direct_s"].where(measured()["genes"] < 2000),
        speed_up=measured()["speed_up"].where(measured()["genes"] < 2000),
    )),
    "only speed-up": lambda: update_speed(
        measured().assign(**dict.fromkeys([*TIMES, "implicit_s"], np.nan))
    ),
    "no values": lambda: update_speed(
        measured().assign(**dict.fromkeys([*TIMES, "implicit_s", "speed_up"], np.nan))
    ),
    "empty": lambda: update_speed(NOTHING),
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    """Return figure, table and texts of a case, each made once."""
    return drawing(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_legible_without_empty_panels_and_reads_back(name, tmp_path, drawn):
    assert_sound(drawn(name), tmp_path, [style.WIDTHS_MM["double"]])


@pytest.mark.parametrize("name", ["empty", "no values"])
def test_a_run_without_measurements_says_so(name, drawn):
    figure, table, texts = drawn(name)
    assert table["mark"].tolist() == ["note"]
    assert "no update was measured" in table["note"].iloc[0]
    assert "no update was measured" in said(texts)
    assert not figure.findobj(PathCollection)


@pytest.mark.parametrize("name", ["seven", "one", "two ranks", "thirty", "some direct", "slower"])
def test_times_are_drawn_as_tabled_with_their_ranges(name, drawn):
    figure, table, _ = drawn(name)
    times = table[table["mark"] == "time"]
    left = figure.axes[0]
    points = [np.ma.getdata(m.get_offsets()) for m in left.findobj(PathCollection)]
    np.testing.assert_array_equal(ordered(np.concatenate(points)), ordered(times[["genes", "ms"]]))
    lines = np.concatenate([line.get_xydata() for line in left.lines if line.get_gid() == "times"])
    np.testing.assert_array_equal(ordered(lines), ordered(times[["genes", "ms"]]))
    ends = [np.ravel(s) for m in left.findobj(LineCollection) for s in m.get_segments()]
    ranges = times.dropna(subset=["lower_ms"])[["genes", "lower_ms", "genes", "upper_ms"]]
    np.testing.assert_array_equal(ordered([e for e in ends if len(e) == 4]), ordered(ranges))
    assert left.get_xscale() == left.get_yscale() == "log"
    low, high = left.get_xlim()
    assert ((times["genes"] > low) & (times["genes"] < high)).all()
    assert high < 3 * times["genes"].max()
    low, high = left.get_ylim()
    assert low < times[["ms", "lower_ms"]].astype(float).min(axis=None)
    assert high > times[["ms", "upper_ms"]].astype(float).max(axis=None)


def test_times_are_in_ms_and_only_where_measured(drawn):
    times = drawn("seven")[1].query("mark == 'time'").set_index(["contender", "genes"])["ms"]
    given = measured().set_index("genes")
    for contender in ("direct", "update", "implicit"):
        expected = 1000 * given[f"{contender}_s"].dropna()
        np.testing.assert_array_equal(times[contender].astype(float), expected)
    assert len(times) == 7 + 7 + 3


@pytest.mark.parametrize("name", ["seven", "one", "two ranks", "thirty", "some direct"])
def test_bars_are_as_long_as_the_speed_up_written_behind_them(name, drawn):
    figure, table, _ = drawn(name)
    bars = table[table["mark"] == "speed_up"]
    right = figure.axes[1]
    known = bars.dropna(subset=["speed_up"])
    lengths = [bar.get_width() for bar in right.patches]
    np.testing.assert_array_equal(lengths, known["speed_up"].astype(float))
    written = {text.get_position()[1]: text.get_text() for text in right.texts}
    assert written == dict(zip(bars["position"], bars["label"], strict=True))
    for value, label in zip(known["speed_up"], known["label"], strict=True):
        number = float(label.removesuffix(" ×").replace(",", ""))
        assert label.endswith(" ×")
        assert number == pytest.approx(value, rel=0.06)
    assert (bars["label"] == "not measured").sum() == len(bars) - len(known)
    assert len(right.get_yticklabels()) == len(bars)


def test_a_speed_up_reads_as_in_words():
    table = measured([10, 20, 30, 40]).assign(speed_up=[7.4, 0.000034, 1234.5, 99.97])
    labels = update_speed(table)[1].query("mark == 'speed_up'")["label"]
    assert labels.tolist() == ["7.4 ×", "3.4·10⁻⁵ ×", "1,234 ×", "100 ×"]


def test_the_note_tells_rounds_rank_and_the_largest_difference(drawn):
    shown = said(drawn("seven")[2])
    assert "Medians of 9 rounds; bars: their range." in shown
    assert "Rank of the update: 5." in shown
    assert "Largest difference between the two results: 7.1·10⁻¹²." in shown
    assert "differ was not measured" in said(drawn("no direct")[2])
    assert "Rank of the update: 5 (solid), 50 (dashed)." in said(drawn("two ranks")[2])
    assert "as fast as an inversion" in shown
    assert "as fast as an inversion" not in said(drawn("no direct")[2])
    assert "500 (50)" in said(drawn("two ranks")[2])
    exact = update_speed(measured().assign(largest_difference=0.0, n=[3, *[9] * 6]))[0]
    assert "results: 0." in said(drawn_texts(exact))
    assert "Medians of 3 to 9 rounds" in said(drawn_texts(exact))


def test_what_was_not_measured_is_said_and_not_in_the_legend(drawn):
    assert "inversion of the new Σ" not in said(drawn("no direct")[2])
    assert "No speed-up" in said(drawn("no direct")[2])
    assert "No times were measured" in said(drawn("only speed-up")[2])
    assert said(drawn("some direct")[2]).count("not measured") == 2


def test_rows_in_any_order_give_the_same_picture():
    table = two_ranks()
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(update_speed(table)[1], update_speed(shuffled)[1])


def test_a_table_without_a_needed_column_is_refused_by_name():
    with pytest.raises(InputError, match="did you mean 'update_sec'"):
        update_speed(measured().rename(columns={"update_s": "update_sec"}))
