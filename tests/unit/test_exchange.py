"""The pair for cell-eval: nothing that its metrics look at is changed on the way."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.prediction.exchange import LIMIT, to_exchange
from lgem.prediction.training import ANSWERED, MEAN_ONLY, NOT_EMBEDDABLE, PREDICTED
from lgem.screen.labels import CONTROL

GENES = [f"G{row}" for row in range(5)]


def predictions(entries, seed=0, low=1.0, high=9.0, contexts=None):
    """Predictions of (perturbation, status) entries; what is not answered is missing."""
    rng = np.random.default_rng(seed)
    names, statuses = [name for name, _ in entries], [status for _, status in entries]
    truth = {name: rng.uniform(low, high, len(GENES)) for name in sorted(set(names))}
    X = rng.uniform(low, high, (len(entries), len(GENES)))
    X[[status not in ANSWERED for status in statuses]] = np.nan
    obs = pd.DataFrame({"perturbation": names, "status": statuses})
    if contexts is not None:
        obs["context"] = contexts
    obs.index = obs.index.astype(str)
    var = pd.DataFrame({"control": rng.uniform(low, high, len(GENES))}, index=GENES)
    layers = {"observed": np.array([truth[name] for name in names]).reshape(X.shape)}
    return anndata.AnnData(X=X, obs=obs, var=var, layers=layers)


REPEATED = [
    *(("B", PREDICTED), ("A", MEAN_ONLY), ("X", NOT_EMBEDDABLE)),
    *(("A+B", PREDICTED), ("B", PREDICTED), ("B", NOT_EMBEDDABLE)),
]


def test_rows_are_control_and_every_perturbation_with_a_prediction():
    for data in to_exchange(predictions(REPEATED)):
        assert data.obs["perturbation"].tolist() == [CONTROL, "A", "A+B", "B"]
        assert data.obs["n_predictions"].tolist() == [0, 1, 1, 2]
        assert data.obs_names.tolist() == [CONTROL, "A", "A+B", "B"]
        assert data.var_names.tolist() == GENES
        assert data.X.dtype == np.float64
        assert np.isfinite(data.X).all()


def test_repeats_are_averaged_and_control_is_control():
    given_data = predictions(REPEATED)
    predicted, observed = to_exchange(given_data)
    control = given_data.var["control"].to_numpy()
    expected = [control, given_data.X[1], given_data.X[3], given_data.X[[0, 4]].mean(axis=0)]
    np.testing.assert_allclose(predicted.X, expected, rtol=1e-15)
    truth = given_data.layers["observed"]
    np.testing.assert_allclose(observed.X, [control, truth[1], truth[3], truth[0]], rtol=1e-15)
    np.testing.assert_array_equal(predicted.var["control"], control)
    np.testing.assert_array_equal(predicted.var["shift"], np.zeros(len(GENES)))


def test_what_is_given_stays_as_it_is():
    given_data = predictions(REPEATED, low=-3.0)
    kept = given_data.copy()
    to_exchange(given_data)
    np.testing.assert_array_equal(given_data.X, kept.X)
    pd.testing.assert_frame_equal(given_data.var, kept.var)
    pd.testing.assert_frame_equal(given_data.obs, kept.obs)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    low=st.floats(-5, 20),
    width=st.floats(0.1, 14),
    statuses=st.lists(st.sampled_from([PREDICTED, MEAN_ONLY, NOT_EMBEDDABLE]), max_size=8),
)
def test_a_shift_brings_values_into_range_and_changes_no_difference(seed, low, width, statuses):
    names = ["A", "B", "A+B", "C"]
    entries = [(names[row % 4], status) for row, status in enumerate(statuses)]
    given_data = predictions(entries, seed, low, low + width)
    predicted, observed = to_exchange(given_data)
    both = np.concatenate([predicted.X, observed.X])
    assert both.min() >= 0
    assert both.max() < LIMIT
    np.testing.assert_array_equal(predicted.X[0], observed.X[0])
    control = given_data.var["control"].to_numpy()
    table = pd.DataFrame(given_data.X).groupby(given_data.obs["perturbation"].to_numpy()).mean()
    table = table.dropna()  # means skip what is missing, as they should here
    assert predicted.obs["perturbation"].tolist() == [CONTROL, *table.index]
    np.testing.assert_allclose(predicted.X[1:] - predicted.X[0], table - control, atol=1e-13)
    shift = predicted.var["shift"].to_numpy()
    np.testing.assert_allclose(predicted.X[0] - shift, control, atol=1e-13)
    observed_there = given_data[given_data.obs["perturbation"].isin(table.index).to_numpy()]
    values = np.vstack([table, observed_there.layers["observed"], control])
    inside = (values.min(axis=0) >= 0) & (values.max(axis=0) < LIMIT)
    np.testing.assert_array_equal(shift != 0, ~inside)


def test_a_prediction_of_control_stays_control_to_the_last_bit():
    given_data = predictions([("A", PREDICTED), ("B", PREDICTED)], low=-2.0)
    given_data.X[:] = given_data.var["control"].to_numpy()
    predicted, _ = to_exchange(given_data)
    assert (predicted.var["shift"] > 0).any()
    np.testing.assert_array_equal(predicted.X, np.tile(predicted.X[0], (3, 1)))


@pytest.mark.parametrize("entries", [[("X", NOT_EMBEDDABLE)], []], ids=["none", "empty"])
def test_where_nothing_is_predicted_control_stands_alone(entries):
    for data in to_exchange(predictions(entries)):
        assert data.obs["perturbation"].tolist() == [CONTROL]


def test_every_held_out_context_has_rows_of_its_own():
    entries = [("A", PREDICTED), ("B", PREDICTED), ("A", PREDICTED)]
    given_data = predictions(entries, contexts=pd.Categorical(["t2", "t1", "t1"]))
    predicted, _ = to_exchange(given_data)
    assert predicted.obs_names.tolist() == ["control/t1", "control/t2", "A/t1", "A/t2", "B/t1"]
    assert predicted.obs["context"].tolist() == ["t1", "t2", "t1", "t2", "t1"]
    np.testing.assert_array_equal(predicted.X[2:], given_data.X[[2, 0, 1]])
    np.testing.assert_array_equal(predicted.X[0], predicted.X[1])


@pytest.mark.parametrize("blank", ["", None, np.nan])
def test_blank_contexts_are_none(blank):
    given_data = predictions([("A", PREDICTED), ("B", PREDICTED)], contexts=[blank, blank])
    for data in to_exchange(given_data):
        assert data.obs_names.tolist() == [CONTROL, "A", "B"]
        assert data.obs["context"].tolist() == ["", "", ""]
