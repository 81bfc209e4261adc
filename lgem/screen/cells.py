"""Which cell belongs to which group: the plan that every pass over the counts follows.

The plan is made from the cells' annotation alone, over all shards at once, so that shards can be
counted as independent jobs and still share groups and technical halves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from lgem.errors import InputError, listing, nearest
from lgem.screen.labels import CONTROL, LabelRules, normalise
from lgem.screen.tables import AT_ONCE, NAMES, as_levels, joined, require_columns

NO_GROUP = -1
# So many levels of a factor are unusual, but may be what a small screen has.
MOST_LEVELS = 100
# What is known of a cell before all shards are read; no column of a user's is called so.
RAW_LABEL, KEPT_BY = "lgem raw label", "lgem keep: "
# What a cell table holds besides the covariates.
COLUMNS = (
    *("shard", "cell", "asked", "perturbation", "batch", "guide", "size_factor", "group", "half"),
)


@dataclass(frozen=True)
class CellRules:
    """What the columns of a screen mean; see the config keys of the same names."""

    perturbation: str
    labels: LabelRules
    keep: dict[str, list[str]]
    batch: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    guide: str | None = None
    size_factor: str | None = None

    @property
    def columns(self) -> dict[str, list[str]]:
        """The obs columns that must be there, by the config key that names them."""
        return {
            "perturbation": [] if self.perturbation == "index" else [self.perturbation],
            "keep": list(self.keep),
            "batch": list(self.batch),
            "covariates": list(self.covariates),
            "guide": [self.guide] if self.guide else [],
            "size_factor": [self.size_factor] if self.size_factor else [],
        }

    @property
    def needed(self) -> set[str]:
        """The obs columns that are read."""
        return {column for columns in self.columns.values() for column in columns}


def describe_cells(obs: pd.DataFrame, rules: CellRules, place: str) -> pd.DataFrame:
    """Return what the plan needs to know of the cells of one shard (raw label, not yet read)."""
    for key, columns in rules.columns.items():
        require_columns(obs, columns, f"{place}: {key}")
    by_name = rules.perturbation == "index"
    cells = {
        "cell": obs.index.astype(NAMES).array,
        RAW_LABEL: as_levels(obs.index.to_series() if by_name else obs[rules.perturbation]),
        "batch": joined(obs, rules.batch, place),
        "guide": joined(obs, [rules.guide] if rules.guide else [], place),
        "size_factor": _size_factors(obs, rules.size_factor, place),
    }
    cells |= {KEPT_BY + column: as_levels(obs[column]) for column in rules.keep}
    cells |= {column: joined(obs, [column], place) for column in rules.covariates}
    return pd.DataFrame(cells, copy=False)


def _size_factors(obs: pd.DataFrame, column: str | None, place: str) -> np.ndarray:
    if column is None:
        return np.full(len(obs), np.nan)  # the row sum, known once the counts are read
    values = pd.to_numeric(obs[column], errors="coerce").to_numpy(dtype=float)
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise InputError(
            f"{place}: column '{column}'",
            f"'{obs[column].iloc[at]}' for cell '{obs.index[at]}'",
            "total counts: numbers from 0",
        )
    return values


def plan_cells(
    shards: list[pd.DataFrame], rules: CellRules, seed: int, place: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give every cell its perturbation, group and technical half.

    Parameters
    ----------
    shards
        What `describe_cells` returned for each shard, in order.
    seed
        Decides, with the cell's name, which half a cell falls into; the order of cells does not.

    Returns
    -------
    cells, groups
        One row per cell in the order of the shards (`COLUMNS` and the covariates; ``asked`` is the
        perturbation of its label, ``perturbation`` the same where `keep` keeps the cell; ``group``
        is -1 for cells without one), and one row per group:
        perturbation × batch × covariates, sorted, with ``n_cells``, ``n_half_1``, ``n_half_2``.

    Raises
    ------
    InputError
        Where no cell is control, or fewer than two perturbations occur.
    """
    cells = _below_one_another(shards)
    cells["asked"] = normalise(cells.pop(RAW_LABEL), rules.labels, place)
    kept = cells_kept(cells, rules.keep, place)
    cells["perturbation"] = cells["asked"].where(kept)
    _require_perturbations(cells["perturbation"], place)
    _require_shared_levels(cells, ["batch", *rules.covariates], place)
    cells["group"], groups = _groups(cells[["perturbation", "batch", *rules.covariates]])
    cells["half"] = _halves(cells, seed)
    for name, which in (
        ("n_cells", cells["group"] != NO_GROUP),
        *((f"n_half_{half}", cells["half"] == half) for half in (1, 2)),
    ):
        groups[name] = np.bincount(cells["group"][which], minlength=len(groups))
    return pd.DataFrame(
        {name: cells[name].array for name in (*COLUMNS, *rules.covariates)}, copy=False
    ), groups


