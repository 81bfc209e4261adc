"""Linear systems that explain themselves: shape, rank, solutions, condition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg


@dataclass(frozen=True)
class Diagnosis:
    """What can be said of A x = b before it is solved.

    ``shape_class`` is square, overdetermined or underdetermined; ``verdict`` is unique, none or
    infinite (or, without b, of the least-squares problem: unique or infinite);
    ``free_parameters`` is the dimension of the set of solutions; ``condition`` the ratio of the
    largest to the smallest singular value, infinite where the columns are dependent.
    """

    rows: int
    columns: int
    rank: int
    rank_augmented: int | None
    shape_class: str
    verdict: str
    free_parameters: int
    condition: float

    @property
    def full_column_rank(self) -> bool:
        """Whether the least-squares solution is unique."""
        return self.rank == self.columns


def numerical_rank(singular_values: np.ndarray, shape: tuple[int, int]) -> int:
    """Count the singular values above eps · max(shape) · largest: the project's one rule."""
    if singular_values.size == 0:
        return 0
    tolerance = np.finfo(float).eps * max(shape) * singular_values.max()
    return int(np.sum(singular_values > tolerance))


def shape_class(rows: int, columns: int) -> str:
    """Name the shape of a system of so many equations and unknowns."""
    if rows == columns:
        return "square"
    return "overdetermined" if rows > columns else "underdetermined"


def diagnose(A: np.ndarray, b: np.ndarray | None = None) -> Diagnosis:
    """Classify the system A x = b, or the least-squares problem of A where b is not given.

    Parameters
    ----------
    A
        Coefficients (rows × columns).
    b
        Right-hand side (rows,), or several (rows × k), all of which must be solvable.
    """
    rows, columns = A.shape
    singular = linalg.svdvals(A) if A.size else np.zeros(0)
    rank = numerical_rank(singular, A.shape)
    augmented = None
    if b is not None:
        joint = np.column_stack([A, _scaled(b, singular.max(initial=0.0))])
        augmented = numerical_rank(linalg.svdvals(joint), joint.shape) if joint.size else 0
    if augmented is not None and augmented > rank:
        verdict = "none"
    else:
        verdict = "unique" if rank == columns else "infinite"
    full = rank == columns and singular.size >= columns
    return Diagnosis(
        rows=rows,
        columns=columns,
        rank=rank,
        rank_augmented=augmented,
        shape_class=shape_class(rows, columns),
        verdict=verdict,
        free_parameters=columns - rank,
        condition=float(singular[0] / singular[-1]) if full and columns else float("inf"),
    )


def _scaled(b: np.ndarray, size: float) -> np.ndarray:
    """Return the columns of b, none of them zero scaled to `size` or 1.

    Whether b lies in the span of A does not depend on the units of either; ranks must not.
    """
    columns = b[:, None] if b.ndim == 1 else b
    norms = np.sqrt(np.sum(np.square(columns), axis=0))
    return columns / np.where(norms > 0, norms, 1.0) * (size or 1.0)


def estimable(A: np.ndarray) -> np.ndarray:
    """Return which single coefficients of A x = b every least-squares solution agrees on.

    A coefficient is estimable if and only if no vector of the null space of A touches it.
    """
    triangle = linalg.qr(A, mode="r")[0] if A.shape[0] > A.shape[1] else A  # same null space
    _, singular, right = linalg.svd(triangle, full_matrices=True)
    null_space = right[numerical_rank(singular, A.shape) :]
    return np.all(np.abs(null_space) < 1e-8, axis=0)
