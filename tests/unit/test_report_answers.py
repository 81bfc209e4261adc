"""The first screen of the report: questions answered out of the tables."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from lgem.files import write_table
from lgem.report import answers
from lgem.report.answers import BAD, GOOD, OPEN
from tests.unit import report_cases as cases

NAN = float("nan")


def against(values, told="", scoring=cases.SCORING):
    return answers.against_baselines(cases.metrics(values), scoring, told)


def test_the_cards_of_a_screen_come_in_the_order_of_its_questions(tmp_path):
    files = cases.screen_files(tmp_path)
    asked = [card.question for card in answers.cards(files, cases.SCORING)]
    assert asked == [
        "Which perturbations count?",
        "Does the model beat the baselines?",
        "How far towards the ceiling?",
        "Did the perturbations work?",
        "What to try next?",
        "Is there a network?",
    ]


def test_a_dataset_without_perturbations_is_asked_about_its_network_alone(tmp_path):
    first, second = answers.cards(cases.network_files(tmp_path), cases.SCORING)
    assert (first.answer, first.news) == ("none named", OPEN)
    assert second.answer == "1 edge"
    assert "2 after the updates" in second.words
    assert "Shrinkage 0.90" in second.words


def test_a_network_that_nothing_updates_has_no_afterwards():
    card = answers.edges(cases.statistics(), updated=False)
    assert "updates" not in card.words


def test_those_left_out_are_counted_by_reason():
    metrics = cases.metrics({"mine": [1.0, NAN, NAN]})
    card = answers.asked_and_scored(cases.qc(), metrics, "mine")
    assert card.answer == "1 of 3"
    assert card.words == (
        '3 asked for, 2 estimated, 1 scored. Not scored: fewer than 10: 2, namely A&B, C"d.'
    )
    assert card.news == OPEN


def test_those_predicted_by_the_mean_alone_are_named_as_such():
    metrics = cases.metrics({"mine": [1.0, 1.0, 1.0]})
    metrics.loc[0, ["status", "reason"]] = ["mean_only", "target not measured"]
    card = answers.asked_and_scored(cases.qc(), metrics, "mine")
    assert card.answer == "3 of 3, 1 by the mean"
    assert "3 scored, 1 of these by the shrunk mean alone (target not measured: 1" in card.words
    assert card.words.endswith(f", namely {cases.HOSTILE}). None left out.")
    assert card.news == OPEN


@pytest.mark.parametrize(
    ("baseline", "answer", "news"),
    [
        ([2.0, 2.2, 2.1], "yes, by 48 %", GOOD),
        ([0.5, 0.6, 0.4], "no: no_change wins", BAD),
        ([0.5, 1.1, 1.9], "cannot be told apart", OPEN),
    ],
)
def test_the_model_wins_or_loses_only_where_the_interval_does(baseline, answer, news):
    card = against({"mine": [1.0, 1.1, 1.2], "no_change": baseline, "random": [3.0, 3.0, 3.0]})
    assert (card.answer, card.news) == (answer, news)


def test_a_baseline_that_answers_for_some_is_not_the_best_one():
    card = against(
        {"mine": [1.0, 1.1, 1.2], "no_change": [2.0, 2.2, 2.1], "additive": [0.1, NAN, NAN]}
    )
    assert "no_change" in card.words
    assert "additive" not in card.words


def test_means_and_interval_are_over_what_all_models_score():
    card = against(
        {"mine": [1.0, 1.1, 9.0], "no_change": [2.0, 2.2, 1.0], "random": [3.0, 3.0, NAN]}
    )
    assert "L2 1.050 for mine, 2.100 for the best baseline" in card.words
    assert "over the 2 perturbations" in card.words


def test_losses_that_the_headline_knows_of_are_no_good_news():
    values = {"mine": [1.0, 1.1, 1.2], "no_change": [2.0, 2.2, 2.1]}
    card = against(values, told="A baseline beats mine in retrieval (no_change 0.6 against 0.5).")
    assert card.news == OPEN
    assert card.words.endswith("a baseline wins: see below.")
    assert "Random embeddings" in against(values, "A random embedding does better than mine").words


def test_without_a_shared_perturbation_nothing_is_claimed():
    card = against({"mine": [1.0, NAN, NAN], "no_change": [NAN, 1.0, NAN]})
    assert (card.answer, card.news) == ("not known", BAD)


def test_the_ceiling_is_told_in_per_cent_or_why_there_is_none():
    assert answers.ceiling(cases.summary(), "mine").answer == "25 %"
    near = answers.ceiling(cases.summary().assign(calibrated=0.75), "mine")
    assert (near.answer, near.news) == ("75 %", GOOD)
    beyond = answers.ceiling(cases.summary().assign(calibrated=2.15), "mine")
    assert (beyond.answer, beyond.news) == ("215 %", OPEN)
    assert "the data cannot tell how much there is to learn" in beyond.words
    little = answers.ceiling(cases.summary().assign(calibrated=1.03), "mine")
    assert (little.answer, little.news) == ("103 %", GOOD)
    for card in (near, little):
        assert "cannot tell" not in card.words
    without = cases.summary().assign(calibrated=NAN, calibrated_reason="no technical duplicate")
    card = answers.ceiling(without, "mine")
    assert card.answer == "no ceiling"
    assert card.words.endswith(": no technical duplicate.")


def means(**of: tuple[float, float | None]) -> pd.DataFrame:
    """The means of models by L2 with and without the target, and where these stand."""
    rows = [
        (model, gene_set, "shared", "l2", mean, 3, place, None)
        for model, (mean, place) in of.items()
        for gene_set in ("top", "top_off_target")
    ]
    return pd.DataFrame(rows, columns=cases.summary().columns)


def test_the_way_to_the_ceiling_counts_from_the_best_baseline():
    table = means(mine=(1.2, 0.6), no_change=(1.1, 0.7), mean=(2.0, 0.0))
    card = answers.ceiling(table, "mine", ["no_change", "mean"])
    assert (card.answer, card.news) == ("60 %", OPEN)
    assert "The best baseline, no_change, stands at 70 %" in card.words
    assert answers.ceiling(table, "mine", ["mean"]).news == GOOD
    assert "more than 100 %" not in card.words
    fewer = table.loc[table["model"] == "mine"].assign(model="technical_duplicate", n=2)
    both = answers.ceiling(pd.concat([table, fewer]), "mine", ["mean"]).words
    assert "Both on the 2 perturbations with a duplicate." in both
    assert "with a duplicate" not in card.words
    assert "more than 100 %" in answers.ceiling(means(mine=(1.0, 1.02)), "mine").words


@pytest.mark.parametrize(("again", "told"), [(1.2, True), (1.0, False)])
def test_effects_below_the_noise_are_told_as_such(again, told):
    table = means(mine=(1.2, 0.6), no_change=(1.1, 0.7), technical_duplicate=(again, 1.0))
    assert ("smaller than the noise" in answers.ceiling(table, "mine").words) is told


def test_what_to_try_next_is_new_and_the_largest_or_not_known():
    screen = pd.DataFrame(
        {
            "target": ["made", "small", "large"],
            "effect_size": [9.0, 1.0, 4.0],
            "lower": [8.0, 0.5, 3.1],
            "upper": [10.0, 2.0, 6.3],
            "in_training": [True, False, False],
            "basis": "bilinear",
        }
    )
    card = answers.next_one(screen, "90 % interval")
    assert card.answer == "large"
    assert "Of 2 perturbations" in card.words
    assert "4.00, 90 % interval 3.10 to 6.30" in card.words
    assert answers.next_one(screen.head(1), "90 % interval").answer == "nothing new"
    assert answers.next_one(screen.assign(basis="mean"), "90 % interval").answer == "not known"


def test_an_edge_is_called_strong_beyond_a_size():
    drawn = pd.DataFrame({"mark": ["bin", "threshold"], "right": [0.3, 0.15]})
    words = answers.edges(cases.statistics(), drawn, updated=True).words
    assert words.startswith("1 strong partial correlation (beyond ±0.15) among 4 genes")


def test_targets_count_as_moved_beyond_the_interval_of_no_change():
    card = answers.on_target(cases.qc())
    assert card.answer == "1 of 2"
    assert "1 lowered, 0 raised" in card.words
    assert card.words.endswith(' it. Left out: 1 perturbation, namely C"d.')
    nothing = cases.qc().assign(on_target_z=NAN)
    assert answers.on_target(nothing).answer == "not known"


def test_every_perturbation_is_counted_once_among_those_that_worked_or_not():
    rows = [("kept", "G1", -5.0), ("kept", None, NAN), ("kept", "G3", NAN), ("left_out", None, NAN)]
    table = pd.DataFrame(rows, columns=["status", "on_target_gene", "on_target_z"])
    card = answers.on_target(table.assign(perturbation=["P1", "P2", "P3", "P4"]))
    assert card.answer == "1 of 1"
    assert card.words.endswith(
        "Not measured: 1 target, namely P2. Measured, but without a test: 1 target, namely P3. "
        "Left out: 1 perturbation, namely P4."
    )


@pytest.mark.parametrize(
    ("low", "high", "news"),
    [(0.1, 0.3, GOOD), (-0.3, -0.1, BAD), (-0.1, 0.3, OPEN), (NAN, NAN, OPEN)],
)
def test_responses_are_foretold_where_the_interval_says_so(low, high, news):
    table = pd.DataFrame(
        {
            "network": ["network"], "against": ["mean"], "metric": ["pearson"], "n": [5],
            "mean": [0.5], "mean_against": [0.3], "difference": [0.2],
            "lower": [low], "upper": [high],
        }
    )  # fmt: skip
    card = answers.foretold(table, "90 % interval")
    assert card.news == news
    assert ("no 90 % interval" in card.words) == math.isnan(low)


def test_predictions_that_are_all_alike_come_with_a_warning(tmp_path):
    path = cases.screen_files(tmp_path)["screen.tsv"]
    assert "(basis: mean) and their order means nothing" in answers.nothing_specific(path)
    path.write_text(path.read_text("utf-8").replace("mean", "mean and bilinear", 1), "utf-8")
    assert answers.nothing_specific(path) == ""


def test_known_edges_are_told_beside_chance():
    rows = [("before", "aupr", 0.4, 0.3, 0.5), ("before", "aupr_ratio", 6.4, 3.8, 12.6)]
    table = pd.DataFrame(rows, columns=["network", "metric", "value", "lower", "upper"])
    card = answers.known_edges(table, "90 % interval")
    assert (card.answer, card.news) == ("6.4 × chance", GOOD)
    assert "(90 % interval 3.8 to 12.6)" in card.words
    table["value"] = NAN
    assert answers.known_edges(table, "90 % interval").answer == "not known"


def test_the_truth_is_told_where_it_is_known(tmp_path):
    files = cases.screen_files(tmp_path)
    rows = [("panel", "predicted_effect", 0.8, 0.7), ("panel", "observed_effect", 0.9, 0.85)]
    drawn = pd.DataFrame(rows, columns=["mark", "what", "r", "r_off_target"])
    files["figures/predicted_against_truth.tsv"] = tmp_path / "truth.tsv"
    write_table(drawn, tmp_path / "truth.tsv")
    found = {card.question: card for card in answers.cards(files, cases.SCORING)}
    assert found["Is the truth recovered?"].answer == "r = 0.80"
    assert "0.90 (off target 0.85)" in found["Is the truth recovered?"].words
