"""The linear model as a predictor: what it learns, what it answers, and when it does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgem.errors import InputError
from lgem.prediction.embedding import GeneEmbedding, PerturbationEmbedding
from lgem.prediction.model import fit_predictor
from lgem.prediction.training import MEAN_ONLY, NOT_EMBEDDABLE, PREDICTED, Training
from lgem.screen.labels import Target, TargetIndex
from tests.unit.model_cases import (
    GENES,
    INDEX,
    SINGLES,
    UNMEASURED,
    bilinear_screen,
    part_of,
    training,
)

PUBLISHED = {
    "gene_embedding": "pca_expression",
    "solver": "ridge",
    "penalty": 0.1,
    "published": True,
    "dimensions": 3,
}
# s, d and λ given: nothing is chosen.
GIVEN = {"mean_weight": 0.6, "dimensions": 3, "penalty": 0.5}


def fit(known, given, **changes):
    return fit_predictor("linear", known, {**given, **changes})


def predict(predictor, perturbation):
    return predictor.predict(perturbation, INDEX.find(perturbation))


def with_effects(known, effects):
    return Training(effects, known.control, known.perturbations, known.targets)


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
    answer = predict(fit(known, PUBLISHED, dimensions=dimensions, penalty=penalty), perturbation)
    expected = published(known, dimensions, penalty, perturbation)
    assert (answer.status, answer.reason) == (PREDICTED, "")
    np.testing.assert_allclose(answer.effect, expected, atol=1e-7)


def test_the_published_bias_counts_control_and_the_embeddable_perturbations_only():
    known = training()
    measured = [t.rows is not None for t in known.targets]
    expected = known.effects[:, measured].sum(axis=1) / (sum(measured) + 1)
    np.testing.assert_allclose(fit(known, PUBLISHED).inner.bias, expected, atol=1e-14)


def test_unmeasured_perturbations_shape_the_published_gene_embedding_alone():
    known = training()
    effects = known.effects.copy()
    effects[:, known.perturbations.index("X1")] *= 7
    before, after = fit(known, PUBLISHED).inner, fit(with_effects(known, effects), PUBLISHED).inner
    np.testing.assert_array_equal(after.bias, before.bias)
    assert np.abs(after.gene_embedding - before.gene_embedding).max() > 0.1


@pytest.mark.parametrize(("target", "gene"), [("X9", "X9"), ("G5+X9", "X9")])
def test_the_published_model_does_not_predict_what_it_cannot_embed(target, gene):
    answer = predict(fit(training(), PUBLISHED), target)
    assert (answer.effect, answer.status) == (None, NOT_EMBEDDABLE)
    assert answer.reason == f"target not measured: {gene}"


def test_a_target_symbol_of_several_genes_is_not_embeddable():
    index = TargetIndex(["e1", "e2", *GENES[2:]], ["A", "A", *GENES[2:]])
    answer = fit(training(), PUBLISHED).predict("A", index.find("A"))
    assert (answer.effect, answer.status) == (None, NOT_EMBEDDABLE)
    assert answer.reason == "target symbol not unique: A (2 genes)"


def test_without_an_embeddable_training_perturbation_nothing_is_embeddable():
    model = fit(training(UNMEASURED), PUBLISHED, dimensions=2)
    answer = predict(model, "G5")
    assert (answer.effect, answer.status) == (None, NOT_EMBEDDABLE)
    assert answer.reason == "no training perturbation can be embedded"
    assert predict(model, "X9").reason == "target not measured: X9"


def test_the_published_dimensions_are_ten_or_all_there_are_and_more_are_refused():
    few = training(["G3", "G8", "X1"])  # with control four profiles
    assert fit(few, PUBLISHED, dimensions=None).inner.dimensions == 4
    assert fit(training(), PUBLISHED, dimensions=None).inner.dimensions == 10
    with pytest.raises(InputError, match=r"found 5; expected at most 4 \(30 genes, 3 training"):
        fit(few, PUBLISHED, dimensions=5)


@pytest.mark.parametrize("seed", range(10))
def test_dimensions_beyond_the_rank_change_no_prediction(seed):
    # Effects of rank 2 and targets of average level: to P, rounding noise in G would look large.
    rng = np.random.default_rng(seed)
    control = rng.gamma(2.0, size=len(GENES))
    control[[GENES.index(name) for name in SINGLES]] = control.mean()
    effects = 0.01 * rng.normal(size=(len(GENES), 2)) @ rng.normal(size=(2, len(SINGLES)))
    known = Training(effects, control, SINGLES, [INDEX.find(name) for name in SINGLES])
    right, more = (fit(known, PUBLISHED, solver="pinv", dimensions=d) for d in (3, 6))
    np.testing.assert_allclose(
        predict(more, "G5").effect, predict(right, "G5").effect, rtol=0, atol=1e-8
    )


def test_a_prediction_is_gene_embedding_times_weights_times_target_plus_bias():
    model = fit(training(), GIVEN).inner
    G, W, b = model.gene_embedding, model.weights, model.bias
    np.testing.assert_allclose(predict(model, "G5").effect, G @ W @ G[5] + b, atol=1e-14)
    np.testing.assert_allclose(b, 0.6 * training().effects.mean(axis=1), atol=1e-15)


def test_what_cannot_be_embedded_is_predicted_by_the_mean_alone_and_said_so():
    predictor = fit(training(), GIVEN)
    answer = predict(predictor, "G5+X9")
    assert (answer.status, answer.reason) == (MEAN_ONLY, "target not measured: X9")
    np.testing.assert_array_equal(answer.effect, predictor.inner.bias)
    alone = fit(training(UNMEASURED), GIVEN)
    answer = predict(alone, "G5")
    assert (answer.status, answer.reason) == (MEAN_ONLY, "no training perturbation can be embedded")
    np.testing.assert_array_equal(answer.effect, alone.inner.bias)
    assert alone.inner.dimensions == 0


@pytest.mark.parametrize(
    ("weight", "parts"), [(0.0, "no change"), (1.0, "mean")], ids=["no_change", "mean"]
)
def test_no_change_and_the_mean_are_the_same_model_with_parts_switched_off(weight, parts):
    known = training()
    predictor = fit(known, {"dimensions": 0, "mean_weight": weight})
    for name in ("G5", "X9", "G5+X9"):
        answer = predict(predictor, name)
        assert (answer.status, answer.reason) == (PREDICTED, "")
        np.testing.assert_allclose(answer.effect, weight * known.effects.mean(axis=1), atol=1e-15)
    assert predictor.described()["parts"] == parts
    assert predictor.in_words() == f"{parts}, mean weight {weight:g}, no on-target term"


@pytest.mark.parametrize("given", [GIVEN, PUBLISHED], ids=["given", "published"])
def test_a_double_moves_from_the_bias_by_the_sum_of_its_singles(given):
    model = fit(training(), given).inner
    double, first, second = (predict(model, name).effect for name in ("G5+G12", "G5", "G12"))
    np.testing.assert_allclose(double - model.bias, first + second - 2 * model.bias, atol=1e-12)
    assert np.abs(double - model.bias).max() > 0.01


@pytest.mark.parametrize(
    "given", [GIVEN, PUBLISHED, {**GIVEN, "solver": "pinv"}, {"on_target": True}, {}], ids=str
)
def test_the_order_of_the_training_perturbations_does_not_matter(given):
    known = bilinear_screen(40, 14, 3, own=-0.5)
    order = np.random.default_rng(2).permutation(14)
    answers = [
        fit(part, given).predict("G20", Target((20,)), 0.9)
        for part in (known, part_of(known, order))
    ]
    for name in ("effect", "lower", "upper"):
        first, second = (getattr(answer, name) for answer in answers)
        np.testing.assert_allclose(first, second, atol=1e-9)


@pytest.mark.parametrize("solver", ["ridge", "tikhonov"])
def test_a_larger_penalty_pulls_predictions_towards_the_bias(solver):
    known = training()
    models = [fit(known, GIVEN, solver=solver, penalty=λ).inner for λ in (0.1, 10, 1e3, 1e9)]
    distances = [np.linalg.norm(predict(m, "G5").effect - m.bias) for m in models]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-6 < distances[0]


def test_control_itself_is_predicted_by_the_bias():
    model = fit(training(), GIVEN).inner
    np.testing.assert_array_equal(model.predict("control", Target(())).effect, model.bias)


@pytest.mark.parametrize("on_target", [False, True])
def test_the_targets_own_change_is_learned_apart_and_replaces_the_models(on_target):
    known = bilinear_screen(40, 20, 5, own=-0.8)
    predictor = fit(known, GIVEN, on_target=on_target)
    effect = predictor.predict("G25", Target((25,))).effect
    inner = predictor.inner.predict("G25", Target((25,))).effect
    if on_target:
        assert effect[25] == predictor.own.factor * known.control[25]
        assert effect[25] == pytest.approx(-0.8 * known.control[25], abs=0.1)
    np.testing.assert_array_equal(np.delete(effect, 25), np.delete(inner, 25))
    # Own entries teach nothing else.
    rows = np.arange(20)
    effects = known.effects.copy()
    effects[rows, rows] *= np.random.default_rng(1).uniform(0.5, 2, size=20)
    again = fit(with_effects(known, effects), GIVEN, on_target=on_target).inner.arrays()
    same = np.array_equal(again["weights"], predictor.inner.weights)
    assert same == on_target


@pytest.mark.parametrize("on_target", [False, True])
def test_the_same_training_set_gives_the_same_bytes_again(on_target):
    known = bilinear_screen(30, 12, 7, own=-0.5)
    runs = [fit(known, {"on_target": on_target}).arrays() for _ in range(2)]
    assert [a.tobytes() for a in runs[0].values()] == [a.tobytes() for a in runs[1].values()]


def test_nothing_that_is_given_is_changed():
    known = training()
    before = known.effects.copy(), known.control.copy()
    for chosen in (PUBLISHED, {"on_target": True}, GIVEN):
        predict(fit(known, chosen), "G5")
    np.testing.assert_array_equal(known.effects, before[0])
    np.testing.assert_array_equal(known.control, before[1])


def test_embeddings_from_elsewhere_take_the_place_of_the_settings():
    known = training()
    rng = np.random.default_rng(8)
    genes = GeneEmbedding("file", rng.normal(size=(30, 4)))
    table = {name: rng.normal(size=2) for name in ["X1", *GENES]}
    given = {**GIVEN, "dimensions": None, "mean_weight": 0.0, "solver": "pinv"}
    predictor = fit_predictor("linear", known, given, genes, PerturbationEmbedding("file", table))
    assert predictor.inner.weights.shape == (4, 2)
    # X1 has a row in the table, although its gene was not measured; X2 has none.
    columns = [k for k, name in enumerate(known.perturbations) if name != "X2"]
    P = np.array([table["G3"] + table["G8"] if k == 8 else table[known.perturbations[k]]
                  for k in columns])  # fmt: skip
    W = np.linalg.pinv(genes.values) @ known.effects[:, columns] @ np.linalg.pinv(P).T
    np.testing.assert_allclose(predictor.inner.weights, W, atol=1e-12)
    assert predict(predictor, "X1").status == PREDICTED
    assert predict(predictor, "X2").reason == "not in the perturbation embedding: X2"


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("given", [{}, {"on_target": True}, GIVEN, {"dimensions": 0}], ids=str)
def test_one_or_two_training_perturbations_are_enough_to_fit(count, given):
    known = part_of(training(), list(range(count)))
    if given.get("dimensions"):
        given = {**given, "dimensions": 1}
    answer = fit(known, given).predict("G5", Target((5,)), 0.9)
    assert np.isfinite(answer.effect).all()
    assert np.isnan(answer.lower).all()


@pytest.mark.parametrize("given", [{}, {"on_target": True}, {**GIVEN, "solver": "pinv"}], ids=str)
def test_effects_of_nought_are_predicted_as_no_change(given):
    known = training()
    answer = fit(with_effects(known, 0 * known.effects), given).predict("G5", Target((5,)), 0.9)
    np.testing.assert_array_equal(answer.effect, 0)


def test_a_fit_describes_what_was_chosen():
    known = bilinear_screen(60, 30, 3, own=-0.8)
    predictor = fit(known, {"on_target": True})
    described = predictor.described()
    assert described["parts"] == "bilinear"
    assert described["on_target_factor"] == pytest.approx(-0.8, abs=0.1)
    assert described["embedded"] == 30
    assert set(described["left_out_l2"]) == {"no change", "mean", "bilinear", "mean and bilinear"}
    words = predictor.in_words()
    assert words.startswith(f"bilinear, mean weight 0, d {described['dimensions']}, penalty ")
    assert words.endswith(f", on-target factor {predictor.own.factor:.3g}")
    assert fit(training(), GIVEN).described()["standard_error"] is None
