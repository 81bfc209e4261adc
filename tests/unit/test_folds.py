"""What a fold may know: held-out values change nothing that is learned or predicted."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from fold_cases import (
    CONTEXTS,
    FITS,
    GENES,
    INDEX,
    LAYOUT,
    LEVEL,
    NAMES,
    experiment,
    fitted,
    random_screen,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.prediction.folds import Experiment, Fold, contexts_of, fold_name, folds, training_set
from lgem.prediction.model import fit_predictor
from lgem.prediction.splits import EXCLUDED, TEST, TRAIN, kfold, leave_context_out
from lgem.prediction.training import NOT_APPLICABLE
from lgem.screen.effects import GroupStatistics, estimate_effects
from lgem.screen.labels import CONTROL


def scrambled(statistics, unknown, seed):
    """Replace all values of the groups that are `unknown`: sizes, means, variances."""
    rng = np.random.default_rng(seed)
    groups, mean, variance = (
        statistics.groups.copy(),
        statistics.mean.copy(),
        statistics.variance.copy(),
    )
    groups.loc[unknown, "n_cells"] = rng.integers(1, 500, size=unknown.sum())
    mean[unknown] = 10 * rng.gamma(2.0, size=(unknown.sum(), len(GENES)))
    variance[unknown] = rng.gamma(5.0, size=(unknown.sum(), len(GENES)))
    return GroupStatistics(groups, mean, variance)


def not_among(statistics, known):
    return ~statistics.groups["perturbation"].isin([CONTROL, *known]).to_numpy()


def in_bytes(array):
    return None if array is None else array.tobytes()


def all_that_is_learned(screen, fold):
    """Training set, fitted arrays and answers of every predictor in a fold, as bytes."""
    try:
        training, left_out = training_set(screen, fold)
    except InputError as error:  # batches may connect no training perturbation with control
        return {"refused": str(error)}
    learned = {
        "training": (in_bytes(training.effects), in_bytes(training.control), in_bytes(training.se)),
        "names": (*training.perturbations, *left_out.items()),
    }
    for name in FITS:
        try:
            predictor = fitted(name, training)
        except InputError as error:  # few training perturbations have few dimensions
            learned[f"{name} refused"] = str(error)
            continue
        for part, array in predictor.arrays().items():
            learned[f"{name}: {part}"] = (array.shape, array.tobytes())
        for asked in fold.test:
            answer = predictor.predict(asked, INDEX.find(asked), LEVEL)
            values = (in_bytes(v) for v in (answer.effect, answer.lower, answer.upper))
            learned[f"{name} for {asked}"] = (answer.status, answer.reason, *values)
    return learned


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    batches=st.integers(1, 3),
    kept=st.sampled_from([0.0, 0.3, 0.6, 1.0]),
    adjusted=st.booleans(),
)
def test_held_out_values_change_no_prediction_and_no_interval_by_one_bit(
    seed, batches, kept, adjusted
):
    statistics = random_screen(seed, batches, kept)
    factors = ["batch"] if adjusted else []
    for fold in folds(kfold(NAMES, 3, 1, seed)):
        other = scrambled(statistics, not_among(statistics, fold.train), seed + 1)
        before = all_that_is_learned(experiment(statistics, factors), fold)
        after = all_that_is_learned(experiment(other, factors), fold)
        assert before == after


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 2**32 - 1), batches=st.integers(1, 2), adjusted=st.booleans())
def test_no_value_of_a_held_out_context_not_even_of_its_control_changes_what_is_learned(
    seed, batches, adjusted
):
    statistics = random_screen(seed, batches, contexts=CONTEXTS)
    factors = ["batch", "line"] if adjusted else []
    splits = leave_context_out(dict.fromkeys(CONTEXTS, NAMES), CONTEXTS[:2])
    for fold in folds(splits):
        held_out = (statistics.groups["line"] == fold.context).to_numpy()
        other = scrambled(statistics, held_out, seed + 1)
        before = all_that_is_learned(experiment(statistics, factors, "line"), fold)
        after = all_that_is_learned(experiment(other, factors, "line"), fold)
        assert before == after
        assert "training" in before


# Embeddings that are made from the samples of training, whatever the effects are adjusted for.
OF_SAMPLES = {
    "pca_unadjusted": {"gene_embedding": "pca_unadjusted"},
    **{
        f"lmf {codes}": {
            "gene_embedding": "lmf",
            "mixed_forms": {"dimensions": 3, "codes": codes, "sweeps": 40},
        }
        for codes in ("free", "constrained")
    },
}
FIXED = {"dimensions": 2, "penalty": 0.1, "mean_weight": 0.5, "on_target": True}


def learned_from_samples(statistics, fold, settings, factors=("batch",)):
    """Samples of training, the fitted model and its answers, as bytes."""
    screen = Experiment(statistics, INDEX, list(factors), strata=["batch"])
    training, _ = training_set(screen, fold)
    predictor = fit_predictor("linear", training, {**settings, **FIXED})
    samples = training.samples
    learned = {
        "samples": (in_bytes(samples.profiles), in_bytes(samples.cells), *samples.perturbations),
        "levels": {name: level.tolist() for name, level in samples.levels.items()},
        **{name: (array.shape, array.tobytes()) for name, array in predictor.arrays().items()},
    }
    for asked in fold.test:
        answer = predictor.predict(asked, INDEX.find(asked), LEVEL)
        assert np.isfinite(answer.effect).all()
        assert (answer.lower <= answer.upper).all()
        values = (in_bytes(v) for v in (answer.effect, answer.lower, answer.upper))
        learned[f"answer for {asked}"] = (answer.status, *values)
    return learned


@pytest.mark.parametrize("name", OF_SAMPLES)
@pytest.mark.parametrize(("batches", "adjusted"), [(2, True), (3, True), (2, False)])
def test_held_out_samples_change_no_embedding_and_no_prediction_by_one_bit(name, batches, adjusted):
    statistics = random_screen(batches, batches, kept=0.8)
    factors = ["batch"] if adjusted else []
    for fold in folds(kfold(NAMES, 3, 1, seed=batches)):
        other = scrambled(statistics, not_among(statistics, fold.train), seed=7)
        before, after = (
            learned_from_samples(values, fold, OF_SAMPLES[name], factors)
            for values in (statistics, other)
        )
        assert before == after
        assert set(before["samples"][2:]) == {CONTROL, *fold.train}
        assert set(before["levels"]) == {"batch"}


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_what_is_known_of_samples_does_change_the_embedding(name):
    """Also what pools to the same: shifts of batches reach mixed forms alone."""
    statistics = random_screen(2, 2)
    fold = next(folds(kfold(NAMES, 3, 1, seed=2)))
    other = scrambled(statistics, not_among(statistics, fold.train[1:]), seed=7)
    before, after = (
        learned_from_samples(values, fold, OF_SAMPLES[name]) for values in (statistics, other)
    )
    assert before["gene_embedding"] != after["gene_embedding"]
    for asked in fold.test:
        assert before[f"answer for {asked}"] != after[f"answer for {asked}"]


def test_what_only_held_out_perturbations_connect_leaves_the_samples_too():
    statistics = chained_screen()
    screen = Experiment(statistics, INDEX, ["batch"], strata=["batch"])
    training, left_out = training_set(screen, Fold(1, 1, ["B", "C"], ["A"]))
    assert set(left_out) == {"B"}
    assert set(training.samples.perturbations) == {CONTROL, "C"}
    assert training.samples.levels == {}  # one batch is left, which is no factor
    np.testing.assert_array_equal(training.control, statistics.control)


def test_samples_of_a_fold_are_told_apart_by_all_strata_and_carry_the_design():
    statistics = random_screen(3, batches=2, contexts=CONTEXTS)
    screen = Experiment(statistics, INDEX, ["batch"], strata=["batch", "line"])
    training, _ = training_set(screen, Fold(1, 1, ["G0", "G4"], ["G7"]))
    samples = training.samples
    assert list(samples.levels) == ["batch", "line"]
    kept = statistics.groups["perturbation"].isin([CONTROL, "G0", "G4"])
    assert len(samples.cells) == kept.sum()
    assert training.design.rows == samples.cells.sum()
    assert training.design.columns == 1 + 2 + (2 * len(CONTEXTS) - 1)


def test_the_leak_test_sees_the_leak_of_a_joint_estimate():
    """With effects of all perturbations estimated together, the same scrambling does reach the
    training effects, through the batch terms."""
    statistics = random_screen(1, batches=2)
    fold = next(folds(kfold(NAMES, 3, 1, seed=1)))
    other = scrambled(statistics, not_among(statistics, fold.train), seed=2)

    def joint(values):
        found = estimate_effects(values, ["batch"])
        return found.effect[[found.perturbations.index(name) for name in fold.train]]

    assert np.abs(joint(statistics) - joint(other)).max() > 0.1
    before, after = (
        all_that_is_learned(experiment(values, ["batch"]), fold) for values in (statistics, other)
    )
    assert before == after


def test_the_leak_test_sees_a_change_of_what_is_known():
    statistics = random_screen(1, batches=2)
    fold = next(folds(kfold(NAMES, 3, 1, seed=1)))
    other = scrambled(statistics, not_among(statistics, fold.train[1:]), seed=2)
    before = all_that_is_learned(experiment(statistics, ["batch"]), fold)
    after = all_that_is_learned(experiment(other, ["batch"]), fold)
    assert before["training"] != after["training"]
    for name in ("lgem", "paper", "mean"):
        assert any(before[key] != after[key] for key in before if key.startswith(f"{name} for "))


def test_the_leak_test_sees_a_change_of_another_context():
    statistics = random_screen(1, batches=1, contexts=CONTEXTS)
    fold = next(folds(leave_context_out(dict.fromkeys(CONTEXTS, NAMES), None)))
    elsewhere = (statistics.groups["line"] == CONTEXTS[1]).to_numpy()
    before, after = (
        all_that_is_learned(experiment(values, ["line"], "line"), fold)
        for values in (statistics, scrambled(statistics, elsewhere, seed=2))
    )
    assert before["training"] != after["training"]
    assert before["same_effect for G0"] != after["same_effect for G0"]


# Training sets


def test_a_training_set_holds_the_effects_of_its_own_perturbations():
    statistics = random_screen(3, batches=2)
    train = ["G4", "X1", "G0+G4"]
    training, left_out = training_set(experiment(statistics, ["batch"]), Fold(1, 1, train, []))
    alone = estimate_effects(statistics.only(train), ["batch"])
    assert training.perturbations == alone.perturbations == sorted(train)
    np.testing.assert_array_equal(training.effects, alone.effect.T)
    np.testing.assert_array_equal(training.se, alone.se.T)
    assert training.effects.shape == (len(GENES), 3)
    assert [target.rows for target in training.targets] == [(0, 4), (4,), None]
    assert left_out == {}


def test_a_training_set_without_a_context_is_that_of_the_other_contexts_alone():
    statistics = random_screen(3, batches=2, contexts=CONTEXTS)
    kept = (statistics.groups["line"] != "K562").to_numpy()
    others = GroupStatistics(
        statistics.groups[kept].reset_index(drop=True),
        statistics.mean[kept],
        statistics.variance[kept],
    )
    fold = Fold(1, 2, ["G0", "G4"], ["G0"], context="K562")
    training, _ = training_set(experiment(statistics, ["batch", "line"], "line"), fold)
    expected, _ = training_set(experiment(others, ["batch", "line"]), Fold(1, 2, fold.train, []))
    np.testing.assert_array_equal(training.effects, expected.effects)
    np.testing.assert_array_equal(training.control, expected.control)
    np.testing.assert_array_equal(training.control, others.control)


def test_a_targets_own_change_is_a_share_of_its_expression_or_on_log_ratios_a_constant():
    statistics = random_screen(3, batches=1)
    fold = Fold(1, 1, NAMES, [])
    control = statistics.control
    [share] = training_set(Experiment(statistics, INDEX, []), fold)[0].own_scales
    np.testing.assert_array_equal(share, control)
    profiles = Experiment(statistics, INDEX, [], from_no_expression=False)
    ones, share = training_set(profiles, fold)[0].own_scales
    assert (ones == 1).all()
    np.testing.assert_array_equal(share, control)
    ratios = GroupStatistics(statistics.groups, statistics.mean - 5, statistics.variance)
    ratios = Experiment(ratios, INDEX, [], from_no_expression=False)
    [ones] = training_set(ratios, fold)[0].own_scales
    assert (ones == 1).all()


@pytest.mark.parametrize("name", LAYOUT.models)
@pytest.mark.parametrize("train", [["G0"], ["G0", "G0+G4"]], ids="+".join)
def test_where_nothing_can_be_left_out_of_training_a_model_still_answers(name, train):
    screen = experiment(random_screen(3, batches=1))
    training, _ = training_set(screen, Fold(1, 1, train, ["G7"]))
    answer = fitted(name, training).predict("G7", INDEX.find("G7"), LEVEL)
    assert (answer.effect is None) == (answer.status == NOT_APPLICABLE)
    if answer.effect is not None:
        assert np.isfinite(answer.effect).all()
        assert answer.lower is None or np.isnan(answer.lower).all() or len(train) > 1


def chained_screen():
    """Control and C only in lane 1, B only in lane 2, and A in both: A connects B with control."""
    groups = pd.DataFrame(
        [(CONTROL, 1), ("C", 1), ("A", 1), ("A", 2), ("B", 2)], columns=["perturbation", "batch"]
    )
    groups["n_cells"] = 20
    values = np.random.default_rng(1).gamma(2.0, size=(5, len(GENES)))
    return GroupStatistics(groups, values, np.ones_like(values))


def test_what_only_held_out_perturbations_connect_leaves_training_with_a_reason():
    screen = experiment(chained_screen(), ["batch"])
    everything, nothing = training_set(screen, Fold(1, 1, ["A", "B", "C"], []))
    assert (everything.perturbations, nothing) == (["A", "B", "C"], {})
    training, left_out = training_set(screen, Fold(1, 1, ["B", "C"], ["A"]))
    assert training.perturbations == ["C"]
    assert left_out == {"B": "not connected with control through batch"}


def test_a_fold_in_which_no_effect_can_be_estimated_is_named():
    with pytest.raises(InputError) as error:
        training_set(experiment(chained_screen(), ["batch"]), Fold(1, 1, ["B"], ["A"]))
    assert str(error.value).startswith(
        "splits: the fold that trains on B: found none of them connected with control through batch"
    )


# Contexts


def test_a_context_has_the_perturbations_with_enough_cells_there():
    statistics = random_screen(4, batches=1, contexts=CONTEXTS)
    groups = statistics.groups
    groups["n_cells"] = np.where(groups["line"] == "K562", 5, 20)
    groups.loc[(groups["perturbation"] == "G0") & (groups["line"] == "K562"), "n_cells"] = 9
    screen = experiment(statistics, ["line"], "line")
    found = contexts_of(screen, NAMES[:3], 10)
    assert found == {"A549": NAMES[:3], "K562": [], "MCF7": NAMES[:3]}
    assert contexts_of(screen, NAMES[:3], 9) == dict.fromkeys(CONTEXTS, NAMES[:3]) | {
        "K562": ["G0"]
    }
    assert contexts_of(screen, NAMES[:3], 1) == dict.fromkeys(CONTEXTS, NAMES[:3])


def test_a_context_without_control_cannot_be_held_out():
    statistics = random_screen(4, batches=1, contexts=CONTEXTS)
    rows = (statistics.groups["line"] == "MCF7") & (statistics.groups["perturbation"] == CONTROL)
    kept = ~rows.to_numpy()
    statistics = GroupStatistics(
        statistics.groups[kept].reset_index(drop=True),
        statistics.mean[kept],
        statistics.variance[kept],
    )
    found = contexts_of(experiment(statistics, ["line"], "line"), NAMES, 1)
    assert found == {"A549": sorted(NAMES), "K562": sorted(NAMES), "MCF7": []}


def test_cells_without_a_context_are_none_to_hold_out():
    statistics = random_screen(4, batches=1, contexts=CONTEXTS)
    statistics.groups["line"] = statistics.groups["line"].replace("K562", "-")
    found = contexts_of(experiment(statistics, ["line"], "line"), NAMES, 1)
    assert found == {"A549": sorted(NAMES), "MCF7": sorted(NAMES)}


def test_what_batches_do_not_connect_with_control_within_a_context_is_not_tested_there():
    statistics = random_screen(4, batches=1, contexts=CONTEXTS)
    groups = statistics.groups
    groups.loc[(groups["perturbation"] == "G4") & (groups["line"] == "K562"), "batch"] = "apart"
    found = contexts_of(experiment(statistics, ["batch", "line"], "line"), NAMES, 1)
    assert found["K562"] == sorted({*NAMES} - {"G4"})
    assert found["A549"] == found["MCF7"] == sorted(NAMES)


# Folds of a table


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
        assert fold.context == ""


def test_folds_carry_the_context_that_is_held_out():
    held_out = folds(leave_context_out({line: ["G0", "G0+G4"] for line in CONTEXTS}, None))
    for context, fold in zip(CONTEXTS, held_out, strict=True):
        assert fold.context == context
        assert fold.train == fold.test == ["G0", "G0+G4"]
