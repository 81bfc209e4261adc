"""Effects: least squares on groups is least squares on the cells, where a design allows it."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from lgem.errors import InputError
from lgem.screen.effects import (
    GroupStatistics,
    design_report,
    effects_of_screen,
    effects_system,
    estimate_effects,
    explain_effects,
    not_estimable,
)
from lgem.screen.labels import CONTROL

GENES = ["y0", "y1", "y2"]


def make_cells(layout, seed=0):
    """Return cells of (perturbation, batch, sex): count, with effects of all three."""
    rng = np.random.default_rng(seed)
    rows = [key for key, count in layout.items() for _ in range(count)]
    cells = pd.DataFrame(rows, columns=["perturbation", "batch", "sex"])
    for number, gene in enumerate(GENES):
        cells[gene] = rng.normal(5 + number, 1, len(cells))
        for column in ("perturbation", "batch", "sex"):
            shift = {level: rng.normal() for level in sorted(cells[column].unique())}
            cells[gene] += cells[column].map(shift)
    return cells


def pooled(cells, factors=("batch", "sex")):
    """Return the sufficient statistics of cells."""
    parts = cells.groupby(["perturbation", *factors], sort=True)
    return GroupStatistics(
        parts.size().rename("n_cells").reset_index(),
        parts[GENES].mean().to_numpy(),
        parts[GENES].var(ddof=1).fillna(0).to_numpy(),
    )


def on_cells(cells, factors, gene):
    """Fit one gene by ordinary least squares on the cells, with statsmodels."""
    terms = ["C(perturbation, Treatment('control'))", *(f"C({factor})" for factor in factors)]
    return smf.ols(f"{gene} ~ {' + '.join(terms)}", data=cells).fit()


def assert_equals_cells(found, cells, factors):
    for column, gene in enumerate(GENES):
        fit = on_cells(cells, factors, gene)
        names = [f"C(perturbation, Treatment('control'))[T.{name}]" for name in found.perturbations]
        np.testing.assert_allclose(found.effect[:, column], fit.params[names], atol=1e-8)
        np.testing.assert_allclose(found.se[:, column], fit.bse[names], atol=1e-8)
        assert found.degrees_of_freedom == fit.df_resid


def layout_of(seed, perturbations=4, batches=3):
    """Return unbalanced sizes; most combinations occur, not all of them."""
    rng = np.random.default_rng(seed)
    keys = [
        (name, f"b{batch}", sex)
        for name in [CONTROL, *"ABCDEFG"[:perturbations]]
        for batch in range(batches)
        for sex in "fm"
    ]
    return {key: int(rng.integers(0 if key[0] != CONTROL else 2, 9)) for key in keys}


# Against the cells themselves


@pytest.mark.parametrize("factors", [(), ("batch",), ("batch", "sex")], ids=lambda f: "+".join(f))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_effects_and_errors_equal_least_squares_on_the_cells(seed, factors):
    cells = make_cells(layout_of(seed), seed)
    found = estimate_effects(pooled(cells), factors)
    assert found.perturbations == ["A", "B", "C", "D"]
    assert_equals_cells(found, cells, factors)


@given(st.lists(st.integers(0, 4), min_size=24, max_size=24), st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_whatever_can_be_estimated_equals_any_least_squares_solution(sizes, seed):
    keys = [(name, batch, sex) for name in [CONTROL, *"ABC"] for batch in "uvw" for sex in "fm"]
    layout = dict(zip(keys, sizes, strict=True))
    for name, batch in ((CONTROL, "u"), ("A", "u")):
        layout[name, batch, "f"] += 2
    cells = make_cells(layout, seed)
    found = estimate_effects(pooled(cells), ["batch", "sex"])
    design = pd.get_dummies(cells[["perturbation", "batch", "sex"]], dtype=float)
    design.insert(0, "one", 1.0)
    solution = np.linalg.lstsq(design.to_numpy(), cells[GENES].to_numpy(), rcond=None)[0]
    by_name = pd.DataFrame(solution, index=design.columns)
    base = by_name.loc[f"perturbation_{CONTROL}"]
    for row, name in enumerate(found.perturbations):
        expected = by_name.loc[f"perturbation_{name}"] - base
        np.testing.assert_allclose(found.effect[row], expected, atol=1e-8)
    # What is left out differs between solutions: its contrast is no combination of cells.
    for name in found.left_out:
        contrast = (design.columns == f"perturbation_{name}") * 1.0
        contrast -= design.columns == f"perturbation_{CONTROL}"
        rank = np.linalg.matrix_rank(design)
        assert np.linalg.matrix_rank(np.vstack([design, contrast])) == rank + 1
    assert {*found.perturbations, *found.left_out} == set(cells["perturbation"]) - {CONTROL}


def test_without_adjustment_an_effect_is_the_difference_of_pooled_means():
    cells = make_cells(layout_of(5))
    statistics = pooled(cells)
    found, factors = effects_of_screen(statistics, ["batch", "sex"], False)
    assert factors == []
    means = cells.groupby("perturbation")[GENES].mean()
    expected = means.loc[found.perturbations] - means.loc[CONTROL]
    np.testing.assert_allclose(found.effect, expected, atol=1e-12)
    np.testing.assert_allclose(statistics.control, means.loc[CONTROL], atol=1e-12)


def test_factors_of_one_level_are_not_adjusted_for():
    cells = make_cells(layout_of(6, batches=1))
    found, factors = effects_of_screen(pooled(cells), ["batch", "sex"], "auto")
    assert factors == ["sex"]
    assert_equals_cells(found, cells, ["sex"])


def test_the_order_of_groups_and_their_partition_change_nothing():
    cells = make_cells(layout_of(7))
    fine, coarse = pooled(cells), pooled(cells, ["batch"])
    order = np.random.default_rng(0).permutation(len(fine.groups))
    turned = GroupStatistics(
        fine.groups.iloc[order].reset_index(drop=True), fine.mean[order], fine.variance[order]
    )
    whole = estimate_effects(coarse, ["batch"])
    for other in (fine, turned):
        found = estimate_effects(other, ["batch"])
        np.testing.assert_allclose(found.effect, whole.effect, atol=1e-10)
        np.testing.assert_allclose(found.se, whole.se, atol=1e-10)


def test_a_batch_with_control_alone_says_nothing_of_effects():
    layout = {**layout_of(8), (CONTROL, "only", "f"): 20}
    cells = make_cells(layout)
    rest = cells[cells["batch"] != "only"]
    found = estimate_effects(pooled(cells, ["batch"]), ["batch"])
    assert_equals_cells(found, rest, ["batch"])
    assert found.diagnosis.full_column_rank


@pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
def test_batches_that_determine_the_sex_leave_the_effects_as_they_are():
    layout = {
        key: count for key, count in layout_of(11).items() if (key[1] == "b0") == (key[2] == "f")
    }
    cells = make_cells(layout)
    found = estimate_effects(pooled(cells), ["batch", "sex"])
    assert found.left_out == {}
    assert not found.diagnosis.full_column_rank
    assert_equals_cells(found, cells, ["batch", "sex"])
    assert_equals_cells(found, cells, ["batch"])


def test_control_tells_batch_and_sex_apart_where_perturbed_cells_do_not():
    # A is measured in one stratum, which holds no control: three others connect it.
    layout = {
        (CONTROL, "u", "f"): 9,
        (CONTROL, "v", "f"): 8,
        (CONTROL, "u", "m"): 7,
        ("A", "v", "m"): 6,
    }
    cells = make_cells(layout)
    found = estimate_effects(pooled(cells), ["batch", "sex"])
    assert found.left_out == {}
    assert_equals_cells(found, cells, ["batch", "sex"])


def test_what_cannot_be_estimated_may_still_connect_what_can():
    # C differs from control by sex and cannot be told from it, but tells batch u from v for A.
    layout = {
        (CONTROL, "u", "f"): 9,
        ("A", "v", "f"): 8,
        ("C", "u", "m"): 7,
        ("C", "v", "m"): 6,
    }
    cells = make_cells(layout)
    found = estimate_effects(pooled(cells), ["batch", "sex"])
    assert (found.perturbations, list(found.left_out)) == (["A"], ["C"])
    means = cells.groupby(["perturbation", "batch"])[GENES].mean()
    shift = means.loc["C", "v"] - means.loc["C", "u"]
    expected = means.loc["A", "v"] - shift - means.loc[CONTROL, "u"]
    np.testing.assert_allclose(found.effect[0], expected, atol=1e-10)


# What the design cannot estimate


ISLAND = {
    **{(name, "u", "f"): 5 for name in (CONTROL, "A", "B")},
    ("B", "v", "f"): 5,
    ("C", "v", "f"): 5,
    ("D", "w", "f"): 5,
    ("E", "w", "f"): 5,
}


def test_only_what_is_connected_with_control_is_estimated():
    found = estimate_effects(pooled(make_cells(ISLAND)), ["batch"])
    # All of C's cells are in batch v, without control there: B leads from v to control.
    assert found.perturbations == ["A", "B", "C"]
    assert found.left_out == dict.fromkeys("DE", "not connected with control through batch")
    assert found.diagnosis.full_column_rank
    assert found.effect.shape == found.se.shape == (3, 3)
    assert np.isfinite(found.se).all()


def test_all_cells_in_one_batch_are_no_obstacle_where_control_is_there_too():
    layout = {(name, "u", "f"): 5 for name in (CONTROL, "A")}
    layout |= {(name, "v", "f"): 5 for name in (CONTROL, "B")}
    cells = make_cells(layout)
    found, _ = effects_of_screen(pooled(cells), ["batch"], True)
    assert found.left_out == {}
    assert_equals_cells(found, cells, ["batch"])


def test_the_run_stops_over_what_it_cannot_estimate_if_told_to():
    with pytest.raises(InputError) as error:
        effects_of_screen(pooled(make_cells(ISLAND)), ["batch", "sex"], True)
    assert str(error.value) == (
        "effects under adjust_batch: true: found 2 perturbations not connected with control "
        "through batch: D, E (batch w holds only cells of D and E, and D and E have no others: the "
        "effects of D and E and those of w cannot be separated); expected a design that connects "
        "them: put control cells into w, or D or E cells into a batch with control; or "
        "adjust_batch: false, which counts the batch's difference as effects of D and E; or "
        "adjust_batch: auto, which leaves them out"
    )
    found, _ = effects_of_screen(pooled(make_cells(ISLAND)), ["batch"], False)
    assert found.perturbations == list("ABCDE")


def test_a_screen_of_islands_has_no_effect_to_estimate():
    layout = {(CONTROL, "u", "f"): 5, ("A", "v", "f"): 5, ("B", "w", "f"): 5}
    with pytest.raises(InputError) as error:
        effects_of_screen(pooled(make_cells(layout)), ["batch", "sex"], "auto")
    assert str(error.value) == (
        "effects: found no perturbation that can be estimated: all 2 are not connected with "
        "control through batch (batch v holds only A cells, and A has no others: the effects of A "
        "and of v cannot be separated); expected a design that connects some of them: put control "
        "cells into v, or A cells into a batch with control; or adjust_batch: false, which counts "
        "the batch's difference as A's effect"
    )


@pytest.mark.parametrize("adjust", ["auto", True, False])
def test_a_screen_without_a_perturbation_of_enough_cells_is_told(adjust):
    control = pooled(make_cells({(CONTROL, "u", "f"): 5, (CONTROL, "v", "f"): 5}))
    assert not_estimable(control, ["batch"]) == {}
    with pytest.raises(InputError) as error:
        effects_of_screen(control, ["batch"], adjust)
    assert str(error.value) == (
        "effects: found no perturbation with enough cells; expected some with at least "
        "pseudobulk.min_cells; see qc.tsv"
    )


# Errors and q-values


def test_without_degrees_of_freedom_there_is_an_effect_and_no_error():
    layout = {(CONTROL, "u", "f"): 1, ("A", "u", "f"): 1, ("B", "u", "f"): 1}
    cells = make_cells(layout)
    found = estimate_effects(pooled(cells), [])
    assert found.degrees_of_freedom == 0
    means = cells.set_index("perturbation")[GENES]
    np.testing.assert_allclose(found.effect, means.loc[["A", "B"]] - means.loc[CONTROL])
    assert np.isnan(found.se).all()
    assert np.isnan(found.q_values()).all()


def test_q_values_are_those_of_benjamini_and_hochberg_over_genes():
    cells = make_cells(layout_of(9))
    found = estimate_effects(pooled(cells), ["batch"])
    q_values = found.q_values()
    names = [f"C(perturbation, Treatment('control'))[T.{name}]" for name in found.perturbations]
    p = np.column_stack([on_cells(cells, ["batch"], gene).pvalues[names] for gene in GENES])
    expected = [multipletests(row, method="fdr_bh")[1] for row in p]
    np.testing.assert_allclose(q_values, expected, atol=1e-10)


@pytest.mark.parametrize("value", [0.0, 0.1, 5.3, -7.7])
def test_a_gene_that_does_not_vary_is_no_finding(value):
    cells = make_cells(layout_of(10))
    cells["y1"] = value
    statistics = pooled(cells)
    found = estimate_effects(statistics, ["batch"])
    np.testing.assert_allclose(found.effect[:, 1], 0, atol=1e-12)
    assert (found.se[:, 1] == 0).all()
    assert (found.t_values()[:, 1] == 0).all()
    np.testing.assert_allclose(found.p_values()[:, 1], 1)
    np.testing.assert_allclose(found.q_values()[:, 1], 1)


def test_rounding_in_a_large_design_is_no_finding():
    rng = np.random.default_rng(0)
    names = [CONTROL, *(f"P{number}" for number in range(100))]
    keys = [(name, f"b{batch}") for name in names for batch in range(12) if rng.random() < 0.8]
    groups = pd.DataFrame(keys, columns=["perturbation", "batch"])
    groups["n_cells"] = rng.integers(1, 40, len(groups))
    mean = np.tile(np.linspace(0.1, 9, 20), (len(groups), 1))
    mean *= 1 + rng.choice([-1, 0, 1], size=mean.shape) * np.finfo(float).eps
    found = estimate_effects(GroupStatistics(groups, mean, np.zeros_like(mean)), ["batch"])
    assert (found.p_values() == 1).all()


def test_a_gene_that_hardly_varies_is_tested_all_the_same():
    cells = make_cells(layout_of(10))
    whole = estimate_effects(pooled(cells), ["batch"])
    cells["y1"] = 5 + 1e-9 * cells["y1"]
    found = estimate_effects(pooled(cells), ["batch"])
    assert (found.se[:, 1] > 0).all()
    np.testing.assert_allclose(found.t_values()[:, 1], whole.t_values()[:, 1], rtol=1e-4)


def test_p_values_are_those_of_t_tests():
    cells = make_cells(layout_of(9))
    found = estimate_effects(pooled(cells), ["batch", "sex"])
    names = [f"C(perturbation, Treatment('control'))[T.{name}]" for name in found.perturbations]
    for column, gene in enumerate(GENES):
        fit = on_cells(cells, ["batch", "sex"], gene)
        np.testing.assert_allclose(found.p_values()[:, column], fit.pvalues[names], atol=1e-12)
        np.testing.assert_allclose(found.t_values()[:, column], fit.tvalues[names], rtol=1e-9)
    one = found.of(2)
    assert one.perturbations == [found.perturbations[2]]
    np.testing.assert_array_equal(one.q_values()[0], found.q_values()[2])


# The report


def test_the_design_is_told_in_a_row_and_a_sentence():
    statistics = pooled(make_cells(ISLAND))
    found, factors = effects_of_screen(statistics, ["batch"], "auto")
    row = effects_system(found, factors, explain_effects(statistics, factors))
    # 25 cells of control, A, B and C; intercept, A, B, C and batch v.
    assert (row.system, row.rows, row.columns, row.rank) == ("effects", 25, 5, 5)
    assert row.verdict == "unique"
    assert np.isfinite(row.condition)
    assert (
        row.explanation
        == f"{design_report(found, factors)}; the design asked for has 8 columns of rank 7"
        == (
            "3 effects estimated, adjusted for batch; 2 left out, not connected with control "
            "through batch: D, E; the design asked for has 8 columns of rank 7"
        )
    )
    assert (row.aliased, row.cause) == ("D + E = w", "confounded batch")
    assert row.remedy == (
        "put control cells into w, or D or E cells into a batch with control; or adjust_batch: "
        "false, which counts the batch's difference as effects of D and E"
    )
    assert "not adjusted for batch" in design_report(found, [])


def test_a_design_that_tells_all_apart_has_nothing_to_mend():
    statistics = pooled(make_cells(layout_of(12)))
    for adjust in ("auto", False):
        found, factors = effects_of_screen(statistics, ["batch", "sex"], adjust)
        row = effects_system(found, factors, explain_effects(statistics, factors))
        assert (row.aliased, row.cause, row.remedy) == ("", "", "")
        assert row.verdict == "unique"


def test_profiles_are_not_called_cells():
    statistics = pooled(make_cells(ISLAND))
    (alias,) = explain_effects(statistics, ["batch"], "profiles").aliases
    assert "profiles of D and E" in alias.sentence
    assert "cells" not in alias.sentence + alias.remedy
    with pytest.raises(InputError, match="holds only profiles of D and E"):
        effects_of_screen(statistics, ["batch"], True, "profiles")


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_out_is_what_the_explanation_names(seed):
    rng = np.random.default_rng(seed)
    layout = {(CONTROL, "u", "f"): 5, (CONTROL, "v", "m"): 3}
    for name in "ABCDEFG":
        for _ in range(2):
            layout[name, str(rng.choice(list("uvwxyz"))), "fm"[rng.integers(2)]] = 4
    statistics = pooled(make_cells(layout))
    named = explain_effects(statistics, ["batch", "sex"]).sentences()
    left_out = not_estimable(statistics, ["batch", "sex"])
    assert named.keys() == left_out.keys()
