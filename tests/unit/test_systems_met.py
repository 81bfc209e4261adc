"""What a run says of its linear systems, against the matrices written out."""

import importlib.util
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from lgem.prediction import gradient
from lgem.prediction.embedding import GeneEmbedding, PerturbationEmbedding
from lgem.prediction.model import fit_predictor
from lgem.prediction.solvers import SOLVERS, Factor
from lgem.prediction.systems_met import TRAINING_SETS, over_folds, systems_of, weights_system
from lgem.systems import System, systems_content, systems_from
from tests.conftest import lacking
from tests.unit.model_cases import SINGLES, UNMEASURED, sampled_training, training

NAMES = [*SINGLES, *UNMEASURED, "G3+G8"]
FIXED = {"dimensions": 3, "penalty": 0.1, "mean_weight": 0.5}


def fitted(known=None, genes=None, perturbations=None, **settings):
    """A predictor, what it was fitted to, and what is said of its weights."""
    known = known or training(NAMES)
    settings = {"solver": "tikhonov", **FIXED, **settings}
    predictor = fit_predictor("linear", known, settings, genes, perturbations)
    return predictor, known, weights_system("mine", predictor, known, settings)


def written_out(predictor, known):
    """G and P of a fitted model, and P ⊗ G."""
    model = predictor.inner
    G = np.eye(len(known.control)) if model.gene_embedding is None else model.gene_embedding
    pairs = zip(known.perturbations, known.targets, strict=True)
    P = np.array([model.embed(*pair) for pair in pairs if not model.why_not(*pair)])
    return G, P, np.kron(P, G)


def agree(system, matrix):
    """Require that the numbers of a system are those of its matrix."""
    rank = np.linalg.matrix_rank(matrix)
    assert (system.rows, system.columns, system.rank) == (*matrix.shape, rank)
    assert system.verdict == ("unique" if rank == matrix.shape[1] else "infinite")
    if rank == matrix.shape[1]:
        assert system.condition == pytest.approx(np.linalg.cond(matrix), rel=1e-8)
    else:
        assert system.condition == np.inf
    expected = np.linalg.svd(matrix, compute_uv=False)
    found = np.array(system.singular)
    assert (np.diff(found) <= 0).all()
    # Of a factor with fewer rows than columns the zeros are left out.
    found = np.pad(found, (0, len(expected) - len(found)))
    np.testing.assert_allclose(found, expected, atol=1e-12 * max(expected.max(), 1))


# The numbers


@pytest.mark.parametrize("dimensions", [1, 2, 5])
@pytest.mark.parametrize("perturbation", ["target", "pca", "random"])
@pytest.mark.parametrize("gene", ["pca", "pca_expression", "random"])
def test_numbers_are_those_of_the_kronecker_product(gene, perturbation, dimensions):
    predictor, known, system = fitted(
        gene_embedding=gene, perturbation_embedding=perturbation, dimensions=dimensions
    )
    agree(system, written_out(predictor, known)[2])
    assert system.system == "LGEM: mine"
    perturbations = 9 if perturbation == "random" else 7  # two targets are not measured
    assert system.explanation.startswith(
        f"W ({dimensions} × {dimensions}) from the effects of {perturbations} perturbations on 30 "
        "genes; "
    )
    assert (system.cause, system.remedy) == ("", "")


@pytest.mark.parametrize("codes", ["free", "constrained"])
def test_the_same_for_embeddings_of_samples(codes):
    known = sampled_training(30, NAMES, 2)
    forms = {"dimensions": 4, "codes": codes}
    predictor, _, system = fitted(known, gene_embedding="lmf", mixed_forms=forms)
    agree(system, written_out(predictor, known)[2])
    predictor, _, system = fitted(known, gene_embedding="pca_unadjusted")
    agree(system, written_out(predictor, known)[2])


def test_without_a_gene_embedding_every_gene_stands_for_itself():
    predictor, known, system = fitted(gene_embedding="identity", perturbation_embedding="pca")
    G, P, matrix = written_out(predictor, known)
    assert G.shape == (30, 30)
    agree(system, matrix)
    assert system.explanation.startswith("W (30 × 3) from the effects of 7 perturbations")
    assert system.condition == pytest.approx(np.linalg.cond(P))


# Where there is nothing to solve, or not enough