def _below_one_another(shards: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the cells of all shards and the number of each one's shard, levels as levels."""
    sizes = [len(shard) for shard in shards]
    columns: dict[Any, Any] = {"shard": np.repeat(np.arange(len(shards), dtype=np.int32), sizes)}
    for name in shards[0]:
        parts = [shard[name] for shard in shards]
        if isinstance(parts[0].dtype, pd.CategoricalDtype):
            columns[name] = union_categoricals(parts, sort_categories=True)
        else:
            columns[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns, copy=False)


def _groups(keys: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Number the combinations of levels that occur, in their order.

    Returns
    -------
    group, groups
        Of each cell the number of its combination, `NO_GROUP` where the first level is missing;
        and the combinations (one column of texts per factor).
    """
    codes = [keys[name].cat.codes.to_numpy() for name in keys]
    sizes = [len(keys[name].cat.categories) for name in keys]
    there = codes[0] >= 0
    number, combinations = np.zeros(there.sum(), dtype=np.int64), np.zeros((1, 0), dtype=np.int64)
    for code, size in zip(codes, sizes, strict=True):
        number *= size
        number += code[there]
        # Numbered anew after every factor, so that many factors do not overflow.
        number, distinct = pd.factorize(number, sort=True)
        combinations = np.column_stack([combinations[distinct // size], distinct % size])
    group = np.full(len(keys), NO_GROUP, dtype=np.int32)
    group[there] = number
    levels = {name: keys[name].cat.categories[combinations[:, at]] for at, name in enumerate(keys)}
    return group, pd.DataFrame(levels).astype(object)


def cells_kept(cells: pd.DataFrame, keep: Mapping[str, Sequence[str]], place: str) -> np.ndarray:
    """Return which cells hold one of the wanted values in every column of `keep`.

    Raises
    ------
    InputError
        Where no cell holds a wanted value.
    """
    kept = np.ones(len(cells), dtype=bool)
    for column, wanted in keep.items():
        values = cells[KEPT_BY + column]
        there = sorted(values.dropna().unique())
        for value in wanted:
            if value not in there:
                raise InputError(
                    f"{place}: keep: column '{column}'",
                    f"no cell with '{value}'",
                    f"values that are there: {listing(there)}",
                    nearest(value, there),
                )
        kept &= values.isin(list(wanted)).to_numpy()
    return kept


def _require_perturbations(perturbation: pd.Series, place: str) -> None:
    found = sorted(set(perturbation.cat.remove_unused_categories().cat.categories) - {CONTROL})
    if not (perturbation == CONTROL).any():
        carried = int(perturbation.notna().sum())
        raise InputError(
            f"{place}: keep",
            f"{carried} cells with a perturbation, none of them control, among those kept",
            "values of keep that some control cells have",
        )
    if len(found) < 2:
        raise InputError(
            f"{place}: perturbation",
            f"{len(found)} besides control ({listing(found) or 'none'})",
            "at least two perturbations",
        )


def _require_shared_levels(cells: pd.DataFrame, factors: Sequence[str], place: str) -> None:
    """Refuse a factor with more levels than half of the cells: it can only tell cells apart."""
    carried = cells["perturbation"].notna()
    for factor in factors:
        values = cells[factor][carried]
        levels = values.nunique()
        if levels > MOST_LEVELS and 2 * levels > len(values):
            raise InputError(
                f"{place}: {factor}",
                f"{levels} levels among {len(values)} cells, such as '{values.iloc[0]}'",
                "levels that many cells share; is this a column of barcodes?",
            )


def _halves(cells: pd.DataFrame, seed: int) -> np.ndarray:
    """Rank the cells of each group by a hash of seed and name; the lower ⌈n/2⌉ are half 1.

    Batch and size break ties between cells of one name, and position what then still ties.
    """
    group = cells["group"].to_numpy() - NO_GROUP
    sizes = np.bincount(group)
    order = np.lexsort((cells["size_factor"], _hashes(cells["cell"], seed), group))
    half = np.where(group == 0, 0, 2).astype(np.int8)
    for first, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
        lower = order[first : first + (size + 1) // 2]
        half[lower[group[lower] > 0]] = 1
    return half


def _hashes(names: pd.Series, seed: int) -> np.ndarray:
    """Return a number from 0 to 2⁶⁴ - 1 for each name, the same in any run with this seed."""
    found = np.empty(len(names), dtype=np.uint64)
    for start in range(0, len(names), AT_ONCE):
        part = names.iloc[start : start + AT_ONCE].to_numpy(dtype=object)
        digests = (hashlib.blake2b(f"{seed}|{name}".encode(), digest_size=8) for name in part)
        found[start : start + len(part)] = [int.from_bytes(each.digest()) for each in digests]
    return found
