"""Error by number of genes: running sums give what each set of genes gives on its own."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgem.network.recall import average_precision, precision_recall
from lgem.network.reference import score_network
from lgem.prediction.against_truth import with_truth
from lgem.prediction.gene_counts import error_by_genes, gene_grid, running_scores
from lgem.prediction.summary import bootstrap_interval


def slow(predicted, observed, control, ranked, targets, count):
    """Return L2 and Pearson delta over one set of genes, straight from their definitions."""
    genes = np.union1d(ranked[:count], np.array(targets, dtype=int))
    a, b = (predicted - control)[genes], (observed - control)[genes]
    constant = min(np.ptp(a), np.ptp(b)) < 1e-12
    r = np.nan if constant else np.corrcoef(a, b)[0, 1]
    return np.linalg.norm(a - b), r


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(0, 3))
def test_running_scores_equal_those_of_every_set_on_its_own(seed, genes, targets):
    rng = np.random.default_rng(seed)
    control, predicted, observed = rng.gamma(2, 1, (3, genes))
    chosen = rng.choice(genes, min(targets, genes), replace=False).tolist()
    ranked, grid = np.argsort(-control), list(range(1, genes + 1))
    fast = np.transpose(running_scores(predicted, observed, control, ranked, chosen, grid))
    expected = [slow(predicted, observed, control, ranked, chosen, count) for count in grid]
    np.testing.assert_allclose(fast, expected, rtol=1e-7, atol=1e-9)


def test_a_constant_change_has_no_correlation_but_a_target_beyond_it_does():
    rng = np.random.default_rng(0)
    control, observed = rng.gamma(2, 1, (2, 12))
    ranked = np.argsort(-control)
    last = int(ranked[-1])
    constant = control + 0.3
    _, none = running_scores(constant, observed, control, ranked, [], [3, 12])
    assert np.isnan(none).all()
    constant[last] = 0.0
    _, some = running_scores(constant, observed, control, ranked, [last], [3, 12])
    assert np.isfinite(some).all()


@pytest.mark.parametrize(
    ("total", "also", "expected"),
    [
        (8, (), [8]),
        (10, (), [10]),
        (250, (1000,), [10, 20, 50, 100, 200, 250]),
        (1200, (700,), [10, 20, 50, 100, 200, 500, 700, 1000, 1200]),
    ],
)
def test_the_grid_ends_at_all_genes(total, also, expected):
    assert gene_grid(total, *also) == expected


def screen(repeats=1):
    """Return the predictions of two models for six perturbations, one not scored, and effects."""
    rng = np.random.default_rng(2)
    genes = [f"G{k}" for k in range(30)]
    control = pd.DataFrame({"control": rng.gamma(2, 1, 30)}, index=genes)
    names = [f"G{k}" for k in range(6)] * repeats
    obs = pd.DataFrame({"perturbation": names, "status": "predicted"})
    obs.index = obs.index.astype(str)
    observed = rng.normal(1, 0.5, (len(obs), 30))
    found = {}
    for model in ("lgem", "mean"):
        own = obs.assign(status=["not_embeddable" if n == "G3" and model == "lgem" else "mean_only"
                                 for n in names])  # fmt: skip
        data = anndata.AnnData(
            X=observed + rng.normal(0, 0.3, observed.shape), obs=own, var=control
        )
        data.layers["observed"] = observed
        found[model] = data
    return found, anndata.AnnData(X=np.zeros((1, 30)), var=control)


def test_means_are_over_the_perturbations_asked_for_each_counted_once():
    predictions, effects = screen(repeats=2)
    table = error_by_genes(predictions, effects, [10, 30], {"G1", "G2", "G5"}, draws=50)
    assert set(table["n"]) == {3}
    own = table[(table["model"] == "lgem") & (table["metric"] == "l2") & (table["genes"] == 30)]
    data = predictions["lgem"]
    errors = np.linalg.norm(data.X - data.layers["observed"], axis=1)
    values = pd.Series(errors).groupby(data.obs["perturbation"].to_numpy()).mean()
    values = values[["G1", "G2", "G5"]].to_numpy()
    assert own["mean"].iloc[0] == pytest.approx(values.mean())
    ends = bootstrap_interval(values, 50, 0.9, 1)
    assert own[["lower", "upper"]].to_numpy()[0] == pytest.approx(ends)


def test_what_has_no_prediction_is_not_in_the_mean():
    table = error_by_genes(*screen(), grid=[30], draws=20)
    assert table.groupby("model")["n"].max().to_dict() == {"lgem": 5, "mean": 6}
    nothing = error_by_genes(*screen(), grid=[30], perturbations=[], draws=20)
    assert set(nothing["n"]) == {0}
    assert nothing["mean"].isna().all()


@pytest.mark.parametrize("digits", [6, 1])
def test_the_area_under_the_curve_is_the_average_precision_of_the_scores(digits):
    rng = np.random.default_rng(7)
    rho = np.round(rng.uniform(-1, 1, (25, 25)), digits)  # one digit: many ties
    rho = np.triu(rho, 1) + np.triu(rho, 1).T
    genes = [f"G{k}" for k in range(25)]
    pairs = rng.choice(25, (40, 2))
    ends = pd.DataFrame(np.sort(pairs[pairs[:, 0] != pairs[:, 1]]), columns=["gene_a", "gene_b"])
    edges = ends.drop_duplicates().apply(lambda column: column.map(lambda k: f"G{k}"))
    curve = precision_recall(rho, genes, edges)
    scores = score_network(rho, genes, edges, 5, 0.9, 1).set_index("metric")
    assert average_precision(curve) == pytest.approx(scores.loc["aupr", "value"], abs=1e-12)
    assert curve["chance"].iloc[0] == pytest.approx(scores.loc["aupr", "chance"])
    assert curve["recall"].is_monotonic_increasing
    assert curve["recall"].iloc[-1] == 1


def test_truth_is_found_for_combinations_in_any_order_and_only_for_what_it_knows():
    truth = anndata.AnnData(
        X=np.array([[1.0, 2.0], [3.0, 4.0]]),
        obs=pd.DataFrame(index=["B+A", "C"]),
        var=pd.DataFrame(index=["x", "y"]),
    )
    pairs = pd.DataFrame({"perturbation": ["A+B", "C", "D", "C"], "gene": ["y", "x", "x", "z"]})
    assert with_truth(pairs, truth)["true_effect"].tolist() == [2.0, 3.0]