@pytest.mark.parametrize(
    ("known", "settings"),
    [
        (None, {"dimensions": 0}),
        (training(UNMEASURED), {"dimensions": None}),
    ],
    ids=["by choice", "nothing embedded"],
)
def test_a_part_that_is_switched_off_has_no_system(known, settings):
    _, _, system = fitted(known, **settings)
    if settings["dimensions"] == 0:
        assert system is None  # it has no such part
        return
    assert (system.rows, system.columns, system.rank, system.condition) == (None,) * 4
    assert system.verdict == "not solved"
    assert system.explanation.startswith("the bilinear part is switched off")
    assert system.singular == ()


def test_a_part_that_switched_itself_off_has_none_either():
    rng = np.random.default_rng(1)
    noise = replace(training(SINGLES), effects=rng.normal(size=(30, len(SINGLES))))
    predictor, _, system = fitted(noise, dimensions=None, penalty=None, mean_weight=None)
    assert predictor.described()["parts"] in ("no change", "mean")
    assert system.verdict == "not solved"


@pytest.mark.parametrize("kind", ["additive", "same_effect"])
def test_baselines_solve_for_no_weights(kind):
    known = training(NAMES)
    predictor = fit_predictor(kind, known, {})
    assert weights_system(kind, predictor, known, {}) is None
    assert systems_of(kind, predictor, known, {}, {}) == []


@pytest.mark.parametrize("solver", ["tikhonov", "ridge", "pinv", "kronecker", "gradient"])
def test_fewer_perturbations_than_dimensions_are_too_few_samples(solver):
    if solver == "gradient":
        without_pytorch()
    penalty = 0.1 if solver in ("tikhonov", "ridge") else None
    # Both can be looked up; the embedding of genes is drawn and has more dimensions.
    predictor, known, system = fitted(
        training(["G3", "G8"]), gene_embedding="random", solver=solver, penalty=penalty
    )
    agree(system, written_out(predictor, known)[2])
    assert (system.columns, system.rank) == (9, 6)
    assert system.cause == "too few samples"
    words = "fewer dimensions, or more perturbations that can be embedded"
    if penalty:
        words = f"none needed: the penalty alone decides what the data leave open; or {words}"
        assert "acts like condition number" in system.explanation
    else:
        assert "minimum norm" in system.explanation
    assert system.remedy == words


@pytest.mark.parametrize("penalty", [0.1, 0.0])
def test_columns_that_are_the_same_are_a_redundant_factor(penalty):
    values = np.random.default_rng(2).normal(size=(30, 2))
    twice = GeneEmbedding("file", values[:, [0, 1, 0]])
    predictor, known, system = fitted(None, twice, gene_embedding="file", penalty=penalty)
    agree(system, written_out(predictor, known)[2])
    assert (system.columns, system.rank) == (9, 4)
    assert system.cause == "redundant factor"
    words = "fewer dimensions: the genes' embedding has fewer independent ones"
    assert system.remedy == (
        f"none needed: the penalty alone decides what the data leave open; or {words}"
        if penalty
        else words
    )


def test_a_table_of_perturbations_that_repeats_itself_is_redundant_too():
    rng = np.random.default_rng(3)
    rows = {name: rng.normal(size=2) for name in NAMES}
    table = PerturbationEmbedding("file", {n: row[[0, 1, 1]] for n, row in rows.items()})
    predictor, known, system = fitted(None, None, table, perturbation_embedding="file")
    agree(system, written_out(predictor, known)[2])
    assert system.cause == "redundant factor"


# What a solver makes of it


def told(system, words):
    """The number that an explanation tells after some words."""
    return float(re.search(re.escape(words) + r" ([0-9.e+]+)", system.explanation)[1])


WIDE = {"gene_embedding": "random", "perturbation_embedding": "random"}


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        (NAMES, {}),
        (NAMES, WIDE),
        (["G3", "G8"], WIDE),
        (NAMES, {"gene_embedding": "identity", "perturbation_embedding": "pca"}),
    ],
    ids=["pca", "random", "few", "identity"],
)
@pytest.mark.parametrize("penalty", [0.01, 3.0])
def test_a_penalty_acts_like_the_condition_of_the_system_with_its_rows(names, settings, penalty):
    for solver in ("tikhonov", "ridge"):
        predictor, known, system = fitted(
            training(names), solver=solver, penalty=penalty, **settings
        )
        G, P, matrix = written_out(predictor, known)
        if solver == "tikhonov":
            # The solver's own λ: `penalty` in units of the mean squared singular value.
            λ = penalty * Factor.of(G).mean_square * Factor.of(P).mean_square
            rows = np.sqrt(λ) * np.eye(matrix.shape[1])
            expected = np.linalg.cond(np.vstack([matrix, rows]))
        else:
            expected = np.prod(
                [
                    np.linalg.cond(np.vstack([A, np.sqrt(penalty) * np.eye(A.shape[1])]))
                    for A in (G, P)
                ]
            )
        assert f"{solver} with penalty {penalty:g} acts" in system.explanation
        assert told(system, "acts like condition number") == pytest.approx(expected, rel=6e-3)
        assert system.condition > expected


