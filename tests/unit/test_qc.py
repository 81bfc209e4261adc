"""Quality control: every perturbation asked for, what became of it and why."""

import numpy as np
import pandas as pd
import pytest
from count_files import ENTRY, TARGET, count, make_screen
from scipy import stats

from lgem.screen.effects import (
    GroupStatistics,
    effects_of_screen,
    factors_used,
    not_estimable,
)
from lgem.screen.io import effects_data, group_statistics, pseudobulk_data
from lgem.screen.labels import CONTROL, TargetIndex
from lgem.screen.qc import (
    PSEUDOCOUNT,
    mark_not_estimable,
    perturbation_table,
    pooled_mean_and_error,
    screen_summary,
)


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    screen = make_screen(cells=200, genes=12, seed=2)
    screen.var_names = ["A", "g1", "B", *screen.var_names[3:]]
    rng = np.random.default_rng(0)
    screen.obs["gene"] = rng.choice(["NT", "A", "B", "B+A", "C", ""], 200)
    screen.obs.iloc[7, 0] = "Z"  # a perturbation of one cell
    screen.obs["guide"] = screen.obs["gene"] + rng.choice(["-1", "-2", ""], 200)
    screen.obs.loc[screen.obs["gene"] == "C", "guide"] = ""
    path = tmp_path_factory.mktemp("qc") / "a.h5ad"
    screen.write_h5ad(path)
    cells, groups, genes, sums, _ = count([path], {**ENTRY, "guide": "guide"})
    data = pseudobulk_data(sums, groups, genes.set_index("gene"), counts=True)
    dense = screen.X.toarray().astype(float)
    with np.errstate(invalid="ignore"):
        log = np.nan_to_num(np.log1p(TARGET * dense / dense.sum(axis=1, keepdims=True)))
    return cells, data, pd.DataFrame(log, columns=screen.var_names)


@pytest.fixture(scope="module")
def table(counted):
    cells, data, _ = counted
    targets = TargetIndex(list(data.var_names))
    found = perturbation_table(cells, group_statistics(data), targets, 20, counts=True)
    return found.set_index("perturbation")


def test_every_perturbation_is_listed_once_control_is_not(counted, table):
    assert list(table.index) == ["A", "A+B", "B", "C", "Z"]
    counts = counted[0]["perturbation"].value_counts()
    assert table["n_cells"].tolist() == counts[table.index].tolist()


def test_guides_that_were_called_together_are_counted_one_by_one(counted):
    cells, data = counted[0].copy(), counted[1]
    cells["guide"] = cells["guide"].astype(object)
    cells.loc[cells["perturbation"] == "A", "guide"] = "A_1|A_2"
    cells.loc[cells["perturbation"] == "B", "guide"] = "B_1|NT_1"
    cells.loc[cells.index[cells["perturbation"] == "B"][:2], "guide"] = "B_2"
    targets, statistics = TargetIndex(list(data.var_names)), group_statistics(data)
    for between, expected in (("|", [2, 3]), (None, [1, 2])):
        found = perturbation_table(cells, statistics, targets, 20, counts=True, between=between)
        assert found.set_index("perturbation").loc[["A", "B"], "n_guides"].tolist() == expected


def test_guides_are_counted_where_they_are_known(table):
    assert table["n_guides"].to_dict() == {"A": 3, "A+B": 3, "B": 3, "C": 0, "Z": 1}


def test_guides_are_missing_where_no_column_names_them(counted):
    cells, data, _ = counted
    free = cells.assign(guide="-")
    targets = TargetIndex(list(data.var_names))
    found = perturbation_table(free, group_statistics(data), targets, 20, counts=True)
    assert found["n_guides"].isna().all()
    assert len(found) == 5


def test_too_few_cells_are_a_reason_not_a_silence(table):
    few = table[table["status"] == "left_out"]
    assert list(few.index) == ["Z"]
    assert few["reason"].tolist() == ["1 cell, fewer than min_cells 20"]
    assert (table.loc[table["status"] == "kept", "reason"] == "").all()


def test_min_cells_counts_the_pooled_perturbation(counted):
    cells, data, _ = counted
    smallest = int(cells["perturbation"].value_counts()["A"])
    assert (data.obs.query("perturbation == 'A'")["n_cells"] < smallest).all()
    targets = TargetIndex(list(data.var_names))
    for min_cells, status in [(smallest, "kept"), (smallest + 1, "left_out")]:
        found = perturbation_table(cells, group_statistics(data), targets, min_cells, counts=True)
        assert found.set_index("perturbation").loc["A", "status"] == status


