"""The figure of linear systems: legible for any number of them, drawn as tabled."""

import numpy as np
import pandas as pd
import pytest
from figure_cases import NOTHING, drawn_texts
from figure_checks import assert_sound, drawing, ordered, said
from matplotlib.collections import LineCollection, PathCollection

from lgem.errors import InputError
from lgem.figures import style, systems
from lgem.figures.ticks import apart, power_of_ten

DEMO = [
    "effects", "effects, training sets", "LGEM: lgem", "LGEM: paper", "LGEM: lgem_random_P",
    "LGEM: lgem_random_G", "LGEM: switched_off", "mixed forms: α", "mixed forms: β",
    "mixed forms: u", "mixed forms: K", "mixed forms: H", "covariance", "covariance, updated",
    "network: covariance of another panel",
]  # fmt: skip


def spectrum(n, condition, deficient=0):
    values = np.geomspace(1, 1 / condition, n) * 7.3
    values[n - deficient :] = 0.0
    return values


def system(name, rows, columns, condition=30.0, deficient=0, off=False, cause="confounded batch"):
    """Return the row of a design and the singular values of one system."""
    rank = min(rows, columns) - deficient
    unique = rank == columns
    row = {
        "system": name, "rows": rows, "columns": columns, "rank": rank,
        "condition": condition if unique else np.inf,
        "verdict": "unique" if unique else "infinite", "explanation": "", "aliased": "",
        "cause": "" if unique else cause, "remedy": "",
    }  # fmt: skip
    if off:
        blanks = dict.fromkeys(["rows", "columns", "rank", "condition"], np.nan)
        return row | blanks | {"verdict": "not solved", "cause": ""}, np.zeros(0)
    return row, spectrum(min(rows, columns), condition, deficient)


def tables(found):
    design = pd.DataFrame([row for row, _ in found])
    spectra = [
        pd.DataFrame({"system": row["system"], "order": np.arange(1, len(values) + 1),
                      "singular_value": values})
        for row, values in found
    ]  # fmt: skip
    return design, pd.concat(spectra, ignore_index=True)


def met(found, without=()):
    design, spectra = tables(found)
    return systems.linear_systems(design, spectra[~spectra["system"].isin(list(without))])