@pytest.mark.parametrize("names", [NAMES, ["G3", "G8"]], ids=["enough", "few"])
def test_the_weights_are_those_of_the_system_with_the_penaltys_rows(names):
    """That the stacked system is what the solver solves, and no other."""
    predictor, known, _ = fitted(training(names), **WIDE)
    matrix = written_out(predictor, known)[2]
    λ = 0.1 * np.sum(matrix**2) / matrix.shape[1]
    stacked = np.vstack([matrix, np.sqrt(λ) * np.eye(matrix.shape[1])])
    R = known.effects - predictor.inner.bias[:, None]
    right = np.append(R.ravel(order="F"), np.zeros(matrix.shape[1]))
    W = np.linalg.lstsq(stacked, right, rcond=None)[0].reshape(3, 3, order="F")
    np.testing.assert_allclose(predictor.inner.weights, W, atol=1e-10)


@pytest.mark.parametrize("solver", ["tikhonov", "ridge"])
def test_a_penalty_of_nought_is_told_as_such(solver):
    _, _, system = fitted(solver=solver, penalty=0.0)
    assert system.explanation.endswith("; penalty 0")


@pytest.mark.parametrize("solver", ["pinv", "kronecker"])
def test_least_squares_is_told_as_such(solver):
    _, _, system = fitted(solver=solver, penalty=None)
    assert system.explanation.endswith("; least squares, without a penalty")


def without_pytorch():
    """Skip what solver gradient cannot do without PyTorch."""
    if importlib.util.find_spec("torch") is None:
        lacking("PyTorch is not installed")


def conjugate_gradients(A, b, steps):
    """Conjugate gradients on AᵀA x = Aᵀb from 0, as textbooks have them."""
    x = np.zeros(A.shape[1])
    slope = A.T @ b
    direction = slope.copy()
    for _ in range(steps):
        if not slope.any():
            break
        moved = A @ direction
        length = slope @ slope / (moved @ moved)
        x = x + length * direction
        before, slope = slope @ slope, slope - length * (A.T @ moved)
        direction = slope + slope @ slope / before * direction
    return x


def steps_needed(system):
    """The bound that a system tells for solver gradient."""
    return int(told(system, "conjugate gradients need at most"))


@pytest.mark.parametrize("dimensions", [1, 2, 4])
def test_conjugate_gradients_need_no_more_steps_than_are_told(monkeypatch, dimensions):
    without_pytorch()
    predictor, known, system = fitted(solver="gradient", penalty=None, dimensions=dimensions)
    G, P, matrix = written_out(predictor, known)
    steps = steps_needed(system)
    kept = [k for k, target in enumerate(known.targets) if target.rows]
    R = known.effects[:, kept] - predictor.inner.bias[:, None]
    best = G @ SOLVERS["pinv"](R, G, P, 0.0) @ P.T
    # The textbook's steps, and the layer's own with no more steps than are told.
    W = conjugate_gradients(matrix, R.ravel(order="F"), steps)
    W = W.reshape(G.shape[1], P.shape[1], order="F")
    monkeypatch.setattr(gradient, "LEAST_STEPS", steps)
    monkeypatch.setattr(gradient, "STEPS_PER_WEIGHT", 0)
    for found in (W, gradient.gradient(R, G, P)):
        assert np.linalg.norm(G @ found @ P.T - best) <= 1e-6 * np.linalg.norm(best)


CONDITIONS = pytest.mark.parametrize("condition", [3.0, 30.0, 300.0])


def bound(condition):
    """Steps after which the textbook's bound 2 ((κ−1)/(κ+1))^n is below 1e-6, rounded up."""
    return int(np.ceil(np.log(2e6) / 2 * condition))


