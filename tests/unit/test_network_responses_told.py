"""Responses foretold by the network: means, paired differences and what is said of them."""

import numpy as np
import pandas as pd
import pytest

from lgem.network.responses import (
    PEARSON,
    SPEARMAN,
    compare_responses,
    headline,
    summarise_responses,
)


def scored(**values):
    """A table of scores with the given values by contender, the same for both metrics."""
    rows = [
        (f"p{k}", f"g{k}", network, metric, number, "" if np.isfinite(number) else "no reason")
        for network, numbers in values.items()
        for k, number in enumerate(numbers)
        for metric in (PEARSON, SPEARMAN)
    ]
    names = ["perturbation", "gene", "network", "metric", "value", "reason"]
    return pd.DataFrame(rows, columns=names)


def test_means_are_of_what_is_scored_and_differences_of_what_both_score():
    table = scored(
        network=[0.5, np.nan, 0.1, 0.3], mean=[0.2, 0.4, np.nan, 0.2], shuffled=[0.0] * 4
    )
    summary = summarise_responses(table, 500, 0.9, 1).set_index(["network", "metric"])
    row = summary.loc[("network", "pearson")]
    assert row["mean"] == pytest.approx(0.3)
    assert (row["n"], row["n_asked"]) == (3, 4)
    assert 0.1 <= row["lower"] < 0.3 < row["upper"] <= 0.5
    found = compare_responses(table, 500, 0.9, 1).set_index(["network", "against", "metric"])
    row = found.loc[("network", "mean", "pearson")]
    assert (row["n"], row["mean"], row["mean_against"]) == (2, 0.4, 0.2)
    assert row["difference"] == pytest.approx(0.2)
    assert row["lower"] == pytest.approx(0.1)
    assert row["upper"] == pytest.approx(0.3)


def test_intervals_are_percentiles_of_resampled_means_and_keep_their_seed():
    numbers = np.random.default_rng(19).normal(0.2, 0.3, 40)
    table = scored(network=numbers, mean=numbers - 0.1, shuffled=numbers)
    summary = summarise_responses(table, 4000, 0.9, 1).set_index(["network", "metric"])
    row = summary.loc[("network", "pearson")]
    spread = 1.645 * numbers.std() / np.sqrt(40)
    assert row["lower"] == pytest.approx(numbers.mean() - spread, abs=0.02)
    assert row["upper"] == pytest.approx(numbers.mean() + spread, abs=0.02)
    pd.testing.assert_frame_equal(
        summarise_responses(table, 50, 0.9, 1), summarise_responses(table, 50, 0.9, 1)
    )
    other = summarise_responses(table, 50, 0.9, 2)
    assert not other["lower"].equals(summarise_responses(table, 50, 0.9, 1)["lower"])
    # A difference that is the same everywhere has no width, however wide both contenders are.
    found = compare_responses(table, 50, 0.9, 1).set_index(["network", "against", "metric"])
    row = found.loc[("network", "mean", "pearson")]
    assert (row["lower"], row["upper"]) == pytest.approx((0.1, 0.1))


def told(table):
    return headline(table, compare_responses(table, 200, 0.9, 1), 0.9)


def test_where_the_mean_wins_the_sentence_says_so_first():
    sentence = told(
        scored(network=[0.2, 0.1, 0.3], mean=[0.6, 0.5, 0.7], shuffled=[-0.0, -0.1, 0.1])
    )
    assert sentence == (
        "The mean effect of the other perturbations predicts responses better than the network: "
        "Pearson correlation off target 0.20 for the network against 0.60 on 3 of "
        "3 perturbations (difference of the network -0.40, 90 % interval -0.40 to -0.40). "
        "The network predicts responses better than the covariance with other targets: Pearson "
        "correlation off target 0.20 for the network against 0.00 on 3 of 3 perturbations "
        "(difference of the network +0.20, 90 % interval +0.20 to +0.20)."
    )


def test_a_win_is_told_and_what_was_left_out_and_what_updates_add():
    sentence = told(
        scored(
            network=[0.6, 0.5, np.nan],
            updated=[0.8, 0.7, np.nan],
            mean=[0.1, 0.2, 0.1],
            shuffled=[0.7, 0.9, 0.0],
        )
    )
    # It loses against other targets, and that comes first.
    assert sentence.startswith(
        "The covariance with other targets predicts responses better than the network"
    )
    assert "The network predicts responses better than the mean effect" in sentence
    assert (
        "After its updates the network reaches 0.75 (+0.20); what updated it may know" in sentence
    )
    assert sentence.endswith("Not scored: no reason: 1.")


def test_what_cannot_be_told_apart_is_called_so_with_several_or_with_one():
    several = told(scored(network=[0.1, 0.3], mean=[0.3, 0.1], shuffled=[0.3, 0.1]))
    assert several.startswith("The network and the mean effect of the other perturbations cannot")
    one = told(scored(network=[0.9], mean=[0.1], shuffled=[0.1]))
    assert one.startswith("The network and the mean effect of the other perturbations cannot")
    assert "no 90 % interval from one" in one
    assert "nan" not in one
    none = told(scored(network=[0.9], mean=[np.nan], shuffled=[0.1]))
    assert none.startswith("There is nothing to compare with the mean effect")


def test_ranks_are_told_where_they_say_something_else():
    table = scored(network=[0.2, 0.1, 0.3], mean=[0.1, 0.0, 0.2], shuffled=[0.0] * 3)
    assert "Spearman" not in told(table)
    by_rank = (table["metric"] == "spearman") & (table["network"] == "mean")
    table.loc[by_rank, "value"] += 0.5
    sentence = told(table)
    opening, *rest = sentence.split(": ")
    assert opening.startswith("The mean effect of the other perturbations predicts")
    assert rest[0].startswith("Spearman")


def test_a_network_that_has_seen_the_responses_says_so():
    scores = scored(network=[0.6, 0.5], mean=[0.1, 0.2], shuffled=[0.0, 0.1])
    comparisons = compare_responses(scores, 50, 0.9, 1)
    blind, seen = (headline(scores, comparisons, 0.9, blind=blind) for blind in (True, False))
    assert "has seen these responses" in seen
    assert seen.startswith(blind)
