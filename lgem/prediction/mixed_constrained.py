"""The constrained mixed form: a linear mixed model whose coefficients share low-dimensional codes.

    Y = (X A + Z C) αᵀ + E,   K = X A,   H = Z C

Fixed effects X A αᵀ, random effects Z C αᵀ whose variance is `ratio` times that of the residuals
in every gene. The ratio maximises the restricted likelihood (REML) of all genes together; at this
ratio fixed effects are generalised least squares, random effects their best linear unbiased
predictions, and the codes the k principal components of the fitted values. With as many codes as
the fitted values have dimensions this is the standard mixed model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from scipy import linalg

from lgem.prediction.components import signs_of
from lgem.prediction.mixed_forms import Forms, Modalities
from lgem.systems import numerical_rank

# Ratios of the variances are looked for between these, and 0; at 1 random effects and residuals
# vary Y about as much. The likelihood of one contrast of one gene must gain more than NEGLIGIBLE.
SMALLEST, LARGEST, TRIED = 1e-8, 1e8, 65
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Constrained:
    """A fitted constrained form.

    Parameters
    ----------
    A
        Fixed-effect coefficients of the codes (fixed features × k).
    C
        Random-effect coefficients of the codes (random features × k).
    alpha
        Loadings (genes × k), orthonormal columns.
    ratio
        Variance of a random effect over that of a residual.
    residual_variance
        REML estimate of each gene (genes,).
    fixed_covariance
        Covariance of the fixed effects over the residual variance (features × features), before
        the cut to k codes.
    """

    A: np.ndarray
    C: np.ndarray
    alpha: np.ndarray
    ratio: float
    residual_variance: np.ndarray
    fixed_covariance: np.ndarray

    @property
    def fixed_effects(self) -> np.ndarray:
        """A αᵀ (fixed features × genes)."""
        return self.A @ self.alpha.T

    @property
    def random_effects(self) -> np.ndarray:
        """C αᵀ (random features × genes)."""
        return self.C @ self.alpha.T

    def standard_errors(self) -> np.ndarray:
        """Return standard errors of the fixed effects (fixed features × genes), the ratio given.

        They are those of the mixed model, without the cut to k codes.
        """
        shape = np.sqrt(np.diag(self.fixed_covariance))
        return np.outer(shape, np.sqrt(self.residual_variance))

    def forms(self, data: Modalities) -> Forms:
        """Return codes and loadings in the terms of the free form; β and u are least squares."""
        K, H = data.X @ self.A, data.Z @ self.C
        return Forms(K, H, self.alpha, linalg.pinv(K).dot(data.X).T, linalg.pinv(H).dot(data.Z).T)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all parts as named arrays."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Constrained:
        """Restore what `arrays` returned."""
        parts = {field.name: arrays[field.name] for field in fields(cls) if field.name != "ratio"}
        return cls(ratio=float(arrays["ratio"]), **parts)


@dataclass(frozen=True)
class Contrasts:
    """Y and Z with the fixed effects projected out, in the axes of what is left of Z.

    ``strengths`` are the squared singular values of the projected Z (r,); ``along`` the squares
    of Y along their axes (r × genes), ``beyond`` the sum of all other squares (genes,);
    ``freedom`` the contrasts in all: samples − rank of X.
    """

    strengths: np.ndarray
    along: np.ndarray
    beyond: np.ndarray
    freedom: int

    @classmethod
    def of(cls, data: Modalities) -> Contrasts:
        """Return the contrasts of some data."""
        basis = _orthonormal(data.X)
        Y = data.Y - basis @ (basis.T @ data.Y)
        # What rounding leaves of a gene that X explains in full is no contrast.
        rounding = np.finfo(float).eps * len(Y) * linalg.norm(data.Y, axis=0)
        Y *= linalg.norm(Y, axis=0) > rounding
        Z = data.Z - basis @ (basis.T @ data.Z)
        axes, singular, _ = linalg.svd(Z, full_matrices=False)
        rank = numerical_rank(singular, Z.shape)
        along = (axes[:, :rank].T @ Y) ** 2
        beyond = np.maximum(np.sum(Y**2, axis=0) - along.sum(axis=0), 0.0)
        return cls(singular[:rank] ** 2, along, beyond, len(Y) - basis.shape[1])

    def squares(self, ratio: float) -> np.ndarray:
        """Return the weighted residual sum of squares of every gene (genes,) at a ratio."""
        return self.beyond + (self.along / (1 + ratio * self.strengths)[:, None]).sum(axis=0)

    def likelihood(self, ratio: float) -> float:
        """Return the restricted log-likelihood of all genes at a ratio, up to a constant.

        Residual variances are at their best for the ratio; genes without variation do not count.
        """
        squares = self.squares(ratio)
        squares = squares[squares > 0]
        spread = len(squares) * float(np.sum(np.log1p(ratio * self.strengths)))
        return -0.5 * (self.freedom * float(np.sum(np.log(squares))) + spread)


def _orthonormal(X: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the column space (n × rank)."""
    axes, singular, _ = linalg.svd(X, full_matrices=False)
    return axes[:, : numerical_rank(singular, X.shape)]