@CONDITIONS
def test_the_bound_holds_for_systems_with_many_singular_values(condition):
    """Where steps cannot end for want of weights; half of them would not do."""
    b, s = np.random.default_rng(4).normal(size=2000), np.geomspace(condition, 1, 2000)
    A = sparse.diags_array(s)
    errors = [
        np.linalg.norm(s * conjugate_gradients(A, b, steps) - b) / np.linalg.norm(b)
        for steps in (bound(condition), bound(condition) // 2)
    ]
    assert errors[0] <= 1e-6 < errors[1]


@CONDITIONS
def test_the_steps_that_are_told_grow_with_the_condition(condition):
    without_pytorch()
    rng = np.random.default_rng(4)
    genes = np.linalg.qr(rng.normal(size=(30, 2)))[0] * [condition, 1]
    rows = np.linalg.qr(rng.normal(size=(len(NAMES), 2)))[0]
    table = PerturbationEmbedding("file", dict(zip(NAMES, rows, strict=True)))
    from_files = {"gene_embedding": "file", "perturbation_embedding": "file", "dimensions": 2}
    genes = GeneEmbedding("file", genes)
    _, _, system = fitted(None, genes, table, solver="gradient", penalty=None, **from_files)
    assert system.condition == pytest.approx(condition)
    assert abs(steps_needed(system) - bound(condition)) <= 1  # rounding of the condition


# Systems of a fold, and of all folds


def test_a_fold_meets_the_system_of_its_training_effects_first():
    known = sampled_training(30, NAMES, 2)
    predictor, _, weights = fitted(known)
    systems = systems_of("mine", predictor, known, {}, {"solver": "tikhonov"})
    assert [one.system for one in systems] == [TRAINING_SETS, "LGEM: mine"]
    assert systems[1] == weights
    cells = int(known.samples.cells.sum())
    # Intercept, nine perturbations, the second batch.
    first = systems[0]
    assert (first.rows, first.columns, first.rank) == (cells, 11, 11)
    design = written_design(known.samples)
    weights = np.sqrt(known.samples.cells)[:, None]  # as if every cell had a row
    assert first.condition == pytest.approx(np.linalg.cond(weights * design))
    assert first.cause == ""


def test_a_fold_that_cannot_estimate_all_says_so():
    known = sampled_training(30, NAMES, 2)
    predictor, _, _ = fitted(known)
    dropped = {"G5": "not connected with control through batch"}
    first, _ = systems_of("mine", predictor, known, dropped, {"solver": "tikhonov"})
    assert first.explanation.endswith("left out, not connected with control through batch: G5")
    assert first.cause == "confounded batch"
    whole = systems_of("mine", predictor, known, {}, {"solver": "tikhonov"})[0]
    assert over_folds([whole, first, whole])[0].explanation == (
        f"{first.explanation}; the worst of 3 folds"
    )


def written_design(samples):
    """Groups on intercept, perturbations and batch, with a row for each group."""
    names, lane = samples.perturbations, samples.levels["batch"]
    control = {level: samples.cells[(names == "control") & (lane == level)].sum() for level in lane}
    reference = max(control, key=control.get)
    columns = [np.ones(len(names))]
    columns += [names == name for name in samples.fixed_features]
    columns += [lane == level for level in sorted(set(lane) - {reference})]
    return np.array(columns, dtype=float).T


def system(name, rank, condition, columns=4):
    verdict = "unique" if rank == columns else "infinite"
    return System(name, 10, columns, rank, condition, verdict, f"condition {condition:g}")


OFF = System("a", None, None, None, None, "not solved", "off")


@pytest.mark.parametrize(
    ("met", "rank", "explanation"),
    [
        ([system("a", 4, 2.0)], 4, "condition 2"),
        ([system("a", 4, 2.0), system("a", 4, 9.0)], 4, "condition 9; the worst of 2 folds"),
        (
            [system("a", 3, np.inf), system("a", 4, 9.0), system("a", 2, np.inf)],
            2,
            "condition inf; the worst of 3 folds",
        ),
        (
            [OFF, system("a", 4, 2.0), OFF],
            4,
            "condition 2; the worst of 3 folds; off in 2 of 3 folds",
        ),
        ([OFF, OFF], None, "off; off in 2 of 2 folds"),
        ([OFF], None, "off"),
    ],
    ids=["one", "condition", "rank", "some off", "all off", "one off"],
)
def test_over_folds_the_worst_is_told_and_in_how_many_it_was_off(met, rank, explanation):
    [found] = over_folds(met)
    assert (found.rank, found.explanation) == (rank, explanation)


def test_over_folds_every_system_keeps_its_own_row_in_the_order_met():
    met = [system("b", 4, 2.0), system("a", 4, 1.0), system("b", 4, 3.0), system("a", 4, 5.0)]
    found = over_folds(met)
    assert [(one.system, one.condition) for one in found] == [("b", 3.0), ("a", 5.0)]
    assert over_folds([]) == []


def test_systems_are_handed_on_as_plain_values():
    _, _, one = fitted(training(["G3", "G8"]), **WIDE)
    assert systems_from(systems_content([one, OFF])) == [one, OFF]
