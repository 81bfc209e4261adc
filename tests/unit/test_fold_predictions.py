"""From fitted predictors to the table of predictions, beside what was observed."""

import numpy as np
import pandas as pd
import pytest
from fold_cases import (
    CONTEXTS,
    FITS,
    GENES,
    INDEX,
    LEVEL,
    NAMES,
    experiment,
    fitted,
    random_screen,
)

from lgem.prediction.folds import (
    LAYERS,
    OBS_COLUMNS,
    Fold,
    Observed,
    folds,
    predictions_data,
    training_set,
)
from lgem.prediction.splits import doubles, kfold, leave_context_out, leave_one_out
from lgem.prediction.training import ANSWERED, MEAN_ONLY, NOT_APPLICABLE, NOT_EMBEDDABLE, PREDICTED
from lgem.screen.effects import estimate_effects
from lgem.screen.io import effects_data
from lgem.screen.labels import CONTROL


def effects_of(statistics, factors=()):
    qc = pd.DataFrame({"perturbation": NAMES, "n_cells": 20, "reason": ""})
    found = estimate_effects(statistics, list(factors))
    return effects_data(found, qc, pd.DataFrame(index=GENES), statistics.control)


@pytest.mark.parametrize("name", FITS)
def test_every_held_out_perturbation_has_a_row_with_a_prediction_or_a_reason(name):
    screen = experiment(random_screen(5, batches=1))
    effects = effects_of(screen.statistics)
    predictors, expected = [], []
    for fold in folds(kfold(NAMES, 3, 2, seed=1)):
        training, _ = training_set(screen, fold)
        predictor = fitted(name, training)
        predictors.append((fold, predictor, training.perturbations))
        expected += [
            (asked, fold.repeat, fold.fold, predictor.predict(asked, INDEX.find(asked), LEVEL))
            for asked in fold.test
        ]
    found = predictions_data(screen, effects, predictors, LEVEL)
    assert found.n_obs == len(expected) == 2 * len(NAMES)
    assert found.obs_names.is_unique
    assert list(found.obs) == OBS_COLUMNS
    assert set(found.layers) == {*LAYERS} - {"predicted"}
    assert (found.obs["context"] == "").all()
    control = effects.var["control"].to_numpy()
    for row, (asked, repeat, fold, answer) in enumerate(expected):
        told = (asked, repeat, fold, answer.status, answer.reason)
        assert tuple(found.obs.iloc[row])[:5] == told
        assert (answer.status in ANSWERED) == (answer.effect is not None)
        assert answer.reason or answer.status == PREDICTED
        for values, effect in (
            (found.X, answer.effect),
            (found.layers["lower"], answer.lower),
            (found.layers["upper"], answer.upper),
        ):
            expected_row = np.full(len(GENES), np.nan) if effect is None else control + effect
            np.testing.assert_array_equal(values[row], expected_row)
        np.testing.assert_array_equal(
            found.layers["observed"][row], control + effects[asked].X.ravel()
        )
    interval = found.uns["interval"]
    assert interval["level"] == LEVEL
    made = FITS[name][0] == "linear"
    assert (interval["method"], bool(interval["reason"])) == (
        ("jackknife+", False) if made else ("none", True)
    )


def test_bounds_hold_the_prediction_between_them():
    screen = experiment(random_screen(5, batches=1))
    found = predictions_data(
        screen,
        effects_of(screen.statistics),
        [
            (fold, fitted("mean", training_set(screen, fold)[0]), fold.train)
            for fold in folds(kfold(NAMES, 3, 1, seed=1))
        ],
        LEVEL,
    )
    assert (found.layers["lower"] <= found.X).all()
    assert (found.layers["upper"] >= found.X).all()


def test_what_is_observed_carries_the_noise_of_the_perturbations_own_cells():
    """Without adjustment, and with equal variance s²: se = s/√n, not s √(1/n + 1/m)."""
    statistics = random_screen(6, batches=1)
    observed = Observed.of(experiment(statistics), effects_of(statistics), "")
    effects = estimate_effects(statistics, [])
    cells = statistics.groups.set_index("perturbation")["n_cells"]
    for name in NAMES:
        row = effects.perturbations.index(name)
        s = effects.se[row] / np.sqrt(1 / cells[name] + 1 / cells[CONTROL])
        np.testing.assert_allclose(
            observed.se[observed.row_of[name]], s / np.sqrt(cells[name]), rtol=1e-12
        )


