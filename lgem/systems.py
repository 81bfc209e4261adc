"""Linear systems that explain themselves: shape, rank, solutions, condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg

# Beside the largest member of a relation between columns of one size, less than this is rounding.
ROUNDING = 1e-8


@dataclass(frozen=True)
class Diagnosis:
    """What can be said of A x = b before it is solved.

    Parameters
    ----------
    rows, columns
        Equations and unknowns.
    rank, rank_augmented
        Of A, and of [A b] where b is known.
    shape_class
        ``square``, ``overdetermined`` or ``underdetermined``.
    verdict
        ``unique``, ``none`` or ``infinite``; without b that of the least-squares problem, which
        always has a solution.
    free_parameters
        Dimension of the set of solutions.
    condition
        Ratio of the largest to the smallest singular value, infinite where columns are dependent.
    singular
        All singular values, the largest first.
    """

    rows: int
    columns: int
    rank: int
    rank_augmented: int | None
    shape_class: str
    verdict: str
    free_parameters: int
    condition: float
    singular: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)

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

    Returns
    -------
    Diagnosis
        Ranks by one rule: singular values above eps · max(rows, columns) · the largest count.
    """
    rows, columns = A.shape
    singular = linalg.svdvals(A) if A.size else np.zeros(0)
    found = diagnose_spectrum(singular, (rows, columns))
    if b is None:
        return found
    joint = np.column_stack([A, _scaled(b, singular.max(initial=0.0))])
    augmented = numerical_rank(linalg.svdvals(joint), joint.shape) if joint.size else 0
    verdict = "none" if augmented > found.rank else found.verdict
    return replace(found, rank_augmented=augmented, verdict=verdict)


def diagnose_spectrum(singular: np.ndarray, shape: tuple[int, int]) -> Diagnosis:
    """Classify the least-squares problem of a matrix from its singular values alone.

    Parameters
    ----------
    singular
        All singular values (as many as the smaller side of the matrix), in any order.
    shape
        Rows and columns of the matrix.
    """
    return _least_squares(shape, numerical_rank(singular, shape), singular)


def diagnose_extremes(largest: float, smallest: float, shape: tuple[int, int]) -> Diagnosis:
    """Classify the least-squares problem of a matrix whose extreme singular values alone are known.

    Where the smallest is rounding, one rank is counted as lost, though it may be more.
    """
    singular = np.array([largest, smallest])
    lost = 2 - numerical_rank(singular, shape)
    return _least_squares(shape, min(shape) - lost, singular)


def diagnose_product(P: np.ndarray | Diagnosis, G: np.ndarray | Diagnosis) -> Diagnosis:
    """Classify the least-squares problem of P ⊗ G, which is never formed.

    The singular values of P ⊗ G are all products of one of P and one of G: its rank and condition
    number are products, as its rows and columns are.

    Parameters
    ----------
    P, G
        The factors, or what has been found of them.
    """
    one, other = (it if isinstance(it, Diagnosis) else diagnose(it) for it in (P, G))
    shape = (one.rows * other.rows, one.columns * other.columns)
    return _least_squares(shape, one.rank * other.rank, np.outer(one.singular, other.singular))


