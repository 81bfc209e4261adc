"""The honest choice: the short cuts equal refits of everything, and chance switches nothing on."""

import numpy as np
import pytest

from lgem.prediction import tuning
from lgem.prediction.codes import CONSTRAINED, FREE, FormSettings
from lgem.prediction.embedding import (
    LMF,
    PCA_UNADJUSTED,
    GeneEmbedding,
    PerturbationEmbedding,
    random_genes,
)
from lgem.prediction.intervals import LeftOut
from lgem.prediction.linear import Parameters, Specification
from lgem.prediction.mixed_fit import MONOTONE
from lgem.prediction.model import fit_predictor
from lgem.prediction.space import Columns
from lgem.prediction.training import Training
from lgem.prediction.tuning import BILINEAR, BOTH, MEAN, OFF, Grid, choose, left_out_losses
from lgem.screen.labels import Target
from tests.unit.model_cases import (
    bilinear_screen,
    part_of,
    remaining,
    sampled_training,
    slow_model,
    training,
)


def screen(genes, perturbations, seed=0):
    """Effects with some structure; two targets are not measured, two perturbations are doubles."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=(genes, 4)) @ rng.normal(size=(4, perturbations))
    effects += 0.3 * rng.normal(size=effects.shape)
    singles = perturbations - 2
    names = [f"G{k}" for k in range(singles)] + ["G0+G1", "G1+G4"]
    targets = [Target((k % genes,)) for k in range(singles)] + [Target((0, 1)), Target((1, 4))]
    targets[2:4] = [Target(None, "target not measured")] * 2
    return Training(effects, rng.gamma(2, size=genes), names, targets)


def sources(genes, source, perturbations):
    rng = np.random.default_rng(5)
    G = {
        "random": random_genes(genes, 9, 1),
        "file": GeneEmbedding("file", rng.normal(size=(genes, 4))),
    }.get(source, GeneEmbedding(source))
    table = {}
    if perturbations in ("file", "dataset"):  # without G5, which then cannot be embedded
        width = 3 if perturbations == "file" else 9
        table = {f"G{k}": rng.normal(size=width) for k in range(250) if k != 5}
    return G, PerturbationEmbedding(perturbations, table, seed=3)


def brute_force(known, specification, grid, masked, parts=None):
    """Refit everything in gene space for every left-out perturbation and all parameters."""
    names, losses = known.perturbations, []
    for part in parts or [[k] for k in range(len(names))]:
        training = part_of(known, remaining(names, part))
        found = np.zeros(
            (len(part), 1 + len(grid.dimensions), len(grid.penalties), len(grid.mean_weights))
        )
        for a, d in enumerate((0, *grid.dimensions)):
            for b, penalty in enumerate(grid.penalties):
                for c, weight in enumerate(grid.mean_weights):
                    predict = slow_model(training, specification, Parameters(weight, d, penalty))
                    for row, k in enumerate(part):
                        error = known.effects[:, k] - predict(names[k], known.targets[k])
                        if masked:
                            error[list(known.targets[k].rows or ())] = 0
                        found[row, a, b, c] = np.linalg.norm(error)
        losses.append(found)
    return np.concatenate(losses)


def assert_honest(known, specification, grid, masked, parts=None, tolerance=1e-10):
    found = left_out_losses(Columns.of(known), specification, grid, masked)
    expected = brute_force(known, specification, grid, masked, parts)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


SOURCES = [
    (gene, perturbation)
    for gene in ("pca", "pca_expression", "random", "identity", "file")
    for perturbation in ("target", "pca", "random", "file", "dataset")
    if (gene, perturbation) != ("identity", "target")
]


def grid_of(solver, dimensions=(1, 3, 6)):
    return Grid((0.0, 0.7), dimensions, (0.0,) if solver == "pinv" else (0.01, 1.0))


@pytest.mark.parametrize("solver", ["tikhonov", "ridge", "pinv"])
@pytest.mark.parametrize(("gene", "perturbation"), SOURCES)
def test_losses_are_those_of_refitting_everything(gene, perturbation, solver):
    masked = solver != "ridge"
    known = screen(16, 12)
    specification = Specification(*sources(16, gene, perturbation), solver)
    assert_honest(
        known.masked() if masked else known, specification, grid_of(solver, (1, 4)), masked
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("solver", ["tikhonov", "ridge", "pinv"])
@pytest.mark.parametrize("gene", ["pca", "pca_expression", "random"])
def test_the_same_with_more_perturbations_than_genes(gene, solver, masked):
    known = screen(7, 13)
    specification = Specification(*sources(7, gene, "target"), solver)
    assert_honest(known.masked() if masked else known, specification, grid_of(solver), masked)


# Two targets are not measured; two perturbations are doubles, of which one gene is no single.
SAMPLED = [*(f"G{k}" for k in range(6)), "X1", "X2", "G0+G1", "G1+G6"]


def lmf(codes, **settings):
    return GeneEmbedding(LMF, forms=FormSettings(dimensions=4, codes=codes, **settings))


# Losses in coordinates against refits in gene space. Components and block sweeps are exact. The
# variance ratio of the constrained form is the maximum of a likelihood, which is flat there: half
# of the digits are known.
OF_SAMPLES = {
    "pca_unadjusted": (GeneEmbedding(PCA_UNADJUSTED), 1e-10),
    "lmf free": (lmf(FREE, schedule=MONOTONE, sweeps=12), 1e-10),
    "lmf constrained": (lmf(CONSTRAINED), 1e-6),
}


@pytest.mark.parametrize("solver", ["tikhonov", "ridge", "pinv"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("genes", "batches"), [(80, 2), (80, 3), (16, 2), (7, 3)])
@pytest.mark.parametrize("gene", OF_SAMPLES)
def test_samples_are_left_out_with_their_perturbation(gene, genes, batches, masked, solver):
    known = sampled_training(genes, SAMPLED, batches, seed=genes)
    source, tolerance = OF_SAMPLES[gene]
    perturbations = {"tikhonov": "target", "ridge": "pca", "pinv": "random"}[solver]
    specification = Specification(source, PerturbationEmbedding(perturbations, seed=3), solver)
    grid = Grid((0.7,), (1, 3), (0.0,) if solver == "pinv" else (0.1,))
    known = known.masked() if masked else known
    assert_honest(known, specification, grid, masked, tolerance=tolerance)


@pytest.mark.parametrize(("settled", "tolerance"), [(1e-4, 1e-8), (1e-6, 5e-3)])
def test_the_same_with_quasi_newton_steps_up_to_where_they_stop(settled, tolerance):
    """Every step multiplies the rounding in which coordinates differ from gene space.

    After few steps nothing is seen of that. After the hundreds that the default tolerance takes
    the two stop at points of the same flat valley that are a little apart.
    """
    known = sampled_training(80, SAMPLED, 3, seed=80)
    embedding = PerturbationEmbedding("target")
    specification = Specification(lmf(FREE, tolerance=settled), embedding, "tikhonov")
    assert_honest(known, specification, Grid((0.7,), (3,), (0.1,)), False, tolerance=tolerance)


@pytest.mark.parametrize("gene", OF_SAMPLES)
def test_an_embedding_that_has_seen_the_samples_left_out_would_be_noticed(gene):
    known = sampled_training(80, SAMPLED, 2, seed=80)
    source, tolerance = OF_SAMPLES[gene]
    specification = Specification(source, PerturbationEmbedding("target"), "tikhonov")
    grid = Grid((0.7,), (2,), (0.1,))
    honest = left_out_losses(Columns.of(known), specification, grid, False)
    fixed = GeneEmbedding("file", source.of(Columns.of(known), 2))
    seen = left_out_losses(
        Columns.of(known), Specification(fixed, PerturbationEmbedding("target"), "tikhonov"),
        grid, False,
    )  # fmt: skip
    known_ones = [k for k, target in enumerate(known.targets) if target.rows]
    assert np.abs(honest - seen)[known_ones, 1].max() > 100 * tolerance


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("gene", OF_SAMPLES)
def test_residuals_of_intervals_are_those_of_refitting_everything(gene, masked):
    known = sampled_training(80, SAMPLED, 2, seed=80)
    known = known.masked() if masked else known
    source, tolerance = OF_SAMPLES[gene]
    specification = Specification(source, PerturbationEmbedding("target"), "tikhonov")
    parameters = Parameters(0.7, 3, 0.1)
    found = LeftOut.of(known, specification, parameters, masked)
    assert found.residuals.shape == known.effects.shape
    for k, name in enumerate(known.perturbations):
        rest = part_of(known, remaining(known.perturbations, [k]))
        effect = slow_model(rest, specification, parameters)(name, known.targets[k])
        expected = np.abs(known.effects[:, k] - effect)
        own = list(known.targets[k].rows or ()) if masked else []
        assert np.isnan(found.residuals[own, k]).all()
        kept = np.setdiff1d(np.arange(80), own)
        np.testing.assert_allclose(found.residuals[kept, k], expected[kept], atol=tolerance)
    asked = known.targets[known.perturbations.index("G3")]
    lower, upper = found.bounds("G3", asked, specification.perturbations, 3, 0.8)
    assert (lower < upper).all()


@pytest.mark.parametrize(("gene", "perturbation"), [("pca", "target"), ("random", "file")])
def test_of_more_than_two_hundred_every_tenth_is_left_out_together(gene, perturbation):
    known = screen(12, 205)
    parts = [left_out for _, left_out in tuning.left_out_sets(known.perturbations)]
    assert len(parts) == 10
    assert sorted(k for part in parts for k in part) == list(range(205))
    assert {len(part) for part in parts} == {20, 21}
    specification = Specification(*sources(12, gene, perturbation), "tikhonov")
    assert_honest(known, specification, Grid((0.5,), (3,), (0.1,)), False, parts)


def test_two_hundred_are_left_out_one_at_a_time():
    parts = [left_out for _, left_out in tuning.left_out_sets([f"G{k}" for k in range(200)])]
    assert parts == [[k] for k in range(200)]


@pytest.mark.parametrize("count", [12, 205])
def test_combinations_of_a_left_out_gene_leave_training_too(count):
    names = screen(12, count).perturbations
    for train, left_out in tuning.left_out_sets(names):
        assert train == remaining(names, left_out)
    train = {left_out[0]: train for train, left_out in tuning.left_out_sets(names[:12])}
    if count == 12:
        assert not {10, 11} & set(train[1])
        assert set(range(10)) <= set(train[10])


def test_where_leaving_one_out_leaves_nothing_there_is_no_such_part():
    assert tuning.left_out_sets(["A", "A+B"]) == [([0], [1])]
    assert tuning.left_out_sets(["A"]) == []


def chosen(losses, monkeypatch, grid=None):
    """The choice for losses: perturbations × (d 0, d 2) × (λ 1, λ 9) × (s 0, s ½)."""
    monkeypatch.setattr(tuning, "left_out_losses", lambda *_: np.array(losses, dtype=float))
    specification = Specification(GeneEmbedding("pca"), PerturbationEmbedding("target"), "tikhonov")
    columns = Columns.of(training())
    return choose(columns, specification, grid or Grid((0.0, 0.5), (2,), (1.0, 9.0)), False)


def losses_of(off, mean, bilinear, both):
    """Losses of each part for every perturbation; the first penalty is worse by 1."""
    one = np.stack([np.column_stack([off, mean]), np.column_stack([bilinear, both])], axis=1)
    worse = one + np.array([0, 1])[:, None]
    return np.stack([worse, one], axis=2)


def test_the_simplest_part_within_a_standard_error_of_the_best_is_taken(monkeypatch):
    # Differences to `both`: off 2 ± 0, mean 0.5 ± 0.58, bilinear 0.25 ± 0.14
    losses = losses_of([5, 5, 5, 5], [2, 3, 4, 5], [3, 3, 3, 4], [3, 3, 3, 3])
    found = chosen(losses, monkeypatch)
    assert found.parts == MEAN
    assert found.parameters == Parameters(0.5, 0, 0.0)
    difference = np.array([-1, 0, 1, 2])
    assert found.margin == pytest.approx(difference.std(ddof=1) / 2)
    assert found.losses == {OFF: 5, MEAN: 3.5, BILINEAR: 3.25, BOTH: 3}


@pytest.mark.parametrize(
    ("losses", "parts", "parameters"),
    [
        (losses_of([1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]), OFF, Parameters(0, 0, 0)),
        (losses_of([9, 9, 9], [2, 2, 2], [2, 2, 2], [2, 2, 2]), MEAN, Parameters(0.5, 0, 0)),
        (losses_of([9, 9, 9], [8, 8, 8], [1, 2, 3], [1, 2, 3]), BILINEAR, Parameters(0, 2, 9)),
        (losses_of([9, 9, 9], [8, 8, 8], [3, 3, 3], [1, 2, 1]), BOTH, Parameters(0.5, 2, 9)),
        # One perturbation alone has no standard error: the best is taken, ties go to the simpler.
        (losses_of([3], [2], [2], [3]), MEAN, Parameters(0.5, 0, 0)),
    ],
    ids=["off", "mean", "bilinear", "both", "single"],
)
def test_each_part_is_taken_where_it_is_needed(losses, parts, parameters, monkeypatch):
    found = chosen(losses, monkeypatch)
    assert (found.parts, found.parameters) == (parts, parameters)


def test_a_part_that_is_fixed_in_config_has_no_alternative(monkeypatch):
    losses = losses_of([1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4])
    always_mean = chosen(losses[..., 1:], monkeypatch, Grid((0.5,), (2,), (1.0, 9.0)))
    assert (always_mean.parts, set(always_mean.losses)) == (MEAN, {MEAN, BOTH})
    never_mean = chosen(losses[..., :1], monkeypatch, Grid((0.0,), (2,), (1.0, 9.0)))
    assert (never_mean.parts, set(never_mean.losses)) == (OFF, {OFF, BILINEAR})


def test_without_any_loss_nothing_is_switched_on(monkeypatch):
    found = chosen(np.zeros((0, 2, 2, 2)), monkeypatch)
    assert (found.parts, found.parameters, found.losses) == (OFF, Parameters(0.0, 0, 0.0), {})


def parts_chosen(seeds, given=None, **truth):
    """The parts switched on in simulated screens of 24 perturbations and 40 genes."""
    return [
        fit_predictor("linear", bilinear_screen(40, 24, seed, **truth), given or {}).described()[
            "parts"
        ]
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("on_target", [False, True])
def test_pure_noise_switches_nothing_on(on_target):
    found = parts_chosen(12, {"on_target": on_target}, bilinear=0, noise=1)
    assert found.count(OFF) >= 10


def test_a_strong_shared_effect_switches_the_mean_on_alone():
    assert parts_chosen(8, bilinear=0, mean=1, noise=1).count(MEAN) >= 7


def test_effects_that_follow_from_the_target_switch_the_bilinear_part_on_alone():
    assert parts_chosen(8, noise=0.5).count(BILINEAR) >= 7


def test_both_are_switched_on_where_both_are_there():
    assert parts_chosen(8, mean=2, noise=0.5).count(BOTH) >= 7


@pytest.mark.parametrize(
    ("given", "truth", "parts"),
    [
        ({"mean_weight": 1.0}, {"bilinear": 0, "noise": 1}, MEAN),
        ({"mean_weight": 0.0}, {"bilinear": 0, "noise": 1}, OFF),
        ({"mean_weight": 0.0}, {"noise": 0.5}, BILINEAR),
        ({"mean_weight": 1.0}, {"mean": 2, "noise": 0.5}, BOTH),
        ({"dimensions": 3}, {"bilinear": 0, "noise": 1}, OFF),
        ({"dimensions": 3, "penalty": 1e-3}, {"bilinear": 0, "noise": 1}, OFF),
        ({"dimensions": 0}, {"mean": 1, "noise": 1}, MEAN),
        ({"dimensions": 0}, {"bilinear": 0, "noise": 1}, OFF),
    ],
    ids=str,
)
def test_each_part_switches_itself_off_whatever_else_is_fixed(given, truth, parts):
    assert parts_chosen(4, given, **truth).count(parts) >= 3


def test_the_choice_does_not_see_what_is_held_out_and_is_the_same_every_time():
    known = bilinear_screen(40, 24, 1)
    first, again = (fit_predictor("linear", known, {}).inner.choice for _ in range(2))
    assert first == again
    fewer = fit_predictor("linear", part_of(known, list(range(20))), {}).inner.choice
    assert fewer.losses != first.losses


@pytest.mark.parametrize(
    ("solver", "given", "penalties"),
    [
        ("pinv", None, (0.0,)),
        ("pinv", 3.0, (0.0,)),
        ("kronecker", None, (0.0,)),
        ("ridge", 3.0, (3.0,)),
        ("tikhonov", 0.0, (0.0,)),
        ("tikhonov", None, tuning.PENALTIES),
    ],
)
def test_penalties_are_chosen_for_the_solvers_that_have_one(solver, given, penalties):
    assert tuning.penalties_of(solver, given) == penalties


def test_a_perturbation_is_judged_at_the_member_that_is_best_for_all_others():
    losses = np.array([[0.0, 2.0, 9.0], [5.0, 2.0, 1.0], [5.0, 2.0, 3.0]])
    # Without the first row the members cost 10, 4, 4; then 5, 4, 12; then 5, 4, 10.
    np.testing.assert_array_equal(tuning._chosen_by_others(losses), [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(tuning._chosen_by_others(losses[:1]), [0.0])


def test_many_members_of_pure_noise_look_no_better_than_one():
    rng = np.random.default_rng(1)
    losses = 1 + 0.1 * rng.standard_normal((40, 25, 300))  # screens × perturbations × members
    honest = np.array([tuning._chosen_by_others(screen).mean() for screen in losses])
    assert honest.mean() == pytest.approx(1, abs=0.01)
    assert losses.mean(axis=1).min(axis=1).mean() < 0.95  # the best of them, judged by all
