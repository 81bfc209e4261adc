"""The plan of cells: groups and technical halves that depend on the cells alone."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.screen.cells import CellRules, cells_kept, describe_cells, plan_cells
from lgem.screen.labels import CONTROL, LabelRules

RULES = CellRules("gene", LabelRules(("NT",)), {}, batch=("lane",), covariates=("sex",))


def obs_of(count, seed=0, names=None):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "gene": rng.choice(["NT", "A", "B", "B+A", "A+B", "NT+A", ""], count),
            "lane": rng.choice(["1", "2"], count),
            "sex": rng.choice(["f", "m"], count),
        },
        index=names or [f"cell{number}" for number in range(count)],
    )


def plan(shards, rules=RULES, seed=1):
    return plan_cells([describe_cells(obs, rules, "x") for obs in shards], rules, seed, "x: obs")


@pytest.fixture(scope="module")
def planned():
    return plan([obs_of(300)])


# Groups


def test_groups_are_perturbation_by_batch_by_covariates(planned):
    cells, groups = planned
    keys = ["perturbation", "batch", "sex"]
    assert list(groups.columns) == [*keys, "n_cells", "n_half_1", "n_half_2"]
    assert groups[keys].equals(groups[keys].sort_values(keys).drop_duplicates())
    carried = cells[cells["group"] >= 0]
    pd.testing.assert_frame_equal(
        carried[keys].astype(object).reset_index(drop=True),
        groups.loc[carried["group"], keys].reset_index(drop=True),
    )
    counted = carried.groupby("group").size()
    assert groups["n_cells"].tolist() == counted.tolist()


def test_equal_labels_share_a_group_however_they_are_written(planned):
    assert set(planned[1]["perturbation"]) == {CONTROL, "A", "B", "A+B"}


def test_cells_without_a_label_stay_in_the_table_and_in_no_group(planned):
    cells, groups = planned
    blank = (obs_of(300)["gene"] == "").to_numpy()
    assert blank.any()
    np.testing.assert_array_equal(cells["group"] == -1, blank)
    np.testing.assert_array_equal(cells["perturbation"].isna(), blank)
    assert (cells.loc[blank, "half"] == 0).all()
    assert groups["n_cells"].sum() == (~blank).sum()


def test_every_cell_keeps_its_place(planned):
    assert planned[0]["cell"].tolist() == list(obs_of(300).index)
    assert (planned[0]["shard"] == 0).all()


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 120), max_size=3))
@settings(deadline=None, max_examples=30)
def test_neither_order_nor_shards_decide_on_groups_and_halves(random, cuts):
    obs = obs_of(120)
    cells, groups = plan([obs])
    order = list(range(120))
    random.shuffle(order)
    bounds = [0, *sorted(cuts), 120]
    shards = [obs.iloc[order[a:b]] for a, b in pairwise(bounds)]
    other_cells, other_groups = plan(shards)
    pd.testing.assert_frame_equal(groups, other_groups)
    columns = ["perturbation", "batch", "group", "half"]
    pd.testing.assert_frame_equal(
        cells.set_index("cell")[columns],
        other_cells.set_index("cell").loc[cells["cell"], columns],
    )
    assert other_cells["shard"].tolist() == [
        shard for shard, part in enumerate(shards) for _ in range(len(part))
    ]


# Halves


def test_a_group_is_halved_into_the_upper_and_the_lower_whole_number(planned):
    cells, groups = planned
    n = groups["n_cells"].to_numpy()
    assert set(n % 2) == {0, 1}
    np.testing.assert_array_equal(groups["n_half_1"], -(-n // 2))
    np.testing.assert_array_equal(groups["n_half_2"], n // 2)
    for half in (1, 2):
        counted = cells[cells["half"] == half].groupby("group").size()
        assert counted.reindex(range(len(n)), fill_value=0).tolist() == list(
            groups[f"n_half_{half}"]
        )


def test_controls_are_halved_too(planned):
    control = planned[0][planned[0]["perturbation"] == CONTROL]
    assert set(control["half"]) == {1, 2}


def test_the_seed_decides_on_the_halves_and_on_nothing_else(planned):
    other, groups = plan([obs_of(300)], seed=2)
    assert (other["half"] != planned[0]["half"]).any()
    pd.testing.assert_frame_equal(other.drop(columns="half"), planned[0].drop(columns="half"))
    pd.testing.assert_frame_equal(groups, planned[1])


def test_the_halves_of_a_cell_do_not_depend_on_cells_of_other_groups():
    obs = obs_of(200)
    obs["lane"] = "1"
    fewer = obs[obs["gene"] != "B"]
    halves = [plan([part])[0].set_index("cell")["half"] for part in (obs, fewer)]
    pd.testing.assert_series_equal(halves[0].loc[fewer.index], halves[1], check_names=False)


def test_cells_of_one_name_in_several_shards_are_cells_of_their_own():
    names = [f"cell{number % 20}" for number in range(60)]
    obs = obs_of(60, names=names)
    cells, groups = plan([obs.iloc[:20], obs.iloc[20:40], obs.iloc[40:]])
    assert len(cells) == 60
    n = groups["n_cells"].to_numpy()
    np.testing.assert_array_equal(groups["n_half_1"], -(-n // 2))


# What the columns say


def test_batches_of_several_columns_are_joined_and_blank_ones_share_a_dash():
    obs = pd.DataFrame(
        {
            "gene": ["NT", "A", "B", "A"],
            "lane": pd.Categorical([" 1", "1 ", None, ""]),
            "day": [7, 7, 8, 8],
        },
        index=list("wxyz"),
    )
    rules = CellRules("gene", LabelRules(("NT",)), {}, batch=("lane", "day"))
    assert describe_cells(obs, rules, "x")["batch"].tolist() == ["1 | 7", "1 | 7", "- | 8", "- | 8"]
    alone = describe_cells(obs, CellRules("gene", LabelRules(("NT",)), {}), "x")
    assert alone["batch"].tolist() == ["-"] * 4
    assert alone["guide"].tolist() == ["-"] * 4
    assert alone["size_factor"].isna().all()


def test_sample_names_may_be_the_labels():
    obs = pd.DataFrame(index=["NT", "A", "NT", "B"])
    cells, groups = plan([obs], CellRules("index", LabelRules(("NT",)), {}))
    assert cells["perturbation"].tolist() == [CONTROL, "A", CONTROL, "B"]
    assert groups["n_cells"].tolist() == [1, 1, 2]


@pytest.mark.parametrize("name", ["label", "kept", "condition"])
def test_a_covariate_may_be_called_as_the_user_likes(name):
    obs = obs_of(50).assign(**{name: np.repeat(["u", "v"], 25)})
    rules = CellRules("gene", LabelRules(("NT",)), {}, covariates=(name,))
    cells, groups = plan([obs], rules)
    assert cells[name].tolist() == obs[name].tolist()
    assert set(groups[name]) == {"u", "v"}


def test_cells_that_are_not_kept_are_in_no_group():
    rules = CellRules("gene", LabelRules(("NT",)), {"lane": ["1"]})
    obs = obs_of(100)
    cells, _ = plan([obs], rules)
    kept = (obs["lane"] == "1").to_numpy()
    assert (cells.loc[~kept, "group"] == -1).all()
    assert cells.loc[~kept, "perturbation"].isna().all()
    assert (cells.loc[kept & (obs["gene"] != "").to_numpy(), "group"] >= 0).all()


def test_the_table_says_what_was_asked_of_cells_that_keep_removes():
    obs = obs_of(100)
    free, _ = plan([obs], CellRules("gene", LabelRules(("NT",)), {}))
    cells, _ = plan([obs], CellRules("gene", LabelRules(("NT",)), {"lane": ["1"]}))
    assert free["asked"].equals(free["perturbation"])
    assert cells["asked"].equals(free["asked"])
    removed = cells["asked"].notna() & cells["perturbation"].isna()
    expected = (obs["lane"] != "1").to_numpy() & (obs["gene"] != "").to_numpy()
    np.testing.assert_array_equal(removed, expected)
    assert cells["asked"][~removed].equals(cells["perturbation"][~removed])


def kept(obs, keep):
    described = describe_cells(obs, CellRules("index", LabelRules(("NT",)), keep), "x")
    return cells_kept(described, keep, "a.h5ad: obs").tolist()


def test_only_cells_with_a_wanted_value_in_every_column_are_kept():
    obs = pd.DataFrame(
        {
            "type": pd.Categorical(["K562", "K562", " RPE1", None]),
            "passed": [True, False, True, True],
            "day": [7.0, 7.0, 7.0, np.nan],
        }
    )
    assert kept(obs, {}) == [True] * 4
    assert kept(obs, {"type": ["K562"]}) == [True, True, False, False]
    several = {"type": ["K562", "RPE1"], "passed": ["True"], "day": ["7"]}
    assert kept(obs, several) == [True, False, True, False]


@pytest.mark.parametrize(
    ("column", "wanted", "told"),
    [
        ("type", ["K562", "RPE"], "no cell with 'RPE'; expected values that are there: K562, RPE1"
            "; did you mean 'RPE1'?"),
        ("day", ["7.0"], "no cell with '7.0'; expected values that are there: 7"),
        ("passed", ["yes"], "no cell with 'yes'; expected values that are there: False, True"),
    ],
)  # fmt: skip
def test_a_value_of_keep_that_no_cell_holds_is_told_with_the_nearest(column, wanted, told):
    obs = pd.DataFrame({"type": ["K562", "RPE1"], "day": [7.0, np.nan], "passed": [True, False]})
    with pytest.raises(InputError) as error:
        kept(obs, {column: wanted})
    assert str(error.value) == f"a.h5ad: obs: keep: column '{column}': found {told}"


def test_a_value_of_keep_may_occur_in_one_shard_alone():
    obs = obs_of(100)
    obs["lane"] = np.repeat(["1", "2"], 50)
    rules = CellRules("gene", LabelRules(("NT",)), {"lane": ["2"]}, batch=("lane",))
    cells, groups = plan([obs.iloc[:50], obs.iloc[50:]], rules)
    assert cells.loc[cells["perturbation"].notna(), "shard"].eq(1).all()
    assert set(groups["batch"]) == {"2"}


def test_shards_may_hold_a_column_in_other_types():
    obs = obs_of(90).assign(lane=np.tile([1, 2, 3], 30), guide=np.tile([0, 1], 45))
    whole = obs.astype({"lane": str, "guide": str})
    rules = CellRules("gene", LabelRules(("NT",)), {"lane": ["1", "2"]}, ("lane",), ("lane",),
                      "guide")  # fmt: skip
    parts = [obs.iloc[:30], obs.iloc[30:60].copy(), obs.iloc[60:].copy()]
    parts[1]["lane"] = parts[1]["lane"].astype(float)
    parts[2]["lane"] = pd.Categorical(parts[2]["lane"])
    parts[2]["guide"] = pd.Categorical(parts[2]["guide"].astype("float32"))
    for one, other in zip(plan([whole], rules), plan(parts, rules), strict=True):
        pd.testing.assert_frame_equal(
            one.drop(columns="shard", errors="ignore"), other.drop(columns="shard", errors="ignore")
        )


def test_labels_may_be_numbers_of_any_type():
    for labels in ([0, 1, 2, 0], [0.0, 1.0, 2.0, 0.0], pd.Categorical([0.0, 1, 2, 0])):
        obs = pd.DataFrame({"gene": labels}, index=list("wxyz"))
        cells, _ = plan([obs], CellRules("gene", LabelRules(("0",)), {}))
        assert cells["perturbation"].tolist() == [CONTROL, "1", "2", CONTROL]


@pytest.mark.parametrize("values", [[100, 0, 2.5, 7], pd.Categorical(["100", "0", "2.5", "7"])])
def test_size_factors_are_totals_from_zero(values):
    obs = obs_of(4).assign(total=values)
    rules = CellRules("gene", LabelRules(("NT",)), {}, size_factor="total")
    found = describe_cells(obs, rules, "x")["size_factor"]
    assert found.tolist() == [100, 0, 2.5, 7]


# What cannot be used


@pytest.mark.parametrize("wrong", [-1, np.nan, np.inf, "many"])
def test_a_size_factor_that_is_no_total_is_told_with_its_cell(wrong):
    obs = obs_of(4).assign(total=[10, 20, wrong, 30])
    rules = CellRules("gene", LabelRules(("NT",)), {}, size_factor="total")
    with pytest.raises(InputError) as error:
        describe_cells(obs, rules, "a.h5ad: obs")
    assert str(error.value) == (
        f"a.h5ad: obs: column 'total': found '{wrong}' for cell 'cell2'; "
        "expected total counts: numbers from 0"
    )


@pytest.mark.parametrize(
    "key", ["perturbation", "batch", "covariates", "keep", "guide", "size_factor"]
)
def test_a_missing_column_is_told_with_the_nearest(key):
    rules = {
        "perturbation": CellRules("Gene", LabelRules(("NT",)), {}),
        "batch": CellRules("gene", LabelRules(("NT",)), {}, batch=("lane", "Gene")),
        "covariates": CellRules("gene", LabelRules(("NT",)), {}, covariates=("Gene",)),
        "keep": CellRules("gene", LabelRules(("NT",)), {"Gene": ["A"]}),
        "guide": CellRules("gene", LabelRules(("NT",)), {}, guide="Gene"),
        "size_factor": CellRules("gene", LabelRules(("NT",)), {}, size_factor="Gene"),
    }
    with pytest.raises(InputError) as error:
        describe_cells(obs_of(5), rules[key], "a.h5ad: obs")
    assert str(error.value) == (
        f"a.h5ad: obs: {key}: column 'Gene': found no such column; expected one of: gene, lane, "
        "sex; did you mean 'gene'?"
    )


def test_a_screen_needs_control_cells_and_two_perturbations():
    obs = obs_of(100)
    for drop, message in [
        (["NT"], "found no cell labelled 'NT'"),
        (
            ["B", "B+A", "A+B"],
            r"perturbation: found 1 besides control \(A\); expected at least two",
        ),
        (["A", "B", "B+A", "A+B", "NT+A"], r"found 0 besides control \(none\)"),
    ]:
        with pytest.raises(InputError, match=message):
            plan([obs[~obs["gene"].isin(drop)]])


def test_keep_may_not_drop_all_control_cells():
    obs = obs_of(100)
    obs["lane"] = np.where(obs["gene"] == "NT", "1", "2")
    with pytest.raises(InputError, match=r"x: obs: keep: found \d+ cells .* none of them control"):
        plan([obs], CellRules("gene", LabelRules(("NT",)), {"lane": ["2"]}))


def test_a_batch_that_cells_do_not_share_is_told_before_anything_is_counted():
    count = 300
    obs = pd.DataFrame(
        {
            "gene": np.resize(["ctrl", "A", "B"], count),
            "lane": [f"barcode_{k}" for k in range(count)],
        },
        index=[f"c{k}" for k in range(count)],
    )
    rules = CellRules("gene", LabelRules(("ctrl",)), {}, batch=("lane",))
    with pytest.raises(InputError) as error:
        plan_cells([describe_cells(obs, rules, "x.h5ad")], rules, 1, "x.h5ad")
    assert str(error.value) == (
        "x.h5ad: batch: found 300 levels among 300 cells, such as 'barcode_0'; expected levels "
        "that many cells share; is this a column of barcodes?"
    )
    obs["lane"] = np.resize([f"lane_{k}" for k in range(101)], count)
    cells, _ = plan_cells([describe_cells(obs, rules, "x.h5ad")], rules, 1, "x.h5ad")
    assert cells["batch"].nunique() == 101
