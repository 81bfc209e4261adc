"""Linear mixed forms: responses, fixed and random features that share low-dimensional codes.

    Y ≈ (K + H) αᵀ,   X ≈ K βᵀ,   Z ≈ H uᵀ

Y (samples × genes), X (samples × fixed-effect features), Z (samples × random-effect features),
codes K and H (samples × k). The free form minimises

    F = ‖Y − (K+H)αᵀ‖² + ‖X − Kβᵀ‖² + ‖Z − Huᵀ‖² + ρ (‖K‖² + ‖H‖² + ‖α‖² + ‖β‖² + ‖u‖²)

and never lets it rise. Only the column space of α is identified; how codes are split into K and H
depends on the start.

Notes
-----
After D. Banh, "Linear mixed forms". docs/mixed_forms.md says what the printed algorithm gets wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from lgem.prediction.components import signs_of
from lgem.systems import numerical_rank


@dataclass(frozen=True)
class Modalities:
    """What is decomposed: three blocks of the same n samples.

    Parameters
    ----------
    Y
        Profiles (n × genes).
    X
        What has fixed effects, such as perturbations (n × fixed features).
    Z
        What has random effects, such as batches (n × random features). Without columns there is
        no random part: H is 0.
    """

    Y: np.ndarray
    X: np.ndarray
    Z: np.ndarray

    @property
    def has_random(self) -> bool:
        """Whether there are random-effect features."""
        return self.Z.shape[1] > 0

    def squares(self) -> float:
        """Return the sum of squares of all blocks."""
        return float(sum(np.sum(block**2) for block in (self.Y, self.X, self.Z)))


@dataclass(frozen=True)
class Forms:
    """Codes and loadings: all that is estimated.

    Parameters
    ----------
    K, H
        Codes of the fixed and of the random part (samples × k).
    alpha
        Loadings that decode Y from K + H (genes × k).
    beta, u
        Loadings that decode X from K and Z from H (features × k).
    """

    K: np.ndarray
    H: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    u: np.ndarray

    @property
    def code(self) -> np.ndarray:
        """K + H (samples × k), what Y is decoded from."""
        return self.K + self.H

    def rotated(self, V: np.ndarray) -> Forms:
        """Return the same fit in other axes of the codes; V (k × k) is orthogonal."""
        return Forms(self.K @ V, self.H @ V, self.alpha @ V, self.beta @ V, self.u @ V)

    def canonical(self) -> Forms:
        """Return the same fit in the principal axes of K + H, signs fixed.

        The largest loading of every axis is positive, so that neither the order of samples nor
        the library of linear algebra decides the signs.
        """
        V = linalg.svd(self.code, full_matrices=False)[2].T
        return self.rotated(V * signs_of(self.alpha @ V))


def objective(data: Modalities, forms: Forms, rho: float) -> float:
    """Return F."""
    misfits = (
        data.Y - forms.code @ forms.alpha.T,
        data.X - forms.K @ forms.beta.T,
        data.Z - forms.H @ forms.u.T,
    )
    sizes = (forms.K, forms.H, forms.alpha, forms.beta, forms.u)
    squares = sum(float(np.sum(misfit**2)) for misfit in misfits)
    return squares + rho * sum(float(np.sum(size**2)) for size in sizes)


def _over(gram: np.ndarray, rho: float, right: np.ndarray) -> np.ndarray:
    """Return right (gram + ρI)⁻¹ for a positive semidefinite gram (k × k).

    Axes that neither the gram nor ρ gives any weight beside the others get none.
    """
    weights, axes = linalg.eigh(gram)
    weights = np.maximum(weights, 0.0) + rho
    known = weights > np.finfo(float).eps * len(gram) * weights.max(initial=0.0)
    inverse = np.divide(1.0, weights, out=np.zeros_like(weights), where=known)
    return (right @ axes) * inverse @ axes.T


def loadings(block: np.ndarray, code: np.ndarray, rho: float) -> np.ndarray:
    """Return the loadings (features × k) that decode a block from a code best: ridge regression."""
    return _over(code.T @ code, rho, block.T @ code)


def with_loadings(data: Modalities, forms: Forms, rho: float) -> Forms:
    """Return the forms with α, β and u at their best for the codes."""
    return replace(
        forms,
        alpha=loadings(data.Y, forms.code, rho),
        beta=loadings(data.X, forms.K, rho),
        u=loadings(data.Z, forms.H, rho),
    )


def fixed_code(data: Modalities, forms: Forms, rho: float) -> np.ndarray:
    """Return the best K for everything else."""
    right = (data.Y - forms.H @ forms.alpha.T) @ forms.alpha + data.X @ forms.beta
    return _over(forms.alpha.T @ forms.alpha + forms.beta.T @ forms.beta, rho, right)


def random_code(data: Modalities, forms: Forms, rho: float) -> np.ndarray:
    """Return the best H for everything else; 0 without random features."""
    if not data.has_random:
        return np.zeros_like(forms.H)
    right = (data.Y - forms.K @ forms.alpha.T) @ forms.alpha + data.Z @ forms.u
    return _over(forms.alpha.T @ forms.alpha + forms.u.T @ forms.u, rho, right)


def monotone_sweep(data: Modalities, forms: Forms, rho: float, _: int = 0) -> Forms:
    """Return the forms after one exact step in every block, in their principal axes.

    No step raises F. Between sweeps the axes may turn, all blocks together; to orthonormalise the
    codes there instead would raise it.
    """
    forms = with_loadings(data, forms, rho)
    forms = replace(forms, K=fixed_code(data, forms, rho))
    forms = replace(forms, H=random_code(data, forms, rho))
    return forms.canonical()


def cyclic_sweep(data: Modalities, forms: Forms, rho: float, number: int) -> Forms:
    """Return the forms after one step in the order of the printed algorithm, for comparison.

    K + H, K and H are set in turn, each from one block alone: from Y, X and Z. Transposes and
    inverses that the print lacks are there; what it leaves open, how a new K + H is shared out, is
    done half and half. Since a step looks at one block, the next one undoes it.
    """
    forms = with_loadings(data, forms, rho)
    if number % 3 == 0:
        change = _over(forms.alpha.T @ forms.alpha, rho, data.Y @ forms.alpha) - forms.code
        if not data.has_random:
            return replace(forms, K=forms.K + change)
        return replace(forms, K=forms.K + change / 2, H=forms.H + change / 2)
    if number % 3 == 1:
        return replace(forms, K=_over(forms.beta.T @ forms.beta, rho, data.X @ forms.beta))
    return replace(forms, H=_over(forms.u.T @ forms.u, rho, data.Z @ forms.u))


def start_of(data: Modalities, dimensions: int, seed: int | None = None) -> Forms:
    """Return codes to start from; loadings are 0 until the first step sets them.

    Parameters
    ----------
    data
        The blocks.
    dimensions
        k.
    seed
        None for the one start that depends on nothing but the data: the principal components of
        Y, the part of them that X explains in K, the part that Z explains in H, the rest in equal
        shares. Else components are shared out at random. Axes beyond the rank of Y are 0, and no
        step of a fit leaves that.
    """
    U, s, _ = linalg.svd(data.Y, full_matrices=False)
    code = np.zeros((len(data.Y), dimensions))
    # Components beyond the rank are rounding, which must not decide where a fit ends.
    kept = min(dimensions, numerical_rank(s, data.Y.shape))
    code[:, :kept] = U[:, :kept] * np.sqrt(s[:kept])
    if seed is None:
        both = np.hstack([data.X, data.Z])
        # A little ridge makes the shares unique where X and Z overlap.
        ridge = 1e-3 * float(np.mean(np.sum(both**2, axis=0))) if both.shape[1] else 0.0
        shares = loadings(code, both, ridge).T if ridge else np.zeros((both.shape[1], dimensions))
        split = data.X.shape[1]
        fixed, random = data.X @ shares[:split], data.Z @ shares[split:]
        rest = (code - fixed - random) / 2
        K, H = fixed + rest, random + rest
    else:
        weight = np.random.default_rng([seed, 2]).uniform(size=code.shape)
        K, H = weight * code, (1 - weight) * code
    if not data.has_random:
        K, H = code, np.zeros_like(code)
    empty = [np.zeros((block.shape[1], dimensions)) for block in (data.Y, data.X, data.Z)]
    return Forms(K, H, *empty)
