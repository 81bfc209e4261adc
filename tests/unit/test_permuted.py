"""Leaks: labels that are permuted inside training must destroy all skill."""

import numpy as np
import pytest

from lgem.prediction.model import fit_predictor
from lgem.prediction.training import Training
from tests.unit.model_cases import bilinear_screen, part_of

TRAIN, ALL = 32, 48


def permuted(known, seed):
    """The same effects under the names of other perturbations."""
    order = np.random.default_rng(seed).permutation(len(known.perturbations))
    names, targets = known.perturbations, known.targets
    return Training(
        known.effects,
        known.control,
        [names[k] for k in order],
        [targets[k] for k in order],
        known.own_scales,
        known.se,
    )


def errors(predictor, held_out):
    """L2 distance off target of every held-out perturbation."""
    found = []
    for column, (name, target) in enumerate(
        zip(held_out.perturbations, held_out.targets, strict=True)
    ):
        error = held_out.effects[:, column] - predictor.predict(name, target).effect
        error[list(target.rows)] = 0
        found.append(np.linalg.norm(error))
    return np.array(found)


@pytest.mark.parametrize(
    ("settings", "seeds"),
    [
        ({"on_target": True}, 3),
        ({"on_target": False}, 3),
        ({"gene_embedding": "pca_expression", "solver": "ridge"}, 3),
        ({"gene_embedding": "identity", "perturbation_embedding": "pca"}, 3),
        # Nothing is chosen, so that nothing can switch itself off.
        ({"mean_weight": 0.0, "dimensions": 3, "penalty": 0.1}, 20),
        ({"mean_weight": 0.5, "dimensions": 3, "penalty": 0.1, "on_target": True}, 20),
    ],
    ids=str,
)
def test_permuted_labels_all_skill_vanishes(settings, seeds):
    true, shuffled, nothing = [], [], []
    for seed in range(seeds):
        everything = bilinear_screen(50, ALL, seed, own=-0.6, rank=3)
        known = part_of(everything, list(range(TRAIN)))
        held_out = part_of(everything, list(range(TRAIN, ALL)))
        no_change = fit_predictor("linear", known, {"dimensions": 0, "mean_weight": 0.0})
        true.append(errors(fit_predictor("linear", known, settings), held_out).mean())
        wrong = fit_predictor("linear", permuted(known, seed), settings)
        shuffled.append(errors(wrong, held_out).mean())
        nothing.append(errors(no_change, held_out).mean())
    assert np.mean(true) < 0.65 * np.mean(shuffled)
    assert np.mean(true) < 0.65 * np.mean(nothing)
    # All held-out errors of a screen share one fit: screens are what can be averaged over.
    gains = np.subtract(nothing, shuffled)
    assert gains.mean() <= 2 * gains.std(ddof=1) / np.sqrt(seeds)


def test_with_permuted_labels_the_bilinear_part_switches_itself_off():
    bilinear = 0
    for seed in range(6):
        known = part_of(bilinear_screen(50, ALL, seed), list(range(TRAIN)))
        bilinear += fit_predictor("linear", permuted(known, seed), {}).inner.dimensions > 0
        assert fit_predictor("linear", known, {}).inner.dimensions > 0
    assert bilinear <= 2


def test_the_on_target_term_switches_itself_off_with_permuted_labels():
    known = part_of(bilinear_screen(50, ALL, 1, own=-0.6, noise=1), list(range(TRAIN)))
    assert fit_predictor("linear", known, {"on_target": True}).own is not None
    off = [
        fit_predictor("additive", permuted(known, seed), {"on_target": True}).own is None
        for seed in range(20)
    ]
    assert sum(off) >= 12


def test_a_training_perturbation_that_is_left_out_changes_nothing_of_its_own_prediction():
    """Its values shape neither the fits that leave it out nor the predictions of these."""
    known = bilinear_screen(50, 20, 3)
    effects = known.effects.copy()
    effects[:, 7] = 100 * np.random.default_rng(4).normal(size=50)
    other = Training(effects, known.control, known.perturbations, known.targets)
    settings = {"mean_weight": 0.5, "dimensions": 3, "penalty": 0.1}
    fits = [fit_predictor("linear", part, settings).inner.left_out for part in (known, other)]
    predicted = []
    for fit in fits:
        p = np.einsum("r,re->e", fit.basis[7], fit.lookup[7])
        predicted.append(fit.basis @ (fit.bias[7] + fit.loadings[7] @ p))
    np.testing.assert_allclose(predicted[0], predicted[1], atol=1e-10)
