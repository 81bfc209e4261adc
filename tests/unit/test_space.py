"""The few coordinates that a linear model can move in: lengths, entries and fits are kept."""

import numpy as np
import pytest

from lgem.prediction.embedding import GeneEmbedding, PerturbationEmbedding, random_genes
from lgem.prediction.linear import Parameters, Specification, fit_columns, known_columns, space_of
from lgem.prediction.space import Columns
from lgem.prediction.training import Training, without_genes_of
from lgem.screen.labels import Target
from tests.unit.model_cases import GENES, INDEX, part_of, slow_model, training

SOURCES = {
    "pca": GeneEmbedding("pca"),
    "pca_expression": GeneEmbedding("pca_expression"),
    "random": random_genes(30, 5, 1),
    "file": GeneEmbedding("file", np.random.default_rng(2).normal(size=(30, 4))),
    "identity": GeneEmbedding("identity"),
}
TABLE = {name: np.random.default_rng(row).normal(size=3) for row, name in enumerate(GENES)}


def specification(source, perturbations="target", solver="tikhonov"):
    table = TABLE if perturbations == "file" else {}
    return Specification(SOURCES[source], PerturbationEmbedding(perturbations, table), solver)


def combinations():
    """All sources of G and P that go together."""
    pairs = [(g, p) for g in SOURCES for p in ("target", "pca", "random", "file")]
    return [pair for pair in pairs if pair != ("identity", "target")]


def test_coordinates_keep_lengths_entries_and_the_way_back():
    columns = Columns.of(training())
    small = columns.compressed(columns.control[:, None])
    assert small.basis.shape == (30, 10)
    np.testing.assert_allclose(small.basis.T @ small.basis, np.eye(10), atol=1e-14)
    np.testing.assert_allclose(small.in_genes(small.effects), columns.effects, atol=1e-14)
    np.testing.assert_allclose(small.in_genes(small.control), columns.control, atol=1e-13)
    np.testing.assert_allclose(small.coordinates(columns.effects), small.effects, atol=1e-14)
    np.testing.assert_allclose(
        np.linalg.norm(small.effects, axis=0), np.linalg.norm(columns.effects, axis=0)
    )
    for genes in ([3, 8], []):
        np.testing.assert_allclose(
            small.entries(small.effects, genes), columns.effects[genes], atol=1e-14
        )
        np.testing.assert_array_equal(
            columns.entries(columns.effects, genes), columns.effects[genes]
        )


def test_where_coordinates_would_not_be_fewer_nothing_changes():
    known = training([f"G{k}" for k in range(30)])
    columns = Columns.of(known)
    assert columns.compressed() is columns
    small = Columns.of(training()).compressed()
    assert small.compressed(np.ones((9, 1))) is small


def test_some_columns_alone_keep_space_and_names():
    columns = Columns.of(training()).compressed()
    some = columns.only([4, 0])
    assert list(some.perturbations) == ["G21", "G3"]
    assert list(some.targets) == [Target((21,)), Target((3,))]
    np.testing.assert_array_equal(some.effects, columns.effects[:, [4, 0]])
    assert some.basis is columns.basis


@pytest.mark.parametrize("solver", ["pinv", "ridge", "tikhonov"])
@pytest.mark.parametrize(("source", "perturbations"), combinations())
def test_a_fit_in_coordinates_is_the_fit_in_gene_space(source, perturbations, solver):
    chosen = specification(source, perturbations, solver)
    parameters = Parameters(0.7, 3, 0.2)
    columns = Columns.of(training())
    small = space_of(columns, chosen)
    assert small.basis is not None
    assert len(small.control) <= 15
    wide, narrow = (fit_columns(part, chosen, parameters) for part in (columns, small))
    np.testing.assert_allclose(small.in_genes(narrow.bias), wide.bias, atol=1e-12)
    found, expected = small.in_genes(narrow.loadings), wide.loadings
    if chosen.perturbations.by_gene:  # up to the signs of the components
        found = found @ small.in_genes(narrow.lookup).T
        expected = expected @ wide.lookup.T
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("solver", ["pinv", "kronecker", "ridge", "tikhonov"])
@pytest.mark.parametrize(("source", "perturbations"), combinations())
def test_a_fit_is_the_formula_written_out(source, perturbations, solver):
    known = training()
    chosen, parameters = specification(source, perturbations, solver), Parameters(0.4, 3, 0.2)
    fit = fit_columns(Columns.of(known), chosen, parameters)
    slow = slow_model(known, chosen, parameters)
    for name in ("G5", "G8", "G5+G11"):
        target = INDEX.find(name)
        if fit.lookup is not None:
            p = fit.lookup[list(target.rows)].sum(axis=0)
        else:
            p = chosen.perturbations.vector(name, 3)
        np.testing.assert_allclose(fit.bias + fit.loadings @ p, slow(name, target), atol=1e-9)


def test_the_bias_is_the_mean_of_all_perturbations_measured_or_not():
    known = training()
    fit = fit_columns(Columns.of(known), specification("pca"), Parameters(0.5, 0, 0.0))
    np.testing.assert_allclose(fit.bias, 0.5 * sum(known.effects.T) / 9, atol=1e-15)
    assert fit.loadings.shape == (30, 0)


def test_weights_are_learned_from_what_can_be_embedded_alone():
    known = training()
    embeddable = known_columns(Columns.of(known), PerturbationEmbedding("target"))
    assert [known.perturbations[k] for k in embeddable] == [
        *("G3", "G8", "G11", "G20", "G21", "G29", "G3+G8")
    ]
    chosen, parameters = specification("random"), Parameters(0.0, 3, 0.1)
    whole = fit_columns(Columns.of(known), chosen, parameters)
    some = fit_columns(Columns.of(part_of(known, embeddable)), chosen, parameters)
    np.testing.assert_array_equal(whole.weights, some.weights)


@pytest.mark.parametrize("source", ["pca", "identity"])
def test_without_anything_to_embed_the_bilinear_part_is_empty(source):
    known = training(["X1", "X2"])
    fit = fit_columns(Columns.of(known), specification(source, "pca"), Parameters(1.0, 2, 0.1))
    assert fit.loadings.shape == (30, 0)
    np.testing.assert_allclose(fit.bias, known.effects.mean(axis=1))


def test_masked_training_has_nought_at_every_target_of_a_column_and_nowhere_else():
    known = training()
    masked = known.masked()
    expected = known.effects.copy()
    for column, rows in {0: [3], 1: [8], 2: [11], 3: [20], 4: [21], 5: [29], 8: [3, 8]}.items():
        expected[rows, column] = 0
    np.testing.assert_array_equal(masked.effects, expected)
    assert known.effects.all()  # what was given is as it was
    assert isinstance(masked, Training)
    assert masked.control is known.control


@pytest.mark.parametrize(
    ("left_out", "train"),
    [
        (["A"], ["B", "C"]),
        (["B"], ["A", "C", "A+C"]),
        (["A", "B"], ["C"]),
        (["A+B"], ["A", "B", "C", "A+C"]),
        (["C", "A+B"], ["A", "B"]),
    ],
)
def test_combinations_of_a_gene_that_is_left_out_singly_go_too(left_out, train):
    names = ["A", "B", "C", "A+B", "A+C"]
    found = without_genes_of(names, range(5), [names.index(name) for name in left_out])
    assert [names[k] for k in found] == train
