"""Graphical lasso against its optimality conditions, another solver, and known networks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.covariance import graphical_lasso as by_scikit_learn

from lgem.errors import InputError
from lgem.network import lasso
from lgem.network.covariance import standardise
from lgem.network.lasso import count_edges, graphical_lasso, refit, solve, violation


def correlated(seed, cells, genes, factors=2):
    """Genes that share a few factors, so that all are correlated."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(cells, factors)) @ rng.normal(size=(factors, genes))
    return standardise(shared + rng.normal(size=(cells, genes)), None).values


def chain(cells, genes, weight=0.5):
    """Each gene is driven by the one before it: the true edges are those between neighbours."""
    noise = np.random.default_rng(3).normal(size=(genes, cells))
    return standardise(np.linalg.solve(np.eye(genes) - weight * np.eye(genes, k=-1), noise).T, None)


def sample_of(values):
    return values.T @ values / len(values)


def fitted_slowly(sample, graph, rounds=3000):
    """Covariance selection, edge by edge: make Θ⁻¹ equal S there, over and over."""
    precision = np.diag(1 / np.diagonal(sample))
    pairs = [[i, j] for i in range(len(sample)) for j in range(i) if graph[i, j]]
    for _ in range(rounds):
        before = precision.copy()
        for pair in pairs:
            block = np.ix_(pair, pair)
            now = np.linalg.inv(precision)[block]
            precision[block] += np.linalg.inv(sample[block]) - np.linalg.inv(now)
        if np.abs(precision - before).max() < 1e-10:
            return precision
    raise AssertionError("not converged")


def random_graph(seed, genes, share):
    above = np.triu(np.random.default_rng(seed).random((genes, genes)) < share, 1)
    return above | above.T | np.eye(genes, dtype=bool)


def objective(precision, sample, penalty):
    off = np.abs(precision).sum() - np.abs(np.diagonal(precision)).sum()
    return np.linalg.slogdet(precision)[1] - np.trace(sample @ precision) - penalty * off


@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 2**32 - 1),
    cells=st.integers(6, 60),
    genes=st.integers(2, 25),
    share=st.floats(0.1, 0.95),
)
def test_random_problems_meet_the_optimality_conditions(seed, cells, genes, share):
    values = correlated(seed, cells, genes)
    sample = sample_of(values)
    penalty = share * np.abs(sample - np.eye(genes)).max()
    result = graphical_lasso(values, penalty)
    precision, inverse = result.precision, np.linalg.inv(result.precision)
    np.testing.assert_array_equal(precision, precision.T)
    assert np.linalg.eigvalsh(precision)[0] > 0
    np.testing.assert_allclose(result.covariance, inverse, atol=1e-9)
    for i in range(genes):
        for j in range(genes):
            slack = inverse[i, j] - sample[i, j]
            if i == j:
                assert abs(slack) < 2e-6
            elif precision[i, j] == 0:
                assert abs(slack) < penalty + 2e-6
            else:
                assert abs(slack - penalty * np.sign(precision[i, j])) < 2e-6
    assert len(result.path) == 1
    assert result.penalty == result.path["penalty"].item() == penalty


@pytest.mark.parametrize("penalty", [0.1, 0.3])
def test_it_agrees_with_scikit_learn(penalty):
    sample = sample_of(correlated(1, cells=200, genes=12))
    found = solve(sample, penalty)
    expected = by_scikit_learn(sample, penalty, tol=1e-10, enet_tol=1e-10, max_iter=2000)
    np.testing.assert_allclose(found.covariance, expected[0], atol=1e-6)
    np.testing.assert_allclose(found.precision, expected[1], atol=1e-5)


def test_no_other_matrix_has_a_larger_objective():
    values = correlated(2, cells=100, genes=8)
    sample, rng = sample_of(values), np.random.default_rng(0)
    precision = graphical_lasso(values, 0.2).precision
    best = objective(precision, sample, 0.2)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(20):
            step = rng.normal(size=(8, 8)) * size
            other = precision + step + step.T
            if np.linalg.eigvalsh(other)[0] > 0:
                assert objective(other, sample, 0.2) < best


