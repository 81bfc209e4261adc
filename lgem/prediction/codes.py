"""Mixed forms of the samples of a screen, and the embedding of genes that they give."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from lgem.prediction.components import signs_fixed
from lgem.prediction.mixed_constrained import Contrasts, fit_constrained, variance_ratio
from lgem.prediction.mixed_fit import ACCELERATED, Fitted, fit_forms, largest_dimensions
from lgem.prediction.mixed_forms import Forms, Modalities
from lgem.prediction.samples import Samples
from lgem.systems import numerical_rank

FREE, CONSTRAINED = "free", "constrained"


@dataclass(frozen=True)
class FormSettings:
    """What config says of mixed forms.

    Parameters
    ----------
    dimensions
        k, at most; fewer where the samples have fewer.
    penalty
        ρ, blocks scaled so that their samples have a mean square length of 1.
    codes
        ``free`` or ``constrained``.
    schedule, sweeps, tolerance
        Of the free form, see `fit_forms`.
    """

    dimensions: int = 10
    penalty: float = 0.01
    codes: str = CONSTRAINED
    schedule: str = ACCELERATED
    sweeps: int = 2000
    tolerance: float = 1e-6


def fit_free(data: Modalities, settings: FormSettings, seed: int | None = None) -> Fitted:
    """Fit the free form as config says; `seed` of the start, see `start_of`."""
    return fit_forms(
        data,
        largest_dimensions(data, settings.dimensions),
        settings.penalty,
        schedule=settings.schedule,
        sweeps=settings.sweeps,
        tolerance=settings.tolerance,
        seed=seed,
    )


def fit_codes(samples: Samples, settings: FormSettings, basis: np.ndarray | None = None) -> Forms:
    """Return the forms of some samples, free or constrained.

    Parameters
    ----------
    samples
        Their profiles by gene, or in coordinates of a basis.
    settings
        What config says.
    basis
        U (genes × r) where profiles are coordinates.
    """
    if settings.codes == FREE:
        return fit_free(samples.modalities(), settings).forms
    data = samples.with_intercept()
    ratio = variance_ratio(Contrasts.of(_in_genes(data, basis)))
    return fit_constrained(data, largest_dimensions(data, settings.dimensions), ratio).forms(data)


def _in_genes(data: Modalities, basis: np.ndarray | None) -> Modalities:
    """Return the blocks with Y by gene: residuals have a variance in genes, not in coordinates."""
    if basis is None:
        return data
    Y = data.Y @ basis.T
    sizes = linalg.norm(Y, axis=0)
    # What rounding leaves of a gene that is the same everywhere is no variance.
    Y[:, sizes <= np.finfo(float).eps * max(Y.shape) * sizes.max()] = 0.0
    return replace(data, Y=Y)


def gene_scores(
    samples: Samples, settings: FormSettings, basis: np.ndarray | None = None
) -> np.ndarray:
    """Return the embedding of genes by mixed forms: G = α (r × k), in the axes of the fixed part.

    The axes of α are turned to the principal axes of the fixed part Kαᵀ and scaled by its singular
    values, as principal components of effects are: first comes what perturbations move most,
    not what batches do. Signs are fixed. Arguments as in `fit_codes`.
    """
    if not samples.profiles.any():
        return np.zeros((len(samples.profiles), 0))  # nothing moves: there is no code to fit
    forms = fit_codes(samples, settings, basis)
    # With the triangles of K = Q R and α = P S the fixed part is Q (R Sᵀ) Pᵀ, and R Sᵀ is small.
    P, S = linalg.qr(forms.alpha, mode="economic")
    R = linalg.qr(forms.K, mode="economic")[1]
    _, s, right = linalg.svd(R @ S.T, full_matrices=False)
    s[numerical_rank(s, (len(forms.K), len(P))) :] = 0.0
    return signs_fixed(P @ right.T * s)
