"""Prediction intervals against the textbook definition, and how often they hold the truth."""

import numpy as np
import pytest

from lgem.prediction.embedding import GeneEmbedding, PerturbationEmbedding, random_genes
from lgem.prediction.intervals import (
    LeftOut,
    effect_sizes,
    fewest_residuals,
    interval_method,
    jackknife_plus,
)
from lgem.prediction.linear import Parameters, Specification
from lgem.prediction.model import fit_predictor
from lgem.prediction.training import Training
from lgem.prediction.tuning import left_out_sets
from lgem.screen.labels import Target
from tests.unit.model_cases import INDEX, bilinear_screen, part_of, remaining, slow_model, training


def textbook(centres, residuals, level):
    """The ⌊α(n+1)⌋-th smallest of μ − |r|, the ⌈(1−α)(n+1)⌉-th smallest of μ + |r|, by loops."""
    pairs = [(c, r) for c, r in zip(centres, residuals, strict=True) if not np.isnan(r)]
    n, α = len(pairs), round(1 - level, 9)
    below, above = 0, 0
    while (below + 1) <= α * (n + 1) + 1e-9:
        below += 1
    while above < (1 - α) * (n + 1) - 1e-9:
        above += 1
    if below < 1 or above > n:
        return np.nan, np.nan
    return sorted(c - r for c, r in pairs)[below - 1], sorted(c + r for c, r in pairs)[above - 1]


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [1, 2, 4, 8, 9, 10, 18, 19, 20, 39, 50])
def test_bounds_are_those_of_the_textbook(count, level):
    rng = np.random.default_rng(count)
    centres, residuals = rng.normal(size=(20, count)), np.abs(rng.normal(size=(20, count)))
    residuals[rng.random(size=residuals.shape) < 0.15] = np.nan
    lower, upper = jackknife_plus(centres, residuals, level)
    expected = np.array([textbook(c, r, level) for c, r in zip(centres, residuals, strict=True)]).T
    np.testing.assert_array_equal(lower, expected[0])
    np.testing.assert_array_equal(upper, expected[1])