def test_components_solved_apart_are_the_solution_of_the_whole(monkeypatch):
    blocks = [correlated(seed, cells=300, genes=6) for seed in (4, 5, 6)]
    sample = sample_of(np.hstack(blocks))
    apart, sizes, one = solve(sample, 0.25), [], lasso._solve_connected

    def counted(part, *others):
        sizes.append(len(part))
        return one(part, *others)

    monkeypatch.setattr(lasso, "_solve_connected", counted)
    solve(sample, 0.25)
    assert len(sizes) > 1  # there was something to take apart
    assert max(sizes) <= 6
    monkeypatch.setattr(lasso, "connected_components", lambda *_, **__: (1, np.zeros(18, int)))
    together = solve(sample, 0.25)
    assert sizes[-1] == 18
    np.testing.assert_allclose(apart.precision, together.precision, atol=1e-5)
    np.testing.assert_array_equal(apart.precision == 0, together.precision == 0)


@pytest.mark.parametrize("cells", [15, 200])
def test_where_the_sweeps_begin_does_not_change_the_solution(cells):
    sample = sample_of(correlated(15, cells, genes=20))
    start = solve(sample, 0.5)
    warm, cold = solve(sample, 0.2, start), solve(sample, 0.2)
    np.testing.assert_allclose(warm.covariance, cold.covariance, atol=1e-5)
    np.testing.assert_array_equal(warm.precision == 0, cold.precision == 0)


def test_a_near_start_saves_sweeps(monkeypatch):
    sample, sweeps, one = sample_of(correlated(16, 300, 40, factors=3)), [], lasso._sweep
    start = solve(sample, 0.25)
    monkeypatch.setattr(lasso, "_sweep", lambda *given: sweeps.append(1) or one(*given))
    solve(sample, 0.2, start)
    warm = len(sweeps)
    solve(sample, 0.2)
    assert warm < len(sweeps) - warm


@pytest.mark.parametrize(("cells", "share"), [(100, 0.2), (100, 0.6), (100, 1.0), (6, 0.15)])
def test_the_refit_is_the_covariance_selection_done_slowly(cells, share):
    sample = sample_of(correlated(17, cells, genes=10))
    graph = random_graph(1, 10, share)
    found = refit(sample, graph.astype(float))
    np.testing.assert_array_equal(found != 0, graph)
    np.testing.assert_allclose(found, fitted_slowly(sample, graph), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.linalg.inv(found)[graph], sample[graph], atol=2e-6)


def test_the_refit_of_a_tree_has_the_closed_form():
    sample = sample_of(correlated(18, cells=50, genes=6))
    graph = np.abs(np.subtract.outer(range(6), range(6))) <= 1
    expected = -np.log(1 - np.diagonal(sample, 1) ** 2).sum()
    fitted = refit(sample, graph.astype(float))
    assert np.linalg.slogdet(fitted)[1] == pytest.approx(expected, rel=1e-6)


def test_the_refit_of_a_complete_graph_is_the_inverse_and_needs_more_cells_than_genes():
    sample = sample_of(correlated(19, cells=60, genes=8))
    np.testing.assert_allclose(refit(sample, np.ones((8, 8))), np.linalg.inv(sample), rtol=1e-5)
    for cells in (4, 8):  # centring takes one of the eight
        assert refit(sample_of(correlated(19, cells, genes=8)), np.ones((8, 8))) is None


@pytest.mark.parametrize(("correlation", "judged"), [(0.9999, True), (1 - 1e-6, False)])
def test_a_refit_that_leaves_a_gene_next_to_nothing_is_not_trusted(correlation, judged):
    sample = np.array([[1.0, correlation], [correlation, 1.0]])
    found = refit(sample, np.ones((2, 2)))
    assert (found is not None) == judged
    if judged:
        np.testing.assert_allclose(found, np.linalg.inv(sample), rtol=1e-6)


def test_the_refit_of_genes_that_are_copies_has_no_likelihood_to_judge():
    values = correlated(20, cells=50, genes=4)
    copied = np.column_stack([values, values[:, 0]])
    assert refit(sample_of(copied), np.ones((5, 5))) is None
    assert refit(sample_of(copied), np.eye(5)) is not None


def test_the_chain_is_found_in_many_cells():
    result = graphical_lasso(chain(10_000, 12).values, None)
    rho = np.abs(result.precision)
    np.fill_diagonal(rho, 0.0)
    neighbours = np.abs(np.subtract.outer(range(12), range(12))) == 1
    assert rho[neighbours].min() > 10 * rho[~neighbours].max()


