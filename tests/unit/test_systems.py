"""Linear systems: rank and verdict tell what can be solved, and which coefficients are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lgem.systems import diagnose, estimable, numerical_rank, shape_class

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
