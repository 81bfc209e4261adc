"""The figure of what single responses rewire, and what is left of the same table for all."""

import numpy as np
import pandas as pd
import pytest
from figure_cases import LONG, NOTHING, changes, drawn_texts
from figure_checks import assert_sound, drawing, said
from matplotlib.colors import to_hex

from lgem.errors import InputError
from lgem.figures import rewired as figure_of
from lgem.figures import style
from lgem.figures.network import ALL_UPDATES, largest_changes
from lgem.figures.rewired import rewired


def single(n, pairs=10, names=None, all_too=20):
    """Return the changes by all updates and by each of n responses, largest first."""
    rng, parts = np.random.default_rng(n), []
    if all_too:
        parts.append(changes(all_too).assign(update=ALL_UPDATES))
    for k in range(n):
        change = np.sort(rng.exponential(0.03, pairs))[::-1] * rng.choice([-1, 1], pairs)
        genes = np.array([*LONG, *(f"GENE{j}" for j in range(60))])
        table = pd.DataFrame({
            "update": names[k] if names else f"P{k}", "rank": range(1, pairs + 1),
            "gene_a": rng.choice(genes, pairs), "gene_b": rng.choice(genes, pairs),
            "before": 0.2, "after": 0.2 + change, "change": change,
        })  # fmt: skip
        parts.append(table)
    return pd.concat(parts, ignore_index=True) if parts else changes(1).assign(update=ALL_UPDATES)


LONG_NAME = "HES1+NKX2-5_and_a_guide_of_an_extraordinarily_long_name_{}"
CASES = {
    "forty": lambda: rewired(single(40)),
    "one": lambda: rewired(single(1)),
    "one pair": lambda: rewired(single(1, pairs=1)),
    "five": lambda: rewired(single(5)),
    "long names": lambda: rewired(
        single(7, names=[LONG_NAME.format(k) for k in range(7)]).assign(
            symbol_a="a_gene_of_an_extraordinarily_long_name", symbol_b="W" * 30
        )
    ),
    "tiny": lambda: rewired(single(3).assign(change=4e-9)),
    "one of them tiny": lambda: rewired(
        single(3).assign(change=lambda own: own["change"].where(own["update"] != "P1", 4e-5))
    ),
    "equal": lambda: rewired(single(3).assign(change=0.0)),
    "gaps": lambda: rewired(
        single(3).assign(change=lambda own: own["change"].where(own.index % 3 > 0))
    ),
    "formula": lambda: rewired(single(2, names=["A$1$", "B_{2}"])),
    "only all": lambda: rewired(single(0)),
    "no values": lambda: rewired(single(2, all_too=0).assign(change=np.nan)),
    "empty": lambda: rewired(NOTHING),
}


@pytest.fixture(scope="module")
def drawn():
    """Return figure, table and texts of a case, each made once."""
    return drawing(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_legible_without_empty_panels_and_reads_back(name, tmp_path, drawn):
    assert_sound(drawn(name), tmp_path, [style.WIDTHS_MM["double"]])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("empty", "no single response updated the network"),
        ("only all", "no single response updated the network"),
        ("no values", "20 changes without a value"),
    ],
)
def test_where_no_single_response_rewired_anything_the_figure_says_so(name, why, drawn):
    figure, table, texts = drawn(name)
    assert table["mark"].tolist() == ["note"]
    assert table["note"].iloc[0] == f"No changes to draw: {why}."
    assert why in said(texts)
    assert not figure.axes[0].patches


@pytest.mark.parametrize("name", ["forty", "one", "one pair", "five", "gaps", "long names"])
def test_bars_are_drawn_as_tabled_each_perturbation_in_its_panel(name, drawn):
    figure, table, _ = drawn(name)
    bars = table[table["mark"] == "bar"]
    panels = [axes for axes in figure.axes if axes.axison]
    owned = [own for _, own in bars.groupby(bars["panel"].astype(int))]
    assert len(panels) == len(owned)
    for axes, own in zip(panels, owned, strict=True):
        assert len(set(own["update"])) == 1
        assert [bar.get_width() for bar in axes.patches] == own["change"].tolist()
        assert [text.get_text() for text in axes.get_yticklabels()] == own["label"].tolist()
        middles = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
        np.testing.assert_allclose(middles, own["position"].astype(float))
        assert axes.get_title(loc="left")[0] == own["update"].iloc[0][0]
        colours = dict(zip(own["direction"], (to_hex(b.get_facecolor()) for b in axes.patches),
                           strict=True))  # fmt: skip
        assert len(set(colours.values())) == len(colours)


def test_all_panels_have_one_scale_and_hold_their_bars(drawn):
    figure, table, _ = drawn("forty")
    limits = {axes.get_xlim() for axes in figure.axes}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low < table["change"].min()
    assert high > table["change"].max()


def test_the_perturbations_with_the_largest_changes_are_drawn_and_the_others_counted(drawn):
    given = single(40)
    given = given[given["update"] != ALL_UPDATES]
    largest = given["change"].abs().groupby(given["update"]).max().sort_values(ascending=False)
    _, table, texts = drawn("forty")
    bars = table[table["mark"] == "bar"]
    most = figure_of.MOST_PERTURBATIONS
    assert list(dict.fromkeys(bars["update"])) == largest.index[:most].tolist()
    assert "The 12 of 40 with the largest single change" in said(texts)
    assert " of 12 " not in said(drawn("five")[2])
    for name, own in bars.groupby("update"):
        expected = given.loc[given["update"] == name, "change"].abs().nlargest(5)
        assert own["change"].abs().tolist() == expected.tolist()


def test_changes_without_a_value_are_counted(drawn):
    _, table, texts = drawn("gaps")
    given = single(3)
    lost = int((given.loc[given["update"] != ALL_UPDATES].index % 3 == 0).sum())
    assert f"{lost} changes without a value not drawn" in said(texts)
    assert table.loc[table["mark"] == "bar", "change"].notna().all()


def test_rows_in_any_order_give_the_same_picture():
    table = single(4)
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(rewired(table)[1], rewired(shuffled)[1])


def test_pairs_are_called_by_symbols_and_keep_both_their_ends(drawn):
    table = drawn("long names")[1]
    labels = table.loc[table["mark"] == "bar", "label"]
    assert labels.str.match("a_.*….*me–W+…W+$").all()
    long, short = "RP11-1094M14.11", "STAT1"
    assert figure_of._pair(long, short) == f"{long}–{short}"
    assert figure_of._pair(short, 3 * long).startswith(f"{short}–RP11-")


def test_the_largest_changes_by_all_updates_are_drawn_from_the_same_table():
    alone = changes(20)
    expected = largest_changes(alone)[1]
    pd.testing.assert_frame_equal(largest_changes(single(40))[1], expected)
    mixed = pd.concat([single(5, all_too=0), alone.assign(update=ALL_UPDATES)])
    pd.testing.assert_frame_equal(largest_changes(mixed)[1], expected)
    assert "no edge changed" in said(drawn_texts(largest_changes(single(3, all_too=0))[0]))


def test_a_table_without_a_needed_column_is_refused_by_name():
    with pytest.raises(InputError, match="did you mean 'updates'"):
        rewired(single(2).rename(columns={"update": "updates"}))
    with pytest.raises(InputError, match="column 'change'"):
        rewired(single(2).drop(columns="change"))


def test_bars_too_short_to_be_seen_are_told(drawn):
    assert "at most 0.00004" in said(drawn("one of them tiny")[2])
    assert "at most" not in said(drawn("five")[2])
