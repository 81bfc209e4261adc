"""What a fold may know: held-out values change nothing that is learned or predicted."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.prediction.folds import fold_name, folds, predictions_data, training_set
from lgem.prediction.model import (
    KINDS,
    NOT_APPLICABLE,
    NOT_EMBEDDABLE,
    PREDICTED,
    fit_predictor,
)
from lgem.prediction.splits import EXCLUDED, TEST, TRAIN, kfold
from lgem.screen.effects import GroupStatistics, estimate_effects
from lgem.screen.io import effects_data
from lgem.screen.labels import CONTROL, TargetIndex

GENES = [f"G{row}" for row in range(12)]
INDEX = TargetIndex(GENES)
NAMES = ["G0", "G1", "G4", "G7", "G9", "X1", "X2", "G0+G4", "G1+X1"]
FITS = [
    *((kind, {}) for kind in KINDS if kind != "lgem"),
    *(("lgem", {"solver": s, "dimensions": None, "penalty": 0.1}) for s in ("pinv", "ridge")),
]


def random_screen(seed, batches, kept=1.0):
    """Group statistics of all names and control; each in one batch at least, by chance in more."""
    rng = np.random.default_rng(seed)
    groups = pd.DataFrame(product([CONTROL, *NAMES], range(batches)), columns=["perturbation", "b"])
    groups["batch"] = "lane_" + groups.pop("b").astype(str)
    luck = pd.Series(rng.random(len(groups)))
    best = luck.groupby(groups["perturbation"]).transform("min")
    groups = groups[(luck < kept) | (luck == best)].reset_index(drop=True)
    groups["n_cells"] = rng.integers(1, 50, size=len(groups))
    shape = (len(groups), len(GENES))
    return GroupStatistics(groups, rng.gamma(2.0, size=shape), rng.gamma(1.0, size=shape))


def scrambled(statistics, known, seed):
    """Replace all values of every perturbation that is not `known`: sizes, means, variances."""
    rng = np.random.default_rng(seed)
    unknown = ~statistics.groups["perturbation"].isin([CONTROL, *known]).to_numpy()
    groups, mean, variance = (
        statistics.groups.copy(),
        statistics.mean.copy(),
        statistics.variance.copy(),
    )
    groups.loc[unknown, "n_cells"] = rng.integers(1, 500, size=unknown.sum())
    mean[unknown] = 10 * rng.gamma(2.0, size=(unknown.sum(), len(GENES)))
    variance[unknown] = rng.gamma(5.0, size=(unknown.sum(), len(GENES)))
    return GroupStatistics(groups, mean, variance)


def all_that_is_learned(statistics, fold, factors):
    """Training set, fitted arrays and predictions of every predictor in a fold, as bytes."""
    try:
        training, left_out = training_set(statistics, INDEX, fold.train, factors)
    except InputError as error:  # batches may connect no training perturbation with control
        return {"refused": str(error)}
    learned = {
        "training": (training.effects.tobytes(), training.control.tobytes()),
        "names": (*training.perturbations, *left_out.items()),
    }
    for number, (kind, settings_) in enumerate(FITS):
        predictor = fit_predictor(kind, training, settings_)
        for name, array in predictor.arrays().items():
            learned[f"{number} {kind} {name}"] = (array.shape, array.tobytes())
        for name in fold.test:
            answer = predictor.predict(name, INDEX.find(name))
            effect = None if answer.effect is None else answer.effect.tobytes()
            learned[f"{number} {kind} for {name}"] = (answer.status, answer.reason, effect)
    return learned


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    batches=st.integers(1, 3),
    kept=st.sampled_from([0.0, 0.3, 0.6, 1.0]),
    adjusted=st.booleans(),
)
def test_held_out_values_change_no_prediction_by_one_bit(seed, batches, kept, adjusted):
    statistics = random_screen(seed, batches, kept)
    factors = ["batch"] if adjusted else []
    for fold in folds(kfold(NAMES, 3, 1, seed)):
        other = scrambled(statistics, fold.train, seed + 1)
        before = all_that_is_learned(statistics, fold, factors)
        after = all_that_is_learned(other, fold, factors)
        assert before == after


def test_the_leak_test_sees_the_leak_of_a_joint_estimate():
    """With effects of all perturbations estimated together, the same scrambling does reach the
    training effects, through the batch terms."""
    statistics = random_screen(1, batches=2)
    fold = next(folds(kfold(NAMES, 3, 1, seed=1)))
    other = scrambled(statistics, fold.train, seed=2)

    def joint(values):
        found = estimate_effects(values, ["batch"])
        return found.effect[[found.perturbations.index(name) for name in fold.train]]

    assert np.abs(joint(statistics) - joint(other)).max() > 0.1
    assert all_that_is_learned(statistics, fold, ["batch"]) == all_that_is_learned(
        other, fold, ["batch"]
    )


def test_the_leak_test_sees_a_change_of_what_is_known():
    statistics = random_screen(1, batches=2)
    fold = next(folds(kfold(NAMES, 3, 1, seed=1)))
    other = scrambled(statistics, fold.train[1:], seed=2)
    before = all_that_is_learned(statistics, fold, ["batch"])
    after = all_that_is_learned(other, fold, ["batch"])
    assert before["training"] != after["training"]
    assert any(before[key] != after[key] for key in before if "lgem" in key)


def test_a_training_set_holds_the_effects_of_its_own_perturbations():
    statistics = random_screen(3, batches=2)
    train = ["G4", "X1", "G0+G4"]
    training, left_out = training_set(statistics, INDEX, train, ["batch"])
    alone = estimate_effects(statistics.only(train), ["batch"])
    assert training.perturbations == alone.perturbations == sorted(train)
    np.testing.assert_array_equal(training.effects, alone.effect.T)
    assert training.effects.shape == (len(GENES), 3)
    assert [target.rows for target in training.targets] == [(0, 4), (4,), None]
    assert left_out == {}


def chained_screen():
    """Control and C only in lane 1, B only in lane 2, and A in both: A connects B with control."""
    groups = pd.DataFrame(
        [(CONTROL, 1), ("C", 1), ("A", 1), ("A", 2), ("B", 2)], columns=["perturbation", "batch"]
    )
    groups["n_cells"] = 20
    values = np.random.default_rng(1).gamma(2.0, size=(5, len(GENES)))
    return GroupStatistics(groups, values, np.ones_like(values))


def test_what_only_held_out_perturbations_connect_leaves_training_with_a_reason():
    statistics = chained_screen()
    everything, nothing = training_set(statistics, INDEX, ["A", "B", "C"], ["batch"])
    assert (everything.perturbations, nothing) == (["A", "B", "C"], {})
    training, left_out = training_set(statistics, INDEX, ["B", "C"], ["batch"])
    assert training.perturbations == ["C"]
    assert left_out == {"B": "not connected with control through batch"}


def test_a_fold_in_which_no_effect_can_be_estimated_is_named():
    with pytest.raises(InputError) as error:
        training_set(chained_screen(), INDEX, ["B"], ["batch"])
    assert str(error.value).startswith(
        "splits: the fold that trains on B: found none of them connected with control through batch"
    )


def test_folds_come_in_order_with_their_sets():
    splits = kfold(NAMES, 3, 2, seed=1).sample(frac=1, random_state=1)
    found = list(folds(splits))
    assert [(fold.repeat, fold.fold) for fold in found] == list(product((1, 2), (1, 2, 3)))
    assert [fold_name(fold) for fold in found[:2]] == ["repeat1_fold1", "repeat1_fold2"]
    for fold in found:
        rows = splits[(splits["repeat"] == fold.repeat) & (splits["fold"] == fold.fold)]
        sets = dict(zip(rows["perturbation"], rows["set"], strict=True))
        assert sorted(fold.train) == sorted(name for name in NAMES if sets[name] == TRAIN)
        assert sorted(fold.test) == sorted(name for name in NAMES if sets[name] == TEST)
        assert EXCLUDED not in {sets[name] for name in (*fold.train, *fold.test)}


@pytest.mark.parametrize(("kind", "chosen"), FITS)
def test_every_held_out_perturbation_has_a_row_with_a_prediction_or_a_reason(kind, chosen):
    statistics = random_screen(5, batches=1)
    qc = pd.DataFrame({"perturbation": NAMES, "n_cells": 20, "reason": ""})
    genes = pd.DataFrame(index=GENES)
    effects = effects_data(estimate_effects(statistics, []), qc, genes, statistics.control)
    fitted, expected = [], []
    for fold in folds(kfold(NAMES, 3, 2, seed=1)):
        training, _ = training_set(statistics, INDEX, fold.train, [])
        predictor = fit_predictor(kind, training, chosen)
        fitted.append((fold, predictor))
        expected += [
            (name, fold.repeat, fold.fold, predictor.predict(name, INDEX.find(name)))
            for name in fold.test
        ]
    found = predictions_data(effects, fitted)
    assert found.n_obs == len(expected) == 2 * len(NAMES)
    assert found.obs_names.is_unique
    control = effects.var["control"].to_numpy()
    for row, (name, repeat, fold, answer) in enumerate(expected):
        assert tuple(found.obs.iloc[row]) == (name, repeat, fold, answer.status, answer.reason)
        assert (answer.status == PREDICTED) == (answer.effect is not None)
        if answer.effect is None:
            assert np.isnan(found.X[row]).all()
            assert answer.reason
        else:
            np.testing.assert_array_equal(found.X[row], control + answer.effect)
        np.testing.assert_array_equal(
            found.layers["observed"][row], control + effects[name].X.ravel()
        )


def test_statuses_tell_what_applies_from_what_does_not():
    training, _ = training_set(random_screen(5, batches=1), INDEX, ["G0", "G4", "G7"], [])
    statuses = {
        kind: [
            fit_predictor(kind, training, chosen).predict(name, INDEX.find(name)).status
            for name in ("G1", "X1", "G0+G4")
        ]
        for kind, chosen in FITS
    }
    assert statuses == {
        "no_change": [PREDICTED] * 3,
        "mean": [PREDICTED] * 3,
        "additive": [NOT_APPLICABLE, NOT_APPLICABLE, PREDICTED],
        "lgem": [PREDICTED, NOT_EMBEDDABLE, PREDICTED],
    }