def test_the_criterion_by_hand_and_the_choice_by_it():
    values = correlated(7, cells=150, genes=10)
    result, sample = graphical_lasso(values, None), sample_of(values)
    path = result.path
    assert list(path) == ["penalty", "edges", "log_likelihood", "ebic"]
    assert len(path) > 3
    for row in path.itertuples():
        graph = solve(sample, row.penalty).precision != 0
        edges = sum(graph[i, j] for i in range(10) for j in range(i))
        precision = fitted_slowly(sample, graph)
        likelihood = 75.0 * (np.log(np.linalg.det(precision)) - np.trace(sample @ precision))
        assert row.edges == edges
        assert row.log_likelihood == pytest.approx(likelihood, abs=1e-3)
        price = np.log(150) + 4 * 0.5 * np.log(10)
        assert row.ebic == pytest.approx(-2 * row.log_likelihood + edges * price, rel=1e-12)
    assert result.penalty == path["penalty"][path["ebic"].argmin()]
    penalised = solve(sample, result.penalty).precision
    np.testing.assert_allclose(result.precision, penalised, atol=1e-5)


def test_the_likelihood_grows_with_the_graph_and_is_above_the_penalised():
    values = chain(300, 8).values
    sample, path = sample_of(values), graphical_lasso(values, None).path
    for row in path.itertuples():
        found = solve(sample, row.penalty).precision
        penalised = 150 * (np.linalg.slogdet(found)[1] - np.trace(sample @ found))
        assert row.log_likelihood >= penalised - 1e-3
    more = path[path["edges"].diff() > 0]
    assert len(more) > 1
    assert (path["log_likelihood"].diff()[more.index] > 0).all()


def test_strong_edges_are_found_with_as_few_cells_as_genes():
    rng = np.random.default_rng(21)
    drivers = rng.normal(size=(60, 20))
    pairs = np.hstack(
        [drivers, drivers + 0.8 * rng.normal(size=(60, 20)), rng.normal(size=(60, 20))]
    )
    found = graphical_lasso(standardise(pairs, None).values, None)
    true = np.zeros((60, 60), dtype=bool)
    true[range(20), range(20, 40)] = true[range(20, 40), range(20)] = True
    edges = (found.precision != 0) & ~np.eye(60, dtype=bool)
    assert edges[true].mean() > 0.9
    assert edges[~true].mean() < 0.01


def test_a_penalty_given_is_not_judged():
    path = graphical_lasso(correlated(22, 50, 6), 0.3).path
    assert list(path) == ["penalty", "edges", "log_likelihood", "ebic"]
    assert path["edges"].item() == count_edges(
        graphical_lasso(correlated(22, 50, 6), 0.3).precision
    )
    assert path[["log_likelihood", "ebic"]].isna().all(axis=None)


def test_the_path_begins_without_edges_and_descends_geometrically():
    values = correlated(8, cells=80, genes=9)
    path = graphical_lasso(values, None).path
    assert path["edges"][0] == 0
    assert path["penalty"][0] == np.abs(sample_of(values) - np.eye(9)).max()
    steps = path["penalty"].to_numpy()[1:] / path["penalty"].to_numpy()[:-1]
    np.testing.assert_allclose(steps, 0.01 ** (1 / 19), rtol=1e-9)


def test_the_path_left_untried_holds_no_better_penalty(monkeypatch):
    for seed in range(4):
        values = correlated(seed, cells=120, genes=12, factors=1)
        early = graphical_lasso(values, None)
        with monkeypatch.context() as patch:
            patch.setattr(lasso, "PATIENCE", 100)
            whole = graphical_lasso(values, None)
        assert len(whole.path) > len(early.path)
        assert early.penalty == whole.penalty


def test_independent_genes_get_as_few_edges_as_their_price_promises():
    edges = []
    for seed in range(10):
        values = standardise(np.random.default_rng(seed).normal(size=(500, 40)), None).values
        result = graphical_lasso(values, None)
        assert "above its minimum" in result.ended
        edges.append(count_edges(result.precision))
        if edges[-1] == 0:
            np.testing.assert_array_equal(result.precision, np.eye(40) * result.precision)
            np.testing.assert_allclose(result.precision, np.eye(40), rtol=1e-12)
    # A pair alone pays where χ² with one degree of freedom exceeds the price: 1.8 of 7800 pairs.
    expected = 10 * 780 * chi2.sf(np.log(500) + 2 * np.log(40), 1)
    assert sum(edges) < 2 * expected
    assert edges.count(0) >= 8