def test_on_target_change_is_measured_on_the_cells(counted, table):
    cells, _, log = counted
    for name in ("A", "B"):
        mine, base = (
            log.loc[(cells["perturbation"] == label).to_numpy(), name] for label in (name, CONTROL)
        )
        welch = stats.ttest_ind(mine, base, equal_var=False)
        row = table.loc[name]
        assert row["on_target_gene"] == name
        assert row["on_target_effect"] == pytest.approx(mine.mean() - base.mean(), abs=1e-9)
        assert row["on_target_z"] == pytest.approx(welch.statistic, abs=1e-7)
        fold = np.log2((np.expm1(mine.mean()) + 0.01) / (np.expm1(base.mean()) + 0.01))
        assert row["on_target_log2_fold_change"] == pytest.approx(fold, abs=1e-9)
    assert PSEUDOCOUNT == 0.01


def test_of_a_combination_the_target_with_the_weakest_evidence_shows(counted, table):
    cells, _, log = counted
    mine, base = (
        log.loc[(cells["perturbation"] == label).to_numpy(), ["A", "B"]]
        for label in ("A+B", CONTROL)
    )
    z = stats.ttest_ind(mine, base, equal_var=False).statistic
    weakest = int(np.argmin(np.abs(z)))
    assert table.loc["A+B", "on_target_gene"] == "AB"[weakest]
    assert table.loc["A+B", "on_target_z"] == pytest.approx(z[weakest], abs=1e-7)


def test_without_a_measured_target_there_is_no_on_target_change(table):
    columns = ["on_target_log2_fold_change", "on_target_effect", "on_target_z"]
    assert table.loc["C", columns].isna().all()
    assert table.loc["C", "on_target_gene"] == ""
    assert table.loc["C", "status"] == "kept"  # baselines run all the same


def test_log_profiles_have_an_effect_and_no_fold_change(counted):
    cells, data, _ = counted
    targets = TargetIndex(list(data.var_names))
    found = perturbation_table(cells, group_statistics(data), targets, 1, counts=False)
    assert found["on_target_log2_fold_change"].isna().all()
    assert found.loc[found["perturbation"] == "A", "on_target_effect"].notna().all()


def test_groups_pool_to_the_mean_and_error_of_all_their_cells():
    rng = np.random.default_rng(3)
    parts = [rng.normal(size=(n, 2)) for n in (1, 4, 7)]
    statistics = GroupStatistics(
        pd.DataFrame({"perturbation": "A", "n_cells": [1, 4, 7]}),
        np.array([part.mean(axis=0) for part in parts]),
        np.array([part.var(axis=0, ddof=1) if len(part) > 1 else [0, 0] for part in parts]),
    )
    mean, error = pooled_mean_and_error(statistics, "A", [0, 1])
    whole = np.vstack(parts)
    np.testing.assert_allclose(mean, whole.mean(axis=0))
    np.testing.assert_allclose(error, stats.sem(whole))
    alone = GroupStatistics(statistics.groups[:1], statistics.mean[:1], statistics.variance[:1])
    assert np.isnan(pooled_mean_and_error(alone, "A", [0, 1])[1]).all()


def test_the_summary_counts_every_cell_and_every_perturbation(counted, table):
    cells = counted[0]
    found = screen_summary(cells, table.reset_index())
    assert found["cells"] == 200
    assert found["cells"] == (
        found["control_cells"] + found["cells_without_perturbation"] + table["n_cells"].sum()
    )
    assert found["batches"] == 2
    assert found["perturbations_asked"] == 5
    assert found["perturbations_kept"] == 4
    assert found["perturbations_left_out"] == {"Z": "1 cell, fewer than min_cells 20"}
    assert found["perturbations_with_measured_target"] == 3


# What keep removes


@pytest.fixture(scope="module")
def removed(tmp_path_factory):
    """A screen whose keep leaves nothing of A, one cell of B, and the rest as it is."""
    screen = make_screen(cells=200, genes=12, seed=2)
    screen.var_names = ["A", "g1", "B", *screen.var_names[3:]]
    screen.obs["gene"] = np.random.default_rng(0).choice(["NT", "A", "B", "C", "D", ""], 200)
    b_cells = screen.obs_names[screen.obs["gene"] == "B"]
    screen.obs["day"] = np.where(screen.obs["gene"].isin(["A", "B"]), 1.0, 2.0)
    screen.obs.loc[[b_cells[0], *screen.obs_names[screen.obs["gene"] == "NT"][:7]], "day"] = 2.0
    screen.obs.loc[screen.obs_names[screen.obs["gene"] == "NT"][:7], "day"] = 3.0
    path = tmp_path_factory.mktemp("keep") / "a.h5ad"
    screen.write_h5ad(path)
    cells, groups, genes, sums, _ = count([path], {**ENTRY, "keep": {"day": ["2"]}})
    data = pseudobulk_data(sums, groups, genes.set_index("gene"), counts=True)
    targets = TargetIndex(list(data.var_names))
    table = perturbation_table(cells, group_statistics(data), targets, 5, counts=True)
    return screen.obs, cells, table