def demo():
    shapes = [
        (4000, 72), (3200, 60), (60, 10), (60, 12), (60, 10), (60, 10), (1, 1), (200, 10),
        (200, 10), (200, 10), (500, 10), (500, 10), (300, 300), (300, 300), (50, 3),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    return [
        system(name, *shape, 10 ** rng.uniform(0.5, 5), int(k == 1), "off" in name)
        for k, (name, shape) in enumerate(zip(DEMO, shapes, strict=True))
    ]


def many(n, kind="LGEM"):
    return [
        system(f"{kind}: model_{k}_of_an_extraordinarily_long_name", 90, 3 + k, 1.5**k, k % 9 == 4)
        for k in range(n)
    ]


CASES = {
    "demo": lambda: met(demo()),
    "one": lambda: met([system("effects", 100, 3)]),
    "one infinite": lambda: met([system("effects", 100, 3, deficient=1)]),
    "one off": lambda: met([system("LGEM: lgem", 1, 1, off=True)]),
    "some off": lambda: met(demo()[2:7]),
    "one column": lambda: met([system("effects", 100, 1, 1.0)]),
    "forty": lambda: met([*many(30), *many(5, "mixed forms"), *demo()[:3], *demo()[12:14]]),
    "forty of a kind": lambda: met(many(40)),
    "large": lambda: met([
        system("effects", 40_000, 2_500, 1e9, cause="redundant factor; too few samples"),
        system("LGEM: lgem", 1_250_000, 1_234, 1e15),
        system("covariance", 120, 2_000, 1e3, cause="too few samples; " * 4),
    ]),
    "underdetermined": lambda: met([system("covariance", 10, 40), system("effects", 5, 6)]),
    "no values": lambda: met(demo()[:4], without=DEMO),
    "some values": lambda: met(demo(), without=["effects", "LGEM: paper"]),
    "equal": lambda: met([system(f"mixed forms: {name}", 20, 8, 12.0) for name in "αβuKH"]),
    "zeros": lambda: met([system("effects", 9, 4, deficient=4)]),
    "empty": lambda: systems.linear_systems(NOTHING, NOTHING),
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    """Return figure, table and texts of a case, each made once."""
    return drawing(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_legible_without_empty_panels_and_reads_back(name, tmp_path, drawn):
    assert_sound(drawn(name), tmp_path, [style.WIDTHS_MM["double"]])


def test_a_run_without_systems_says_so(drawn):
    figure, table, texts = drawn("empty")
    assert table["mark"].tolist() == ["note"]
    assert "No linear system was met" in table["note"].iloc[0]
    assert "No linear system was met" in said(texts)
    assert not figure.findobj(PathCollection)


@pytest.mark.parametrize("name", ["demo", "forty", "equal", "large", "underdetermined"])
def test_singular_values_are_lines_through_the_tabled_ones(name, drawn):
    figure, table, _ = drawn(name)
    values = table[table["mark"] == "singular_value"]
    lines = [line.get_xydata() for a in figure.axes for line in a.lines if line.get_gid()]
    owned = {
        number: own[["share", "relative"]].to_numpy(dtype=float)
        for number, own in values.groupby("number")
    }
    assert len(lines) == len(owned)
    for line, own in zip(lines, owned.values(), strict=True):
        positive = own[:, 1] > 0
        np.testing.assert_array_equal(line[positive], own[positive])
        if positive.any():
            assert (line[~positive, 1] < own[positive, 1].min()).all()
    assert {len(own) for own in owned.values()} <= set(range(1, systems.MOST_VALUES + 1))


def test_lines_are_relative_to_the_largest_value_and_the_number_of_columns():
    found = [system("effects", 40_000, 2_500, 1e9), system("covariance", 10, 40, 50.0)]
    table = met(found)[1]
    values = table[table["mark"] == "singular_value"]
    for (row, singular), columns in zip(found, (2_500, 40), strict=True):
        own = values[values["system"] == row["system"]].astype({"relative": float})
        at = own["order"].astype(int).to_numpy() - 1
        np.testing.assert_array_equal(own["relative"], singular[at] / singular[0])
        np.testing.assert_array_equal(own["share"].astype(float), (at + 1) / columns)
        assert own["order"].iloc[[0, -1]].tolist() == [1, len(singular)]


@pytest.mark.parametrize("name", ["demo", "forty", "one infinite", "underdetermined"])
def test_condition_numbers_stand_where_tabled_and_infinite_ones_beyond_all_others(name, drawn):
    figure, table, texts = drawn(name)
    rows = table[table["mark"] == "system"]
    marks = [m for m in figure.findobj(PathCollection) if m.get_gid() == "conditions"]
    points = np.concatenate([np.ma.getdata(mark.get_offsets()) for mark in marks])
    points = points[np.isfinite(points).all(axis=1)]
    condition = rows["condition"].astype(float)
    finite = np.isfinite(condition)
    expected = np.column_stack([np.log10(condition[finite]), rows["position"][finite]])
    top = max(expected[:, 0], default=0.0)
    beyond = np.isclose(points[:, 0], points[:, 0].max()) & (points[:, 0] > top)
    np.testing.assert_array_equal(ordered(points[~beyond]), ordered(expected))
    assert beyond.sum() == np.isinf(condition).sum() > 0
    assert "∞" in said(texts)


def test_verdicts_have_words_a_colour_and_a_shape_each(drawn):
    figure, table, texts = drawn("demo")
    shown = said(texts)
    for words in ("infinite: confounded batch", "59 of 60", "switched off", "unique"):
        assert words in shown
    looks = {
        (tuple(mark.get_facecolor()[0]), mark.get_paths()[0].vertices.tobytes())
        for mark in figure.findobj(PathCollection)
        if mark.get_gid() == "verdicts"
    }
    assert len(looks) == table["verdict"].dropna().nunique() == 3
    assert len({face for face, _ in looks}) == len({shape for _, shape in looks}) == 3
    assert said(drawn("some off")[2]).count("switched off") == 2  # in legend and row


def test_within_a_kind_the_deficient_come_first_then_the_worst_conditioned(drawn):
    for name in ("demo", "forty"):
        table = drawn(name)[1]
        rows = table[table["mark"] == "system"]
        assert rows["number"].tolist() == list(range(1, len(rows) + 1))
        for _, own in rows.groupby("kind"):
            assert own["condition"].dropna().astype(float).is_monotonic_decreasing
            assert not own["condition"].isna().to_numpy()[: own["condition"].notna().sum()].any()


def test_of_many_systems_the_worst_are_drawn_and_the_others_counted(drawn):
    _, table, texts = drawn("forty")
    rows = table[table["mark"].isin(["system", "not_drawn"])]
    assert len(rows) == 40
    assert (rows["mark"] == "system").sum() == systems.MOST_SYSTEMS
    assert "24 more systems in the table" in said(texts)
    assert set(rows.loc[rows["mark"] == "system", "kind"]) == set(rows["kind"])
    for _, own in rows.groupby("kind"):
        least = own.loc[own["mark"] == "system", "condition"].min()
        assert (own.loc[own["mark"] == "not_drawn", "condition"] <= least).all()


def test_the_number_at_the_end_of_a_line_is_that_of_its_row(drawn):
    figure, table, _ = drawn("demo")
    rows = table[(table["mark"] == "system") & (table["n_values"] > 0)]
    numbers = [int(t.get_text()) for a in figure.axes for t in a.texts if t.get_text().isdigit()]
    assert sorted(numbers) == rows["number"].tolist()
    labels = [t.get_text() for axes in figure.axes for t in axes.get_yticklabels()]
    assert "lgem  5" in labels
    assert rows.set_index("system")["number"]["LGEM: lgem"] == 5


def test_the_rank_rule_is_eps_times_the_longer_side_and_only_where_a_value_comes_near(drawn):
    figure, table, _ = drawn("demo")
    rules = table[table["mark"] == "rank_rule"]
    assert rules["system"].tolist() == ["effects, training sets"]
    assert rules["relative"].tolist() == [np.finfo(float).eps * 3200]
    lines = [m for m in figure.findobj(LineCollection) if m.get_gid() == "rules"]
    ends = [segment for line in lines for segment in line.get_segments()]
    np.testing.assert_array_equal(ends, [[[0, 3200 * 2.0**-52], [1, 3200 * 2.0**-52]]])
    assert not (drawn("equal")[1]["mark"] == "rank_rule").any()


def test_systems_without_values_say_so_and_unknown_values_are_named(drawn):
    assert said(drawn("no values")[2]).count("No singular values were kept") == 2
    assert "Switched off: no system" in said(drawn("one off")[2])
    design, spectra = tables([system("effects", 9, 3)])
    figure, _ = systems.linear_systems(design, spectra.assign(system="efects"))
    assert "Not in the table of systems, and not drawn: efects." in said(drawn_texts(figure))


def test_a_system_that_was_mended_before_it_was_solved_says_what_was_asked_for():
    design, spectra = tables([system("effects", 90, 3), system("LGEM: lgem", 20, 4)])
    design.loc[0, "cause"] = "confounded batch; redundant factor"
    shown = said(drawn_texts(systems.linear_systems(design, spectra)[0]))
    assert "effects: unique as solved, not as asked for: confounded batch; redundant" in shown
    assert shown.count("not as asked for") == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("effects, training sets", "effects"), ("LGEM: lgem", "LGEM"), ("β", "mixed forms"),
        ("mixed forms: K", "mixed forms"), ("covariance, updated", "covariance"),
        ("network: covariance", "covariance"), ("something else", "other systems"),
    ],
)  # fmt: skip
def test_the_name_of_a_system_tells_its_kind(name, kind):
    assert systems.kind_of(name) == kind


def test_a_table_without_a_needed_column_is_refused_by_name():
    design, spectra = tables([system("effects", 9, 3)])
    with pytest.raises(InputError, match="did you mean 'conditions'"):
        systems.linear_systems(design.rename(columns={"condition": "conditions"}), spectra)
    with pytest.raises(InputError, match="singular_value"):
        systems.linear_systems(design, spectra.drop(columns="singular_value"))


@pytest.mark.parametrize("wanted", [[5, 5, 5], [0.1, 9.9, 5], [9.9, 9.8, 9.7, 0], [3]])
def test_labels_kept_apart_stay_in_order_and_within_their_ends(wanted):
    wanted = np.array(wanted, dtype=float)
    found = apart(wanted, 2.0, 0.0, 10.0)
    assert np.diff(np.sort(found)).min(initial=2.0) >= 2 - 1e-12
    assert found.min() >= 0
    assert found.max() <= 10
    assert (np.argsort(found) == np.argsort(wanted, kind="stable")).all()


def test_powers_of_ten_are_written_out_where_they_are_short():
    labels = [power_of_ten(value) for value in (1e-12, 1e-3, 0.01, 1, 100, 1e3, 1e15)]
    assert labels == ["10⁻¹²", "10⁻³", "0.01", "1", "100", "10³", "10¹⁵"]