def test_two_genes_have_the_closed_form():
    values = correlated(10, cells=50, genes=2, factors=1)
    r = sample_of(values)[0, 1]
    penalty = abs(r) / 3
    shrunk = r - penalty * np.sign(r)
    expected = np.linalg.inv([[1, shrunk], [shrunk, 1]])
    np.testing.assert_allclose(graphical_lasso(values, penalty).precision, expected, atol=1e-6)
    assert (graphical_lasso(values, abs(r) * 1.01).precision != 0).sum() == 2


def test_more_genes_than_cells_still_have_an_inverse():
    values = correlated(11, cells=20, genes=40)
    result = graphical_lasso(values, None)
    assert np.linalg.eigvalsh(result.precision)[0] > 0
    sample = sample_of(values)
    assert violation(sample, result.precision, result.covariance, result.penalty) < 1e-6
    np.testing.assert_allclose(result.precision @ result.covariance, np.eye(40), atol=1e-8)


def test_a_gene_that_goes_with_no_other_stays_alone():
    values = correlated(12, cells=400, genes=6)
    alone = np.random.default_rng(0).normal(size=(400, 1))
    alone -= values @ np.linalg.lstsq(values, alone, rcond=None)[0]
    together = standardise(np.hstack([values, alone]), None).values
    result = graphical_lasso(together, 0.05)
    assert (result.precision[6, :6] == 0).all()
    assert result.precision[6, 6] == pytest.approx(1.0)
    without = graphical_lasso(values, 0.05)
    np.testing.assert_allclose(result.precision[:6, :6], without.precision, atol=1e-6)


def test_twice_the_same_call_gives_the_same_bits():
    values = correlated(13, cells=60, genes=20)
    first, second = graphical_lasso(values, None), graphical_lasso(values, None)
    np.testing.assert_array_equal(first.precision, second.precision)


def test_what_was_not_solved_is_told(monkeypatch):
    values = correlated(14, cells=60, genes=20)
    reached = graphical_lasso(values, None)
    monkeypatch.setattr(lasso, "ROUNDS", 1)
    with pytest.raises(InputError, match="no solution to 1e-06 with a penalty of"):
        graphical_lasso(values, 0.1)
    cut = graphical_lasso(values, None)
    assert len(cut.path) < len(reached.path)
    assert "no solution" in cut.ended


def test_the_path_ends_before_a_graph_without_a_largest_likelihood(monkeypatch):
    monkeypatch.setattr(lasso, "PATIENCE", 100)
    values = correlated(23, cells=8, genes=12, factors=1)
    result = graphical_lasso(values, None)
    assert "no likelihood was found to be largest" in result.ended
    assert np.isfinite(result.path["ebic"]).all()


def test_the_path_ends_when_its_work_is_done_and_keeps_what_it_has(monkeypatch):
    values = correlated(24, cells=100, genes=20)
    whole = graphical_lasso(values, None)
    monkeypatch.setattr(lasso, "SWEEPS", 40)
    monkeypatch.setattr(lasso, "LARGE", 20)
    cut = graphical_lasso(values, None)
    assert "the work allowed for the path was done before a penalty of" in cut.ended
    assert 1 < len(cut.path) < len(whole.path)
    pd.testing.assert_frame_equal(cut.path, whole.path[: len(cut.path)])
    assert cut.penalty == cut.path["penalty"][cut.path["ebic"].argmin()]
    monkeypatch.setattr(lasso, "SWEEPS", 0)
    assert len(graphical_lasso(values, None).path) == 1


def test_an_optimality_condition_missed_is_measured():
    sample = np.array([[1.0, 0.5], [0.5, 1.0]])
    identity = np.eye(2)
    assert violation(sample, identity, identity, 0.5) == 0.0
    assert violation(sample, identity, identity, 0.2) == pytest.approx(0.3)
    assert violation(sample, identity / 2, identity * 2, 0.5) == pytest.approx(1.0)
    exact = np.linalg.inv([[1, 0.3], [0.3, 1]])
    assert violation(sample, exact, np.linalg.inv(exact), 0.2) == pytest.approx(0.0, abs=1e-12)
    assert violation(sample, exact, np.linalg.inv(exact), 0.1) == pytest.approx(0.1)
    apart = np.array([[0.0, np.inf], [np.inf, 0.0]])
    assert violation(sample, identity, identity, apart) == 0.0
    assert violation(sample, exact, np.linalg.inv(exact), np.full((2, 2), 0.2)) < 1e-12
    free = violation(sample, exact, np.linalg.inv(exact), np.zeros((2, 2)))
    assert free == pytest.approx(0.2)
