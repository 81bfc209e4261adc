"""Linear systems: rank and verdict tell what can be solved, and which coefficients are known."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lgem.files import read_table, write_table
from lgem.systems import (
    SYSTEM_COLUMNS,
    System,
    dependences,
    diagnose,
    diagnose_product,
    diagnose_spectrum,
    estimable,
    numerical_rank,
    shape_class,
    systems_table,
    worst,
)

TREATED = np.repeat([0.0, 1.0], 5)


def test_two_independent_equations_have_one_solution():
    found = diagnose(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0]))
    assert (found.rank, found.rank_augmented, found.verdict) == (2, 2, "unique")
    assert (found.shape_class, found.free_parameters) == ("square", 0)
    assert found.condition == pytest.approx(np.linalg.cond([[1, 2], [3, 4]]))


@pytest.mark.parametrize(
    ("b", "verdict", "augmented"), [([3.0, 6.0], "infinite", 1), ([3.0, 7.0], "none", 2)]
)
def test_a_repeated_equation_leaves_a_line_of_solutions_or_contradicts(b, verdict, augmented):
    found = diagnose(np.array([[1.0, 2.0], [2.0, 4.0]]), np.array(b))
    assert (found.rank, found.rank_augmented, found.verdict) == (1, augmented, verdict)
    assert found.free_parameters == 1
    assert not found.full_column_rank
    assert found.condition == np.inf


def test_three_lines_in_the_plane_meet_only_by_luck():
    lines = np.array([[1.0, 1.0], [-1.0, 1.0], [-0.3, 1.0]])
    found = diagnose(lines, np.array([2.0, 0.0, 0.5]))
    assert (found.shape_class, found.verdict) == ("overdetermined", "none")
    assert found.full_column_rank  # least squares still has one answer
    assert diagnose(lines, lines @ [1.0, 2.0]).verdict == "unique"


def test_one_equation_with_two_unknowns_leaves_one_free():
    found = diagnose(np.array([[1.0, 1.0]]), np.array([2.0]))
    assert (found.shape_class, found.verdict) == ("underdetermined", "infinite")
    assert found.free_parameters == 1


def test_a_slope_is_known_and_a_column_that_repeats_the_intercept_is_not():
    slope = np.column_stack([np.ones(4), np.arange(4.0)])
    assert diagnose(slope).verdict == "unique"
    repeated = np.column_stack([np.ones(4), np.full(4, 2.0)])
    assert (diagnose(repeated).rank, diagnose(repeated).verdict) == (1, "infinite")
    assert not estimable(repeated).any()


def test_batch_cannot_be_told_from_a_treatment_that_has_a_batch_of_its_own():
    confounded = np.column_stack([np.ones(10), TREATED, TREATED])
    assert diagnose(confounded).rank == 2
    np.testing.assert_array_equal(estimable(confounded), [True, False, False])
    # The remedy: some samples of each in either batch.
    batch = np.tile([0.0, 1.0], 5)
    mended = np.column_stack([np.ones(10), TREATED, batch])
    assert diagnose(mended).verdict == "unique"
    assert estimable(mended).all()


def test_treatment_sex_and_their_interaction_are_known_from_five_samples_each():
    treatment, sex = np.repeat([0.0, 0, 1, 1], 5), np.repeat([0.0, 1, 0, 1], 5)
    design = np.column_stack([np.ones(20), treatment, sex, treatment * sex])
    found = diagnose(design)
    assert (found.rows, found.columns, found.rank) == (20, 4, 4)
    assert (found.verdict, found.shape_class) == ("unique", "overdetermined")
    redundant = np.column_stack([design, 1 - sex])  # male, female and an intercept
    assert diagnose(redundant).free_parameters == 1
    np.testing.assert_array_equal(estimable(redundant), [False, True, False, True, False])


@pytest.mark.parametrize(
    ("rows", "columns", "name"),
    [(1000, 5, "overdetermined"), (10, 100, "underdetermined"), (50, 50, "square")],
)
def test_a_system_is_named_by_its_shape(rows, columns, name):
    assert shape_class(rows, columns) == name
    assert diagnose(np.ones((rows, columns))).shape_class == name


def test_several_right_hand_sides_must_all_be_met():
    A = np.array([[1.0, 2.0], [2.0, 4.0]])
    both = np.array([[3.0, 3.0], [6.0, 7.0]])
    assert diagnose(A, both).verdict == "none"
    assert diagnose(A, both[:, :1]).verdict == "infinite"


@pytest.mark.parametrize("power", [-200, -20, 20, 200])
def test_units_decide_nothing(power):
    A = np.array([[1.0, 2.0], [2.0, 4.0]])
    for b, verdict in (([3.0, 6.0], "infinite"), ([3.0, 7.0], "none")):
        assert diagnose(A * 2.0**power, np.array(b)).verdict == verdict
        assert diagnose(A, np.array(b) * 2.0**power).verdict == verdict


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 2)])
def test_systems_of_nothing_are_diagnosed_too(shape):
    zero = np.zeros(shape)
    found = diagnose(zero, np.zeros(shape[0]))
    assert (found.rank, found.rank_augmented, found.free_parameters) == (0, 0, shape[1])
    assert found.verdict == ("unique" if shape[1] == 0 else "infinite")
    assert numerical_rank(np.zeros(0), shape) == 0


small = arrays.arrays(
    float, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(-2, 2).map(float)
)


@given(small, st.data())
@settings(deadline=None)
def test_what_is_in_the_span_can_be_solved_and_the_rest_cannot(A, data):
    x = data.draw(arrays.arrays(float, A.shape[1], elements=st.integers(-3, 3).map(float)))
    inside = diagnose(A, A @ x)
    rank = np.linalg.matrix_rank(A)
    assert (inside.rank, inside.rank_augmented) == (rank, rank)
    assert inside.verdict == ("unique" if rank == A.shape[1] else "infinite")
    assert inside.free_parameters == A.shape[1] - rank
    left = np.linalg.svd(A)[0][:, rank:]
    if left.size:
        assert diagnose(A, A @ x + left[:, 0]).verdict == "none"


@given(small)
@settings(deadline=None)
def test_a_coefficient_is_estimable_if_and_only_if_its_row_is_a_combination_of_rows(A):
    rank = np.linalg.matrix_rank(A)
    slow = [np.linalg.matrix_rank(np.vstack([A, unit])) == rank for unit in np.eye(A.shape[1])]
    np.testing.assert_array_equal(estimable(A), slow)


def test_estimable_coefficients_are_those_that_every_solution_agrees_on():
    rng = np.random.default_rng(0)
    A = np.column_stack([np.ones(30), TREATED.repeat(3), TREATED.repeat(3), rng.normal(size=30)])
    y = rng.normal(size=30)
    first = np.linalg.lstsq(A, y, rcond=None)[0]
    other = first + np.array([0, 5.0, -5.0, 0])
    np.testing.assert_allclose(A @ first, A @ other)
    np.testing.assert_array_equal(estimable(A), np.isclose(first, other))


def test_columns_that_nearly_depend_are_independent_and_the_condition_says_so():
    near = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-12]])
    found = diagnose(near, np.array([1.0, 2.0]))
    assert (found.rank, found.verdict) == (2, "unique")
    assert found.condition == pytest.approx(4e12, rel=1e-3)
    assert diagnose(np.array([[1.0, 1.0], [1.0, 1.0 + 2e-16]])).rank == 1


# The lines x + y = 2, y = x and y = 0.5 + 0.3 x, as coefficients of (x, y).
LINES, HEIGHTS = np.array([[1.0, 1.0], [-1.0, 1.0], [-0.3, 1.0]]), np.array([2.0, 0.0, 0.5])


@pytest.mark.parametrize(
    ("lines", "shape", "verdict", "free"),
    [
        (2, "square", "unique", 0),
        (3, "overdetermined", "none", 0),
        (1, "underdetermined", "infinite", 1),
    ],
)
def test_lines_in_the_plane_meet_in_a_point_or_nowhere_or_are_one_line(lines, shape, verdict, free):
    A, b = LINES[:lines], HEIGHTS[:lines]
    found = diagnose(A, b)
    assert (found.shape_class, found.verdict, found.free_parameters) == (shape, verdict, free)
    nearest = np.linalg.lstsq(A, b, rcond=None)[0]
    assert np.allclose(A @ nearest, b) == (verdict != "none")
    if lines < 3:
        np.testing.assert_allclose(nearest, [1, 1])


@given(small)
@settings(deadline=None)
def test_the_normal_equations_have_a_determinant_if_and_only_if_columns_are_independent(A):
    determinant = np.linalg.det(A.T @ A)  # of whole numbers: a whole number, at least 1 or 0
    assert diagnose(A).full_column_rank == (determinant > 0.5)


def test_the_determinants_of_the_good_and_of_the_collinear_design():
    good = np.column_stack([np.ones(4), np.arange(4.0)])
    assert np.linalg.det(good.T @ good) == pytest.approx(20)
    collinear = np.column_stack([np.ones(4), np.full(4, 2.0)])
    assert np.linalg.det(collinear.T @ collinear) == pytest.approx(0, abs=1e-9)
    (relation,) = dependences(collinear)
    assert (relation.columns, relation.coefficients) == ((0, 1), (1.0, pytest.approx(-0.5)))


@pytest.mark.parametrize("samples", [100, 50_000])
def test_a_gene_on_five_covariates_has_one_answer_with_many_samples(samples):
    rng = np.random.default_rng(0)
    found = diagnose(np.column_stack([np.ones(samples), rng.normal(size=(samples, 4))]))
    assert (found.rows, found.columns, found.rank) == (samples, 5, 5)
    assert (found.shape_class, found.verdict) == ("overdetermined", "unique")


def test_a_phenotype_on_all_genes_of_few_samples_has_many_answers():
    genes = np.random.default_rng(0).normal(size=(100, 20_000))
    found = diagnose(genes, np.arange(100.0))
    assert (found.shape_class, found.verdict) == ("underdetermined", "infinite")
    assert (found.rank, found.free_parameters, found.condition) == (100, 19_900, np.inf)


# From singular values alone


@given(small)
@settings(deadline=None)
def test_singular_values_and_shape_say_all_of_least_squares(A):
    singular = np.linalg.svd(A, compute_uv=False)
    found, whole = diagnose_spectrum(singular[::-1], A.shape), diagnose(A)
    assert (found.rank, found.verdict) == (whole.rank, whole.verdict)
    assert found.condition == pytest.approx(whole.condition)


@given(small, small)
@settings(deadline=None)
def test_a_product_is_diagnosed_by_its_factors(P, G):
    found, slow = diagnose_product(P, G), diagnose(np.kron(P, G))
    for what in ("rows", "columns", "rank", "shape_class", "verdict", "free_parameters"):
        assert getattr(found, what) == getattr(slow, what)
    assert found.condition == pytest.approx(slow.condition)
    assert diagnose_product(diagnose(P), diagnose(G)) == found


def test_a_product_is_never_formed():
    rng = np.random.default_rng(0)
    P, G = rng.normal(size=(2000, 30)), rng.normal(size=(3000, 30))  # 43 GB as one matrix
    found = diagnose_product(P, G)
    assert (found.rows, found.columns, found.rank) == (6_000_000, 900, 900)
    assert found.condition == pytest.approx(np.linalg.cond(P) * np.linalg.cond(G))


# Which columns depend on one another


@given(small, st.lists(st.integers(-30, 30), min_size=6, max_size=6))
@settings(deadline=None)
def test_dependences_vanish_are_minimal_and_as_many_as_rank_is_short(A, powers):
    units = 2.0 ** np.array(powers)[: A.shape[1]]
    found = dependences(A * units)
    rank = np.linalg.matrix_rank(A)
    assert len(found) == A.shape[1] - rank
    for relation in found:
        columns = list(relation.columns)
        assert columns == sorted(set(columns))
        assert relation.coefficients[0] == 1
        scaled = (A * units)[:, columns] * relation.coefficients
        np.testing.assert_allclose(scaled.sum(axis=1), 0, atol=1e-9 * (abs(scaled).max() or 1))
        for fewer in combinations(columns, len(columns) - 1):
            assert np.linalg.matrix_rank(A[:, list(fewer)]) == len(fewer)
    # Together they span the null space.
    vectors = np.zeros((len(found), A.shape[1]))
    for row, relation in zip(vectors, found, strict=True):
        row[list(relation.columns)] = np.array(relation.coefficients) * units[[*relation.columns]]
        row /= abs(row).max()
    assert (np.linalg.matrix_rank(vectors) if found else 0) == len(found)
    # What no relation touches is estimable, and nothing else.
    touched = {column for relation in found for column in relation.columns}
    np.testing.assert_array_equal(estimable(A), [c not in touched for c in range(A.shape[1])])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3, 2)])
def test_columns_of_nothing_depend_on_none_but_themselves(shape):
    found = dependences(np.zeros(shape))
    assert [relation.columns for relation in found] == [(column,) for column in range(shape[1])]


def test_a_relation_among_many_columns_names_only_its_members():
    rng = np.random.default_rng(1)
    A = rng.normal(size=(500, 40))
    A[:, 17] = 3 * A[:, 4] - 1e6 * A[:, 30]
    (relation,) = dependences(A)
    assert relation.columns == (4, 17, 30)
    np.testing.assert_allclose(relation.coefficients, [1, -1 / 3, -1e6 / 3], rtol=1e-9)


# The table of systems


FULL, SHORT = diagnose(np.diag([1.0, 4.0])), diagnose(np.ones((3, 2)))


def test_systems_make_a_table_that_reads_back(tmp_path):
    systems = [
        System.of("effects", SHORT, "two", aliased="a = b", cause="confounded batch", remedy="mix"),
        System.of("lgem", FULL, "one"),
        System.of("empty", None, "nothing to solve"),
    ]
    table = systems_table(systems)
    assert list(table.columns) == SYSTEM_COLUMNS
    assert " ".join(SYSTEM_COLUMNS) == (
        "system rows columns rank condition verdict explanation aliased cause remedy"
    )
    write_table(table, tmp_path / "design.tsv")
    text = (tmp_path / "design.tsv").read_text("utf-8").splitlines()
    first = ["effects", "3", "2", "1", "inf", "infinite", "two", "a = b", "confounded batch", "mix"]
    assert text[1].split("\t") == first
    assert text[3].split("\t") == ["empty", *[""] * 4, "not solved", "nothing to solve", *[""] * 3]
    back = read_table(tmp_path / "design.tsv")
    assert back["rank"].tolist()[:2] == [1, 2]
    assert pd.isna(back.loc[2, "rank"])
    assert back["condition"].tolist()[:2] == [np.inf, 4.0]
    assert list(systems_table([]).columns) == SYSTEM_COLUMNS


def test_of_a_system_met_several_times_the_worst_stands_for_all():
    good, poor = System.of("a", FULL, ""), System.of("b", diagnose(np.diag([1.0, 9.0])), "")
    short, none = System.of("c", SHORT, ""), System.of("d", None, "")
    assert worst([good, poor, none]) == poor
    assert worst([poor, short, good]) == short
    assert worst([none, good]) == good
    assert worst([none]) == none
