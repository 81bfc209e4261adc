"""The linear layer, fitted by gradients, against the closed form that it must agree with."""

import sys

import numpy as np
import pytest

from lgem.errors import InputError
from lgem.prediction.gradient import fit, gradient, linear_layer
from lgem.prediction.solvers import pinv
from tests.conftest import lacking

# (genes, perturbations, columns of G, columns of P)
SHAPES = [(60, 20, 4, 4), (60, 20, 5, 3), (60, 3, 6, 6), (5, 12, 7, 7), (4, 3, 6, 6), (20, 1, 3, 3)]


@pytest.fixture
def torch():
    try:
        import torch
    except ModuleNotFoundError:
        lacking("PyTorch is not installed")
    return torch


def embedding(rng, rows, columns, rank, condition):
    """A matrix with so many singular values, from the condition down to 1, the others nought."""
    left = np.linalg.qr(rng.normal(size=(rows, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(columns, rank)))[0]
    return (left * np.geomspace(condition, 1, rank)) @ right.T


def system(seed, shape, lost=(0, 0), conditions=(3.0, 3.0)):
    """R, G and P, with embeddings that lack some of their possible rank."""
    genes, perturbations, d, e = shape
    rng = np.random.default_rng(seed)
    G, P = (
        embedding(rng, rows, columns, max(1, min(rows, columns) - less), condition)
        for rows, columns, less, condition in zip(
            (genes, perturbations), (d, e), lost, conditions, strict=True
        )
    )
    return rng.normal(size=(genes, perturbations)), G, P


def close(W, expected, tolerance=1e-6):
    """Whether weights agree, relative to their norm."""
    return np.linalg.norm(W - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("lost", [(0, 0), (1, 0), (0, 1), (2, 2)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_lead_to_the_solution_of_minimum_norm(torch, shape, lost):
    for seed in range(3):
        R, G, P = system(seed, shape, lost)
        assert close(gradient(R, G, P), pinv(R, G, P))


@pytest.mark.parametrize("lost", [(0, 0), (3, 4)], ids=str)
@pytest.mark.parametrize("conditions", [(1e3, 1.0), (1.0, 1e3), (1e3**0.5, 1e3**0.5)], ids=str)
def test_a_condition_of_a_thousand_is_no_obstacle(torch, conditions, lost):
    R, G, P = system(1, (200, 50, 10, 10), lost, conditions)
    assert close(gradient(R, G, P), pinv(R, G, P))


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_units_do_not_matter(torch, scale):
    R, G, P = system(2, (60, 20, 4, 4))
    assert close(gradient(scale * R, G, P), scale * gradient(R, G, P), 1e-12)
    assert close(gradient(R, scale * G, P), gradient(R, G, P) / scale, 1e-12)


def test_where_the_condition_is_hopeless_it_says_so(torch):
    R, G, P = system(3, (60, 20, 10, 10), conditions=(1e3, 1e3))
    with pytest.raises(InputError, match="models: solver gradient: found a gradient"):
        gradient(R, G, P)


def test_the_penalty_is_not_used(torch):
    R, G, P = system(4, (60, 20, 4, 4))
    np.testing.assert_array_equal(gradient(R, G, P, 0.0), gradient(R, G, P, 17.0))


def test_the_same_system_gives_the_same_bits(torch):
    R, G, P = system(5, (200, 50, 10, 10))
    np.testing.assert_array_equal(gradient(R, G, P), gradient(R, G, P))


@pytest.mark.parametrize(("d", "e"), [(0, 3), (3, 0), (0, 0)])
def test_no_dimensions_give_no_weights(torch, d, e):
    assert gradient(np.ones((6, 4)), np.ones((6, d)), np.ones((4, e))).shape == (d, e)


def test_nothing_to_fit_leaves_the_weights_at_nought(torch):
    _, G, P = system(6, (60, 20, 4, 4))
    np.testing.assert_array_equal(gradient(np.zeros((60, 20)), G, P), np.zeros((4, 4)))
    np.testing.assert_array_equal(gradient(np.ones((60, 20)), 0 * G, P), np.zeros((4, 4)))


def test_the_arguments_stay_as_they_are(torch):
    given = system(7, (60, 20, 4, 4))
    kept = [A.copy() for A in given]
    gradient(*given)
    for before, after in zip(kept, given, strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_layer_learns_its_weights_and_nothing_else(torch):
    R, G, P = system(8, (60, 20, 5, 3))
    b = np.random.default_rng(9).normal(size=60)
    layer = linear_layer(torch.tensor(G), torch.tensor(b), P.shape[1])
    assert [(name, tuple(W.shape)) for name, W in layer.named_parameters()] == [("W", (5, 3))]
    assert sorted(name for name, _ in layer.named_buffers()) == ["G", "bias"]
    np.testing.assert_array_equal(
        layer(torch.tensor(P)).detach(), np.broadcast_to(b[:, None], R.shape)
    )
    steps = fit(layer, torch.tensor(R + b[:, None]), torch.tensor(P))
    assert 0 < steps <= 100
    W = layer.W.detach().numpy()
    assert close(W, pinv(R, G, P))
    np.testing.assert_allclose(
        layer(torch.tensor(P)).detach(), G @ W @ P.T + b[:, None], atol=1e-12
    )
    np.testing.assert_array_equal(layer.G, G)
    np.testing.assert_array_equal(layer.bias, b)


def test_without_pytorch_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    R, G, P = system(10, (60, 20, 4, 4))
    with pytest.raises(InputError) as error:
        gradient(R, G, P)
    assert str(error.value) == (
        "models: solver gradient: found no PyTorch; "
        "expected pip install lgem[gradient], or --sdm conda"
    )