def variance_ratio(contrasts: Contrasts) -> float:
    """Return the ratio that maximises the restricted likelihood; 0 where none beats 0.

    A grid over 16 orders of magnitude brackets the highest of what may be several maxima. Where
    nothing tells random effects from residuals, as where every sample has a level of its own, all
    ratios are as likely: 0.
    """
    if not len(contrasts.strengths) or contrasts.freedom < 1:
        return 0.0
    from scipy import optimize  # slow to import, and of no use to most jobs

    unit = np.log(contrasts.strengths.mean())  # the units of Z decide nothing
    grid = np.linspace(np.log(SMALLEST), np.log(LARGEST), TRIED) - unit
    values = [contrasts.likelihood(float(np.exp(at))) for at in grid]
    best = int(np.argmax(values))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, TRIED - 1)])
    found = optimize.minimize_scalar(
        lambda at: -contrasts.likelihood(float(np.exp(at))),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-10},
    )
    ratio = float(np.exp(found.x))
    gain = contrasts.likelihood(ratio) - contrasts.likelihood(0.0)
    return ratio if gain > NEGLIGIBLE * contrasts.freedom * contrasts.along.shape[1] else 0.0


def fit_constrained(
    data: Modalities, dimensions: int | None = None, ratio: float | None = None
) -> Constrained:
    """Fit the constrained form.

    Parameters
    ----------
    data
        The blocks; an intercept, where there is to be one, is a column of X.
    dimensions
        k; None keeps every dimension of the fitted values: the standard mixed model.
    ratio
        Variance of a random effect over that of a residual; None: by REML.

    Returns
    -------
    Constrained
        With as many codes as were asked for, or as the fitted values have dimensions.
    """
    contrasts = Contrasts.of(data)
    if ratio is None:
        ratio = variance_ratio(contrasts)
    # V = I + ratio ZZᵀ up to the residual variance; V^(−½) differs from I in the axes of Z alone.
    axes, singular, _ = linalg.svd(data.Z, full_matrices=False)
    change = 1 / np.sqrt(1 + ratio * singular**2) - 1

    def whiten(M: np.ndarray) -> np.ndarray:
        return M + axes @ (change[:, None] * (axes.T @ M))

    X, Y = whiten(data.X), whiten(data.Y)
    inverse = linalg.pinv(X)
    fixed = inverse @ Y
    random = ratio * data.Z.T @ whiten(Y - X @ fixed)
    fitted = data.X @ fixed + data.Z @ random
    _, singular, right = linalg.svd(fitted, full_matrices=False)
    kept = numerical_rank(singular, fitted.shape)
    kept = kept if dimensions is None else min(dimensions, kept)
    alpha = right[:kept].T
    alpha = alpha * signs_of(alpha)
    return Constrained(
        A=fixed @ alpha,
        C=random @ alpha,
        alpha=alpha,
        ratio=ratio,
        residual_variance=contrasts.squares(ratio) / max(contrasts.freedom, 1),
        fixed_covariance=inverse @ inverse.T,
    )
