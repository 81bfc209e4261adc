"""The linear model and the baselines: what they learn, what they answer, and when they do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.files import read_arrays, write_arrays
from lgem.prediction.model import (
    KINDS,
    NOT_APPLICABLE,
    NOT_EMBEDDABLE,
    PREDICTED,
    Additive,
    LinearModel,
    MeanEffect,
    NoChange,
    Training,
    fit_predictor,
    restore_predictor,
)
from lgem.screen.labels import Target, TargetIndex

GENES = [f"G{row}" for row in range(30)]
INDEX = TargetIndex(GENES)
SINGLES = ["G3", "G8", "G11", "G20", "G21", "G29"]
UNMEASURED = ["X1", "X2"]
SETTINGS = {"solver": "ridge", "dimensions": 3, "penalty": 0.1}


def training(perturbations=(*SINGLES, *UNMEASURED, "G3+G8"), seed=1):
    rng = np.random.default_rng(seed)
    control = rng.gamma(2.0, size=len(GENES))
    effects = 0.5 * rng.normal(size=(len(GENES), len(perturbations)))
    return Training(effects, control, list(perturbations), [INDEX.find(p) for p in perturbations])


def with_effects(known, effects):
    return Training(effects, known.control, known.perturbations, known.targets)


def fit(known, **changes):
    return LinearModel.fit(known, **{**SETTINGS, **changes})


def predict(predictor, perturbation):
    return predictor.predict(perturbation, INDEX.find(perturbation))


def published(known, dimensions, penalty, perturbation):
    """The published method step by step: prcomp, bias, two-sided ridge, G W p + b."""
    profiles = np.column_stack([known.effects, np.zeros(len(GENES))]) + known.control[:, None]
    centred = profiles - profiles.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    G = centred @ vectors[:, ::-1][:, :dimensions]
    measured = [p for p in known.perturbations if not set(p.split("+")) & set(UNMEASURED)]
    columns = [list(known.perturbations).index(p) for p in measured]
    Y = np.column_stack([known.effects[:, columns], np.zeros(len(GENES))])

    def embed(name):
        return sum((G[GENES.index(gene)] for gene in name.split("+")), np.zeros(dimensions))

    P = np.array([*(embed(p) for p in measured), np.zeros(dimensions)])
    b = Y.sum(axis=1) / (len(measured) + 1)
    shrink = penalty * np.eye(dimensions)
    left = np.linalg.inv(G.T @ G + shrink) @ G.T @ (Y - b[:, None])
    W = left @ P @ np.linalg.inv(P.T @ P + shrink)
    return G @ W @ embed(perturbation) + b


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    dimensions=st.integers(1, 6),
    penalty=st.floats(0.01, 10),
    perturbation=st.sampled_from(["G5", "G3", "G5+G11", "G8+G29"]),
)
def test_predictions_are_those_of_the_published_method(seed, dimensions, penalty, perturbation):
    known = training(seed=seed)
    answer = predict(fit(known, dimensions=dimensions, penalty=penalty), perturbation)
    expected = published(known, dimensions, penalty, perturbation)
    assert (answer.status, answer.reason) == (PREDICTED, "")
    np.testing.assert_allclose(answer.effect, expected, atol=1e-7)


def test_a_prediction_is_gene_embedding_times_weights_times_target_plus_bias():
    model = fit(training())
    G, W, b = model.gene_embedding, model.weights, model.bias
    np.testing.assert_allclose(predict(model, "G5").effect, G @ W @ G[5] + b, atol=1e-14)


def test_the_bias_counts_control_and_the_embeddable_perturbations_only():
    known = training()
    measured = [t.rows is not None for t in known.targets]
    expected = known.effects[:, measured].sum(axis=1) / (sum(measured) + 1)
    np.testing.assert_allclose(fit(known).bias, expected, atol=1e-14)


def test_unmeasured_training_perturbations_shape_the_gene_embedding_alone():
    known = training()
    effects = known.effects.copy()
    effects[:, known.perturbations.index("X1")] *= 7
    before, after = fit(known), fit(with_effects(known, effects))
    np.testing.assert_array_equal(after.bias, before.bias)
    assert np.abs(after.gene_embedding - before.gene_embedding).max() > 0.1


def test_a_double_moves_from_the_bias_by_the_sum_of_its_singles():
    model = fit(training(), solver="pinv")
    double, first, second = (predict(model, name).effect for name in ("G5+G12", "G5", "G12"))
    np.testing.assert_allclose(double - model.bias, first + second - 2 * model.bias, atol=1e-12)
    assert np.abs(double - model.bias).max() > 0.01


@pytest.mark.parametrize("solver", ["pinv", "ridge"])
def test_the_order_of_the_training_perturbations_does_not_matter(solver):
    known = training()
    order = np.random.default_rng(2).permutation(len(known.perturbations))
    turned = Training(
        known.effects[:, order],
        known.control,
        [known.perturbations[i] for i in order],
        [known.targets[i] for i in order],
    )
    answers = [predict(fit(part, solver=solver), "G5").effect for part in (known, turned)]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-9)


def test_a_larger_penalty_pulls_predictions_towards_the_bias():
    known = training()
    models = [fit(known, penalty=penalty) for penalty in (0.1, 10, 1e3, 1e9)]
    distances = [np.linalg.norm(predict(m, "G5").effect - m.bias) for m in models]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-6 < distances[0]


@pytest.mark.parametrize(("target", "gene"), [("X9", "X9"), ("G5+X9", "X9")])
def test_what_has_an_unmeasured_target_is_not_embeddable(target, gene):
    answer = predict(fit(training()), target)
    assert answer.effect is None
    assert answer.status == NOT_EMBEDDABLE
    assert answer.reason == f"target not measured: {gene}"


def test_a_target_symbol_of_several_genes_is_not_embeddable():
    index = TargetIndex(["e1", "e2", *GENES[2:]], ["A", "A", *GENES[2:]])
    answer = fit(training()).predict("A", index.find("A"))
    assert (answer.effect, answer.status) == (None, NOT_EMBEDDABLE)
    assert answer.reason == "target symbol not unique: A (2 genes)"


def test_without_an_embeddable_training_perturbation_nothing_is_embeddable():
    model = fit(training(UNMEASURED), dimensions=2)
    answer = predict(model, "G5")
    assert (answer.effect, answer.status) == (None, NOT_EMBEDDABLE)
    assert answer.reason == "no training perturbation has a measured target"
    assert predict(model, "X9").reason == "target not measured: X9"


def test_dimensions_are_capped_by_auto_and_refused_when_explicit():
    known = training(["G3", "G8", "X1"])  # with control four profiles
    assert fit(known, dimensions=None).dimensions == 4
    assert fit(training(), dimensions=None).dimensions == 10
    with pytest.raises(InputError, match=r"found 5; expected at most 4"):
        fit(known, dimensions=5)


@pytest.mark.parametrize("seed", range(10))
def test_dimensions_beyond_the_rank_change_no_prediction(seed):
    # Effects of rank 2 and targets of average level: to P, rounding noise in G would look large.
    rng = np.random.default_rng(seed)
    control = rng.gamma(2.0, size=len(GENES))
    control[[GENES.index(name) for name in SINGLES]] = control.mean()
    effects = 0.01 * rng.normal(size=(len(GENES), 2)) @ rng.normal(size=(2, len(SINGLES)))
    known = Training(effects, control, SINGLES, [INDEX.find(name) for name in SINGLES])
    right, more = (fit(known, solver="pinv", dimensions=d) for d in (3, 6))
    np.testing.assert_allclose(
        predict(more, "G5").effect, predict(right, "G5").effect, rtol=0, atol=1e-8
    )


def test_no_change_predicts_nought():
    answer = predict(NoChange.fit(training()), "X9")
    assert answer.status == PREDICTED
    np.testing.assert_array_equal(answer.effect, np.zeros(len(GENES)))


def test_mean_predicts_the_mean_over_all_training_perturbations_measured_or_not():
    known = training()
    expected = sum(known.effects.T) / len(known.perturbations)
    for name in ("G5", "X9", "G5+X9"):
        answer = predict(MeanEffect.fit(known), name)
        assert answer.status == PREDICTED
        np.testing.assert_allclose(answer.effect, expected, atol=1e-15)


def test_additive_sums_the_effects_of_the_genes_perturbed_alone():
    known = training()
    effect = dict(zip(known.perturbations, known.effects.T, strict=True))
    for double in ("G3+G8", "G11+X2"):
        answer = predict(Additive.fit(known), double)
        assert answer.status == PREDICTED
        first, second = double.split("+")
        np.testing.assert_allclose(answer.effect, effect[first] + effect[second], atol=1e-15)


@pytest.mark.parametrize(
    ("perturbation", "reason"),
    [
        ("G3", "not a combination"),
        ("G3+G5", "not seen alone in training: G5"),
        ("G5+X9", "not seen alone in training: G5, X9"),
    ],
)
def test_additive_says_why_it_does_not_apply(perturbation, reason):
    answer = predict(Additive.fit(training()), perturbation)
    assert (answer.effect, answer.status, answer.reason) == (None, NOT_APPLICABLE, reason)


def test_additive_learns_from_single_perturbations_alone():
    assert sorted(Additive.fit(training()).singles) == sorted([*SINGLES, *UNMEASURED])
    answer = predict(Additive.fit(training(["G3+G8", "G3+G11"])), "G3+G8")
    assert (answer.status, answer.reason) == (NOT_APPLICABLE, "not seen alone in training: G3, G8")


ALL_SETTINGS = [
    *((kind, {}) for kind in KINDS if kind != "lgem"),
    *(
        ("lgem", {"solver": solver, "dimensions": dimensions, "penalty": 0.1})
        for solver in ("pinv", "ridge")
        for dimensions in (None, 1, 3)
    ),
]


@pytest.mark.parametrize("known", [training(), training(UNMEASURED), training(["G3+G8", "G5"])])
@pytest.mark.parametrize(("kind", "chosen"), ALL_SETTINGS)
def test_a_saved_predictor_answers_to_the_last_bit_as_before(kind, chosen, known, tmp_path):
    predictor = fit_predictor(kind, known, chosen)
    write_arrays(tmp_path / "model.npz", **predictor.arrays())
    restored = restore_predictor(kind, read_arrays(tmp_path / "model.npz"))
    for name in (*SINGLES, "G5", "X9", "G3+G8", "G5+G6", "G3+X1", "X1+X2"):
        before, after = predict(predictor, name), predict(restored, name)
        assert (after.status, after.reason) == (before.status, before.reason)
        assert (after.effect is None) == (before.effect is None)
        if before.effect is not None:
            assert after.effect.tobytes() == before.effect.tobytes()


def test_every_predictor_gives_either_an_effect_or_a_reason():
    known = training()
    for kind, chosen in ALL_SETTINGS:
        for name in ("G3", "G5", "X9", "G3+G8", "G5+X9"):
            answer = fit_predictor(kind, known, chosen).predict(name, INDEX.find(name))
            if answer.status == PREDICTED:
                assert answer.effect.shape == (len(GENES),)
                assert np.isfinite(answer.effect).all()
                assert answer.reason == ""
            else:
                assert answer.effect is None
                assert answer.reason


def test_control_itself_is_predicted_by_the_bias():
    model = fit(training())
    np.testing.assert_array_equal(model.predict("control", Target(())).effect, model.bias)