def test_a_perturbation_that_keep_removes_stands_in_the_table_with_the_reason(removed):
    obs, _, table = removed
    rows = table.set_index("perturbation")
    asked = (obs["gene"] == "A").sum()
    assert rows["status"].to_dict() == {
        "A": "left_out", "B": "left_out", "C": "kept", "D": "kept",
    }  # fmt: skip
    assert rows["reason"].tolist() == [
        f"{asked} cells, all removed by keep", "1 cell, fewer than min_cells 5", "", "",
    ]  # fmt: skip
    assert rows["n_cells"].to_dict() == {
        "A": 0, "B": 1, "C": (obs["gene"] == "C").sum(), "D": (obs["gene"] == "D").sum(),
    }  # fmt: skip
    assert rows.loc["A", "on_target_gene"] == ""
    assert rows.loc["A", ["on_target_effect", "on_target_z"]].isna().all()


def test_the_summary_tells_cells_that_keep_removed_from_cells_without_a_label(removed):
    obs, cells, table = removed
    found = screen_summary(cells, table)
    blank, gone = (obs["gene"] == ""), (obs["day"] != 2)
    assert found["cells_without_perturbation"] == blank.sum() > 0
    assert found["cells_removed_by_keep"] == (gone & ~blank).sum() > 7
    assert found["control_cells"] == ((obs["gene"] == "NT") & ~gone).sum()
    assert found["cells"] == 200 == (
        found["cells_without_perturbation"] + found["cells_removed_by_keep"]
        + found["control_cells"] + table["n_cells"].sum()
    )  # fmt: skip
    assert found["perturbations_asked"] == 4
    assert found["perturbations_kept"] == 2
    assert list(found["perturbations_left_out"]) == ["A", "B"]


# What the design cannot estimate


def test_perturbations_that_the_design_cannot_estimate_say_so(counted, table):
    cells, data, _ = counted
    statistics = group_statistics(data)
    groups = statistics.groups.copy()
    groups.loc[groups["perturbation"] == "C", "batch"] = "far"
    apart = GroupStatistics(groups, statistics.mean, statistics.variance)
    kept = apart.only([name for name in table.index if table.loc[name, "status"] == "kept"])
    before = table.reset_index()
    for adjust, lost in [("auto", ["C"]), (True, ["C"]), (False, [])]:
        unknown = not_estimable(kept, factors_used(kept, ["batch"], adjust))
        assert list(unknown) == lost
        found = mark_not_estimable(before, unknown).set_index("perturbation")
        assert found.index[found["status"] == "not_estimable"].tolist() == lost
        for name in lost:
            assert found.loc[name, "reason"] == "not connected with control through batch"
        others = found.index.difference(lost)
        pd.testing.assert_frame_equal(found.loc[others], table.loc[others], check_dtype=False)
        summary = screen_summary(cells, found.reset_index())
        assert summary["perturbations_kept"] == 4 - len(lost)
        assert summary["perturbations_left_out"] == {
            **dict.fromkeys(lost, "not connected with control through batch"),
            "Z": "1 cell, fewer than min_cells 20",
        }


def test_factors_of_a_single_level_are_not_adjusted_for(counted):
    statistics = group_statistics(counted[1])
    alone = GroupStatistics(statistics.groups.assign(sex="f"), statistics.mean, statistics.variance)
    assert factors_used(alone, ["batch", "sex"], "auto") == ["batch"]
    assert factors_used(alone, ["batch", "sex"], True) == ["batch"]
    assert factors_used(alone, ["batch", "sex"], False) == []


def test_the_effects_file_has_a_row_for_every_perturbation_asked_for(counted, table):
    data = counted[1]
    statistics = group_statistics(data)
    kept = list(table.index[table["status"] == "kept"])
    effects, _ = effects_of_screen(statistics.only(kept), ["batch"], "auto")
    found = effects_data(effects, table.reset_index(), data.var, statistics.control)
    assert list(found.obs_names) == list(table.index)
    assert found.obs["status"].to_dict() == {
        "A": "estimated", "A+B": "estimated", "B": "estimated", "C": "estimated", "Z": "left_out",
    }  # fmt: skip
    assert found.obs.loc["Z", "reason"] == "1 cell, fewer than min_cells 20"
    assert found.obs["embeddable"].to_dict() == {
        "A": True, "A+B": True, "B": True, "C": False, "Z": False,
    }  # fmt: skip
    assert found.obs["n_genes"].tolist() == [1, 2, 1, 1, 1]
    np.testing.assert_array_equal(found[kept].X, effects.effect)
    np.testing.assert_array_equal(found[kept].layers["se"], effects.se)
    assert np.isnan(found["Z"].X).all()
    np.testing.assert_array_equal(found.var["control"], statistics.control)
