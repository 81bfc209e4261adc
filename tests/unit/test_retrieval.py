"""Retrieval: how high a prediction ranks its own truth among those it is to be told from."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lgem.prediction.retrieval import comparisons, normalised_ranks, retrieval

seeds = st.integers(0, 2**32 - 1)


def brute_force(predicted, truths, own):
    """How many others lie further away than the own truth, halves for ties."""
    ranks = []
    for profile, right in zip(predicted, own, strict=True):
        distances = [float(np.linalg.norm(profile - truth)) for truth in truths]
        others = [d for k, d in enumerate(distances) if k != right]
        above = sum(d > distances[right] + 1e-9 for d in others)
        same = sum(abs(d - distances[right]) <= 1e-9 for d in others)
        ranks.append((above + same / 2) / len(others))
    return ranks


@settings(deadline=None, max_examples=80)
@given(
    truths=arrays(
        float,
        st.tuples(st.integers(2, 9), st.integers(1, 4)),
        elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
    ),
    seed=seeds,
)
def test_ranks_equal_brute_force_with_ties(truths, seed):
    rng = np.random.default_rng(seed)
    predicted = rng.choice([-1.0, 0.0, 0.5, 2.0], size=(5, truths.shape[1]))
    own = rng.integers(len(truths), size=5)
    found = normalised_ranks(predicted, truths, own)
    np.testing.assert_allclose(found, brute_force(predicted, truths, own), atol=1e-12)


def test_the_truth_itself_ranks_first_and_one_prediction_for_all_is_chance():
    truths = np.random.default_rng(1).normal(size=(20, 30))
    assert (normalised_ranks(truths, truths, np.arange(20)) == 1).all()
    same = np.repeat(truths.mean(axis=0, keepdims=True), 20, axis=0)
    assert normalised_ranks(same, truths, np.arange(20)).mean() == pytest.approx(0.5)
    assert (normalised_ranks(truths[:2], np.ones((2, 30)), [0, 1]) == 0.5).all()


def test_predictions_under_permuted_labels_are_at_chance():
    rng = np.random.default_rng(1)
    truths = rng.normal(size=(12, 5))
    means = [
        normalised_ranks(truths[rng.permutation(12)], truths, np.arange(12)).mean()
        for _ in range(400)
    ]
    assert np.mean(means) == pytest.approx(0.5, abs=4 * np.std(means) / 20)


@settings(deadline=None, max_examples=30)
@given(seed=seeds, scale=st.floats(0.1, 10))
def test_ranks_do_not_depend_on_order_level_or_unit(seed, scale):
    rng = np.random.default_rng(seed)
    predicted, truths = rng.normal(size=(2, 8, 6))
    found = normalised_ranks(predicted, truths, np.arange(8))
    order = rng.permutation(8)
    again = normalised_ranks(scale * predicted + 3, scale * truths[order] + 3, np.argsort(order))
    np.testing.assert_array_equal(found, again)


def folds_of(*keys):
    return pd.DataFrame(keys, columns=["repeat", "fold"]).astype("Int64")


def test_truths_are_told_apart_within_a_fold_or_across_when_one_at_a_time_is_held_out():
    by_fold = comparisons(folds_of((1, 1), (1, 2), (1, 1), (2, 1), (None, None)))
    assert [list(rows) for rows in by_fold] == [[0, 2], [1], [3]]
    one_out = comparisons(folds_of((1, 1), (1, 2), (2, 2), (2, 1)))
    assert [list(rows) for rows in one_out] == [[0, 1], [2, 3]]
    assert [list(rows) for rows in comparisons(folds_of((None, None), (None, None)))] == [[0, 1]]


def test_retrieval_scores_the_targets_of_all_candidates_or_of_none():
    made = np.array([True, False, True, True, True])
    targets, fold = [[7], [0, 6], [], [1], [2]], [1, 1, 1, 2, 2]
    rng = np.random.default_rng(1)
    control = rng.gamma(2.0, size=8)
    predicted, observed = rng.gamma(2.0, size=(2, 5, 8))
    entries = folds_of(*((1, number) for number in fold))
    rule = {"with": True, "without": False}
    top = np.arange(4)
    found = retrieval(entries, predicted, observed, control, made, rule, targets, top)
    sets = {
        ("with", 1): [0, 1, 2, 3, 6, 7],
        ("without", 1): [1, 2, 3],
        ("with", 2): [0, 1, 2, 3],
        ("without", 2): [0, 3],
    }
    for (gene_set, number), genes in sets.items():
        candidates = [row for row in range(5) if fold[row] == number]
        truths = observed[np.ix_(candidates, genes)]
        for own, row in enumerate(candidates):
            value, reason = found[gene_set][row]
            if made[row]:
                expected = brute_force(predicted[row][None, genes], truths, [own])
                assert (value, reason) == (pytest.approx(expected[0]), "")
            else:
                assert np.isnan(value)


def test_retrieval_says_why_there_is_none():
    profiles, rule = np.arange(6.0).reshape(3, 2), {"without": False}
    entries = folds_of((1, 1), (1, 1), (1, 2))
    made, targets = np.ones(3, dtype=bool), [[0], [1], []]
    found = retrieval(entries, profiles, profiles, np.zeros(2), made, rule, targets, np.arange(2))[
        "without"
    ]
    assert np.isnan([value for value, _ in found]).all()
    assert [reason for _, reason in found] == [
        *["no gene to score beside the targets of all that are held out together"] * 2,
        "no other held-out perturbation to tell it from",
    ]