def test_nine_residuals_are_enough_at_ninety_percent_and_eight_are_not():
    assert [fewest_residuals(level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]
    for level in (0.5, 0.8, 0.9, 0.95, 0.99):
        fewest = fewest_residuals(level)
        for count in (fewest - 1, fewest):
            lower, upper = jackknife_plus(np.zeros((1, count)), np.ones((1, count)), level)
            assert np.isfinite([lower, upper]).all() == (count == fewest)


def test_without_residuals_there_are_no_bounds():
    for residuals in (np.zeros((3, 0)), np.full((3, 12), np.nan)):
        lower, upper = jackknife_plus(np.zeros(residuals.shape), residuals, 0.9)
        assert lower.shape == upper.shape == (3,)
        assert np.isnan([lower, upper]).all()


@pytest.mark.parametrize(
    ("residuals", "method", "reason"),
    [
        (0, "none", "0 residuals, at least 9 needed at level 0.9"),
        (8, "none", "8 residuals, at least 9 needed at level 0.9"),
        (9, "jackknife+", ""),
        (200, "jackknife+", ""),
        (201, "cv+", ""),
    ],
)
def test_the_method_is_named_and_so_is_the_reason_for_none(residuals, method, reason):
    assert interval_method(residuals, 0.9) == (method, reason)


def sources(source, perturbations):
    rng = np.random.default_rng(5)
    G = {
        "random": random_genes(30, 9, 1),
        "file": GeneEmbedding("file", rng.normal(size=(30, 4))),
    }.get(source, GeneEmbedding(source))
    table = {f"G{k}": rng.normal(size=3) for k in range(30) if k != 8}
    given = table if perturbations in ("file", "dataset") else {}
    return G, PerturbationEmbedding(perturbations, given, seed=3)


SOURCES = [
    *(("pca", "target"), ("pca_expression", "target"), ("random", "target"), ("file", "target")),
    *(("identity", "pca"), ("random", "pca"), ("pca", "random"), ("identity", "file")),
    *(("file", "file"), ("pca", "dataset")),
]
MANY = [f"G{k}" for k in range(18)] + ["X1", "G3+G8"]


def slow_fits(known, specification, parameters):
    """What predicts without each of the training perturbations, refitted in gene space."""
    return {
        k: slow_model(
            part_of(known, remaining(known.perturbations, left_out)), specification, parameters
        )
        for _, left_out in left_out_sets(known.perturbations)
        for k in left_out
    }


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("solver", ["tikhonov", "ridge"])
@pytest.mark.parametrize(("gene", "perturbation"), SOURCES)
def test_bounds_are_those_of_refitting_everything_in_gene_space(gene, perturbation, solver, masked):
    known = training(MANY)
    known = known.masked() if masked else known
    specification = Specification(*sources(gene, perturbation), solver)
    parameters = Parameters(0.6, 3, 0.3)
    found = LeftOut.of(known, specification, parameters, masked)
    fits = slow_fits(known, specification, parameters)
    pairs = list(zip(known.perturbations, known.targets, strict=True))
    residuals = np.array([np.abs(known.effects[:, k] - fits[k](*pairs[k])) for k in fits]).T
    if masked:
        for column, (_, target) in enumerate(pairs):
            residuals[list(target.rows or ()), column] = np.nan
    np.testing.assert_allclose(found.residuals, residuals, atol=1e-10)
    for name in ("G25", "G25+G5", "G8", "X1"):
        target = INDEX.find(name)
        centres = np.array([fits[k](name, target) for k in fits]).T
        expected = jackknife_plus(centres, residuals, 0.9)
        bounds = found.bounds(name, target, specification.perturbations, 3, 0.9)
        np.testing.assert_allclose(bounds, expected, atol=1e-10)
        assert np.isfinite(expected).all()


def test_in_gene_space_the_same():
    known = training([f"G{k}" for k in range(29)])  # as many coordinates as genes: no basis
    specification = Specification(*sources("pca_expression", "target"), "tikhonov")
    parameters = Parameters(0.6, 3, 0.3)
    found = LeftOut.of(known, specification, parameters, False)
    assert found.basis is None
    fits = slow_fits(known, specification, parameters)
    centres = np.array([fits[k]("G29", Target((29,))) for k in fits]).T
    expected = jackknife_plus(centres, found.residuals, 0.9)
    bounds = found.bounds("G29", Target((29,)), specification.perturbations, 3, 0.9)
    np.testing.assert_allclose(bounds, expected, atol=1e-10)


def test_the_model_answers_with_these_bounds_around_its_effect():
    known = bilinear_screen(40, 25, 2)
    predictor = fit_predictor("linear", known, {})
    answer = predictor.predict("G30", Target((30,)), 0.9)
    assert answer.lower.shape == answer.upper.shape == (40,)
    assert np.mean((answer.lower < answer.effect) & (answer.effect < answer.upper)) > 0.95
    assert predictor.interval(0.9) == ("jackknife+", "")
    assert predictor.residuals == 25
    narrow = predictor.predict("G30", Target((30,)), 0.5)
    assert (narrow.upper - narrow.lower < answer.upper - answer.lower).all()
    without = predictor.predict("G30", Target((30,)))
    assert without.lower is None
    np.testing.assert_array_equal(without.effect, answer.effect)


def test_too_few_training_perturbations_give_no_bounds_and_say_so():
    predictor = fit_predictor("linear", bilinear_screen(40, 8, 2), {})
    assert predictor.interval(0.9) == ("none", "8 residuals, at least 9 needed at level 0.9")
    answer = predictor.predict("G30", Target((30,)), 0.9)
    assert np.isnan([answer.lower, answer.upper]).all()
    assert np.isfinite(answer.effect).all()


def tabled_screen(perturbations, seed, genes=30):
    """Effects B z + noise of perturbations with known vectors z; no gene is a target."""
    rng = np.random.default_rng(seed)
    B, Z = rng.normal(size=(genes, 3)), rng.normal(size=(perturbations, 3))
    # Some genes are noisier than others, and some perturbations.
    noise = rng.uniform(0.2, 2, size=(genes, 1)) * rng.standard_t(5, size=(genes, perturbations))
    names = [f"p{k}" for k in range(perturbations)]
    known = Training(B @ Z.T + noise, np.ones(genes), names, [Target(None, "none")] * perturbations)
    return known, PerturbationEmbedding("file", dict(zip(names, Z, strict=True)))


@pytest.mark.parametrize(
    ("count", "seeds", "method"), [(19, 8, "jackknife+"), (39, 5, "jackknife+"), (210, 1, "cv+")]
)
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_hold_the_truth_about_as_often_as_they_say(count, seeds, method, level):
    # With 19 or 39 residuals the ranks need no rounding, which would only widen the intervals.
    settings = {"gene_embedding": "identity", "solver": "pinv", "mean_weight": 0.0}
    hits = []
    for seed in range(seeds):
        everything, embedding = tabled_screen(count + 200 // seeds, seed)
        known = part_of(everything, list(range(count)))
        predictor = fit_predictor("linear", known, settings, None, embedding)
        assert predictor.interval(level) == (method, "")
        for column in range(count, len(everything.perturbations)):
            name = everything.perturbations[column]
            answer = predictor.predict(name, Target(None, "none"), level)
            truth = everything.effects[:, column]
            hits.append((answer.lower <= truth) & (truth <= answer.upper))
    assert len(hits) == 200
    assert level - 0.05 <= np.mean(hits) <= level + 0.05


def test_intervals_off_target_hold_the_truth_where_the_targets_are_looked_up():
    hits = []
    for seed in range(4):
        everything = bilinear_screen(90, 80, seed, own=-0.6, noise=0.5)
        known = part_of(everything, list(range(30)))
        predictor = fit_predictor(
            "linear", known, {"on_target": True, "dimensions": 2, "mean_weight": 0.0}
        )
        for column in range(30, 80):
            target = everything.targets[column]
            answer = predictor.predict(everything.perturbations[column], target, 0.9)
            truth = everything.effects[:, column]
            hits.append(np.delete((answer.lower <= truth) & (truth <= answer.upper), target.rows))
    assert 0.85 <= np.mean(hits) <= 0.95


def test_of_more_than_four_hundred_residuals_some_are_kept_at_random():
    known, embedding = tabled_screen(430, 1, genes=8)
    specification = Specification(GeneEmbedding("identity"), embedding, "pinv")
    found = LeftOut.of(known, specification, Parameters(0.0, 3, 0.0), False)
    assert found.residuals.shape == (8, 400)
    assert found.fold.shape == (400,)
    assert found.sizes.shape == (3, 400)
    assert len(found.bias) == 10
    assert set(found.fold) == set(range(10))
    # Each kept residual still belongs to the fit that left it out.
    every = np.concatenate([part for _, part in left_out_sets(known.perturbations)])
    picked = np.sort(np.random.default_rng(430).permutation(430)[:400])
    for at in (0, 117, 399):
        column, fit = every[picked[at]], found.fold[at]
        predicted = found.bias[fit] + found.loadings[fit] @ embedding.table[f"p{column}"]
        predicted = predicted if found.basis is None else found.basis @ predicted
        np.testing.assert_allclose(
            found.residuals[:, at], np.abs(known.effects[:, column] - predicted), atol=1e-12
        )
    assert found.thinned() is found
    again = LeftOut.of(known, specification, Parameters(0.0, 3, 0.0), False)
    np.testing.assert_array_equal(again.residuals, found.residuals)


def test_sizes_are_lengths_off_target_without_the_noise_of_what_was_observed():
    predicted, observed = np.array([3.0, 4, 100]), np.array([0.0, 13, 100])
    assert effect_sizes(predicted, observed, None, [2]) == (5, 13)
    se = np.array([3.0, 4, 50])
    assert effect_sizes(predicted, observed, se, [2]) == (5, 12)
    assert effect_sizes(predicted, observed, np.array([np.nan, 5, 0]), [2]) == (5, 12)
    assert effect_sizes(predicted, observed, 10 * se, [2]) == (5, 0)
    assert effect_sizes(predicted, observed, None, [0, 1, 2]) == (0, 0)


def test_left_out_sizes_belong_to_the_training_perturbations_in_turn():
    known = training(MANY)
    specification = Specification(*sources("pca", "target"), "tikhonov")
    parameters = Parameters(0.6, 3, 0.3)
    found = LeftOut.of(known, specification, parameters, False)
    fits = slow_fits(known, specification, parameters)
    for k, (name, target) in enumerate(zip(known.perturbations, known.targets, strict=True)):
        elsewhere = np.delete(np.arange(30), list(target.rows or ()))
        predicted = np.linalg.norm(fits[k](name, target)[elsewhere])
        observed = np.linalg.norm(known.effects[elsewhere, k])
        np.testing.assert_allclose(found.sizes[:, k], [predicted, observed, name != "X1"])