def _least_squares(shape: tuple[int, int], rank: int, singular: np.ndarray) -> Diagnosis:
    """Return the diagnosis of a matrix whose rank and singular values are known."""
    rows, columns = shape
    ordered = np.sort(singular, axis=None)[::-1]
    full = rank == columns > 0
    return Diagnosis(
        rows=rows,
        columns=columns,
        rank=rank,
        rank_augmented=None,
        shape_class=shape_class(rows, columns),
        verdict="unique" if rank == columns else "infinite",
        free_parameters=columns - rank,
        condition=float(ordered[0] / ordered[-1]) if full else np.inf,
        singular=ordered,
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

    Parameters
    ----------
    A
        Coefficients (rows × columns).

    Returns
    -------
    (columns,) of bool
        Whether each is estimable, whatever b is.
    """
    triangle = linalg.qr(A, mode="r")[0] if A.shape[0] > A.shape[1] else A  # same null space
    _, singular, right = linalg.svd(triangle, full_matrices=True)
    null_space = right[numerical_rank(singular, A.shape) :]
    return np.all(np.abs(null_space) < 1e-8, axis=0)


@dataclass(frozen=True)
class Dependence:
    """A minimal linear relation between columns: Σ c_i a_i = 0, and no fewer of them are related.

    ``columns`` are their numbers, ascending; ``coefficients`` the c_i, the first of them 1.
    """

    columns: tuple[int, ...]
    coefficients: tuple[float, ...]


def dependences(A: np.ndarray) -> list[Dependence]:
    """Return minimal relations between the columns of A, as many as A lacks in rank.

    QR with column pivoting, A Π = Q [R₁ R₂; 0 0], picks as many independent columns as there are.
    Every other column is one combination of these, R₁⁻¹R₂, and with those that it needs it forms
    a relation that no smaller set of columns has. Columns are scaled to length 1 first: the units
    of a covariate decide nothing.
    """
    norms = np.sqrt(np.sum(np.square(A), axis=0))
    norms[norms == 0] = 1.0
    if not A.size:
        return [Dependence((column,), (1.0,)) for column in range(A.shape[1])]
    scaled = A / norms
    triangle = linalg.qr(scaled, mode="r")[0] if A.shape[0] > A.shape[1] else scaled
    rank = numerical_rank(linalg.svdvals(triangle), A.shape)
    pivoted, order = linalg.qr(triangle, mode="r", pivoting=True)
    basis, others = order[:rank], order[rank:]
    weights = linalg.solve_triangular(pivoted[:rank, :rank], pivoted[:rank, rank:])
    relations = []
    for at, column in enumerate(others):
        weight = weights[:, at]
        needed = np.abs(weight) > ROUNDING * max(1.0, np.abs(weight).max(initial=0.0))
        members = np.append(basis[needed], column)
        coefficients = np.append(weight[needed], -1.0) / norms[members]
        turn = np.argsort(members)
        relations.append(
            Dependence(
                tuple(members[turn].tolist()),
                tuple((coefficients[turn] / coefficients[turn[0]]).tolist()),
            )
        )
    return sorted(relations, key=lambda relation: relation.columns)


@dataclass(frozen=True)
class System:
    """One linear system that a run has solved, as a row of ``design.tsv``.

    Numbers are missing where nothing was solved. Where columns cannot be told apart, ``aliased``
    names them, ``cause`` says why in a word or two, and ``remedy`` what to do about it.
    ``singular`` are the singular values, which stand in a table of their own.
    """

    system: str
    rows: int | None
    columns: int | None
    rank: int | None
    condition: float | None
    verdict: str
    explanation: str
    aliased: str = ""
    cause: str = ""
    remedy: str = ""
    singular: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        diagnosis: Diagnosis | None,
        explanation: str,
        *,
        aliased: str = "",
        cause: str = "",
        remedy: str = "",
    ) -> System:
        """Return the row of a system that was diagnosed, or (None) that was not there to solve."""
        if diagnosis is None:
            return cls(name, None, None, None, None, NOT_SOLVED, explanation, "", cause, remedy)
        return cls(
            name,
            diagnosis.rows,
            diagnosis.columns,
            diagnosis.rank,
            diagnosis.condition,
            diagnosis.verdict,
            explanation,
            aliased,
            cause,
            remedy,
            tuple(map(float, diagnosis.singular)),
        )


NOT_SOLVED = "not solved"
SYSTEM_COLUMNS = [each.name for each in fields(System) if each.name != "singular"]


def systems_table(systems: Sequence[System]) -> pd.DataFrame:
    """Return the table of systems, one row each; counts stay whole where some are missing."""
    table = pd.DataFrame([asdict(system) for system in systems], columns=SYSTEM_COLUMNS)
    return table.astype({**dict.fromkeys(["rows", "columns", "rank"], "Int64"), "condition": float})


def worst(systems: Sequence[System]) -> System:
    """Return the worst of one system met several times.

    That is the most deficient, of these one with a cause, of these the worst conditioned.
    """

    def badness(system: System) -> tuple[int, bool, float]:
        if system.columns is None or system.rank is None:
            return -1, False, 0.0
        return system.columns - system.rank, bool(system.cause), system.condition or 0.0

    return max(systems, key=badness)


def spectra_table(systems: Sequence[System]) -> pd.DataFrame:
    """Return the singular values of systems: system, order, singular_value."""
    rows = [(one.system, at + 1, value) for one in systems for at, value in enumerate(one.singular)]
    return pd.DataFrame(rows, columns=["system", "order", "singular_value"])


def systems_content(systems: Sequence[System]) -> dict[str, Any]:
    """Return systems as a stage hands them on: plain values, for JSON."""
    return {"systems": [asdict(system) for system in systems]}


def systems_from(content: Mapping[str, Any]) -> list[System]:
    """Restore what `systems_content` returned."""
    return [System(**{**one, "singular": tuple(one["singular"])}) for one in content["systems"]]
