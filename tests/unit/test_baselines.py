"""Baselines that add up or repeat what was seen."""

import numpy as np
import pytest

from lgem.prediction.baselines import Additive, SeenEffects
from lgem.prediction.model import KINDS, fit_predictor
from lgem.prediction.training import ANSWERED, NOT_APPLICABLE, PREDICTED
from tests.unit.model_cases import GENES, INDEX, SINGLES, UNMEASURED, bilinear_screen, training


def predict(predictor, perturbation):
    return predictor.predict(perturbation, INDEX.find(perturbation))


def test_additive_sums_the_effects_of_the_genes_perturbed_alone():
    known = training()
    effect = dict(zip(known.perturbations, known.effects.T, strict=True))
    for double in ("G3+G8", "G11+X2"):
        answer = predict(Additive.fit(known), double)
        assert (answer.status, answer.reason) == (PREDICTED, "")
        first, second = double.split("+")
        np.testing.assert_allclose(answer.effect, effect[first] + effect[second], atol=1e-15)


@pytest.mark.parametrize(
    ("perturbation", "reason"),
    [
        ("G3", "not a combination"),
        ("control", "not a combination"),
        ("G3+G5", "not seen alone in training: G5"),
        ("G5+X9", "not seen alone in training: G5, X9"),
    ],
)
def test_additive_says_why_it_does_not_apply(perturbation, reason):
    answer = predict(Additive.fit(training()), perturbation)
    assert (answer.effect, answer.status, answer.reason) == (None, NOT_APPLICABLE, reason)


def test_additive_learns_from_single_perturbations_alone():
    assert sorted(Additive.fit(training()).effects) == sorted([*SINGLES, *UNMEASURED])
    answer = predict(Additive.fit(training(["G3+G8", "G3+G11"])), "G3+G8")
    assert (answer.status, answer.reason) == (NOT_APPLICABLE, "not seen alone in training: G3, G8")


def test_the_same_effect_is_repeated_where_it_was_seen():
    known = training()
    predictor = SeenEffects.fit(known)
    for column, name in enumerate(known.perturbations):
        answer = predict(predictor, name)
        assert (answer.status, answer.reason) == (PREDICTED, "")
        np.testing.assert_array_equal(answer.effect, known.effects[:, column])
    answer = predict(predictor, "G5")
    assert (answer.effect, answer.status) == (None, NOT_APPLICABLE)
    assert answer.reason == "not seen in training"


@pytest.mark.parametrize("kind", ["additive", "same_effect"])
def test_baselines_have_no_intervals_and_say_so(kind):
    predictor = fit_predictor(kind, training(), {})
    assert predictor.interval(0.9) == ("none", "no left-out residuals for this baseline")
    answer = predictor.predict("G3+G8", INDEX.find("G3+G8"), 0.9)
    assert answer.effect is not None
    assert answer.lower is None
    assert answer.upper is None
    assert predictor.residuals == 0


def test_additive_with_the_on_target_term_changes_both_targets():
    known = bilinear_screen(30, 15, 2, own=-0.7)
    predictor = fit_predictor("additive", known, {"on_target": True})
    answer = predictor.predict("G2+G9", INDEX.find("G2+G9"))
    expected = known.masked().effects[:, [2, 9]].sum(axis=1)
    expected[[2, 9]] = predictor.own.factor * known.control[[2, 9]]
    np.testing.assert_allclose(answer.effect, expected, atol=1e-15)
    assert predictor.in_words() == f"on-target factor {predictor.own.factor:.3g}"
    # The term does not give an answer where the baseline has none.
    assert predictor.predict("G2", INDEX.find("G2")).effect is None


@pytest.mark.parametrize("on_target", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_predictor_gives_either_an_effect_or_a_reason(kind, on_target):
    for known in (training(), training(UNMEASURED), training(["G3+G8", "G5"])):
        predictor = fit_predictor(kind, known, {"on_target": on_target})
        for name in ("G3", "G5", "X9", "G3+G8", "G5+X9"):
            answer = predict(predictor, name)
            if answer.status in ANSWERED:
                assert answer.effect.shape == (len(GENES),)
                assert np.isfinite(answer.effect).all()
                assert (answer.reason == "") == (answer.status == PREDICTED)
            else:
                assert answer.effect is None
                assert answer.reason
