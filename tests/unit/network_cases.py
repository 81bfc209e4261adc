"""Covariances to update, in both forms, for the tests of the network."""

import numpy as np
import pytest

from lgem.network.precision import invert
from lgem.network.structure import LowRank
from lgem.network.updates import UpdatedPrecision

FORMS = ["dense", "implicit"]


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def factors(seed, genes, rank=3, condition=1e2):
    """A diagonal within [1, 2] and orthogonal factors: the condition is at most what is asked."""
    rank = min(rank, genes)
    axes = np.linalg.qr(normal(seed, genes, rank))[0]
    sizes = np.geomspace(1, condition - 2, rank)[::-1]
    return LowRank(np.random.default_rng(seed).uniform(1, 2, genes), axes * np.sqrt(sizes))


def removable(seed, sigma, rank, share=0.9):
    """Loadings that take at most a share of the variance of any direction."""
    part = np.linalg.svd(normal(seed, len(sigma), rank), full_matrices=False)
    return np.sqrt(share) * np.linalg.cholesky(sigma) @ part[0] @ part[2]


def updated(covariance, form, seed=1):
    return UpdatedPrecision(invert(covariance, form=form), seed)


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


forms = pytest.mark.parametrize("form", FORMS)