def test_in_a_held_out_context_the_effects_there_are_observed_and_control_is_that_of_the_screen():
    statistics = random_screen(7, batches=2, contexts=CONTEXTS)
    screen = experiment(statistics, ["batch", "line"], "line")
    effects = effects_of(statistics, ["batch", "line"])
    fold = list(folds(leave_context_out(dict.fromkeys(CONTEXTS, NAMES), None)))[1]
    training, _ = training_set(screen, fold)
    data = predictions_data(screen, effects, [(fold, fitted("same_effect", training), [])], LEVEL)
    assert set(data.obs["context"]) == {"K562"}
    within = estimate_effects(screen.within("K562"), ["batch"])
    assert data.obs["perturbation"].tolist() == sorted(NAMES) == within.perturbations
    control = effects.var["control"].to_numpy()
    np.testing.assert_array_equal(control, statistics.control)
    np.testing.assert_array_equal(data.layers["observed"], control + within.effect)
    assert np.abs(data.layers["observed"] - control - effects[data.obs["perturbation"]].X).max() > 1
    learned = dict(zip(training.perturbations, training.effects.T, strict=True))
    for row, name in enumerate(data.obs["perturbation"]):
        np.testing.assert_array_equal(data.X[row], control + learned[name])


def test_seen_is_kept_as_text_and_blank_where_it_means_nothing():
    screen = experiment(random_screen(5, batches=1))
    predictors = [
        (fold, fitted("additive", training_set(screen, fold)[0]), fold.train)
        for fold in folds(doubles(NAMES, 2, 1, seed=1))
    ]
    found = predictions_data(screen, effects_of(screen.statistics), predictors, LEVEL).obs
    assert set(found["seen"]) == {"0", "1", "2"}
    both = found["seen"] == "2"
    assert (found.loc[both, "status"] == PREDICTED).all()
    assert (found.loc[~both, "status"] == NOT_APPLICABLE).all()
    fold = next(folds(leave_one_out(NAMES)))
    alone = (fold, fitted("additive", training_set(screen, fold)[0]), fold.train)
    found = predictions_data(screen, effects_of(screen.statistics), [alone], LEVEL).obs
    assert found["seen"].tolist() == [""]


def test_statuses_tell_what_applies_from_what_does_not():
    screen = experiment(random_screen(5, batches=1))
    training, _ = training_set(screen, Fold(1, 1, ["G0", "G4", "G7"], []))
    statuses = {
        name: [
            fitted(name, training).predict(asked, INDEX.find(asked)).status
            for asked in ("G1", "X1", "G0+G4")
        ]
        for name in FITS
    }
    everywhere = [PREDICTED] * 3
    by_mean = [PREDICTED, MEAN_ONLY, PREDICTED]
    additive = [NOT_APPLICABLE, NOT_APPLICABLE, PREDICTED]
    assert statuses == {
        **dict.fromkeys(("no_change", "mean", "no_change_on_target", "mean_on_target"), everywhere),
        **dict.fromkeys(("additive", "additive_on_target"), additive),
        "same_effect": [NOT_APPLICABLE] * 3,
        "paper": [PREDICTED, NOT_EMBEDDABLE, PREDICTED],
        **dict.fromkeys(("lgem", "lgem_random_G", "file", "identity"), by_mean),
        **dict.fromkeys(("lgem_random_P", "random", "transfer", "both"), everywhere),
    }


def test_seen_counts_what_was_trained_on_not_what_the_splits_meant_to():
    screen = experiment(random_screen(5, batches=1))
    fold = Fold(1, 1, ["G0", "G1", "G4"], ["G0+G4"])
    predictor = fitted("additive", training_set(screen, fold)[0])
    for trained, seen in ((["G0", "G4"], "2"), (["G0"], "1"), (["G1"], "0")):
        found = predictions_data(
            screen, effects_of(screen.statistics), [(fold, predictor, trained)], LEVEL
        )
        assert found.obs["seen"].tolist() == [seen]
