"""Which cell belongs to which group: the plan that every pass over the counts follows.

The plan is made from the cells' annotation alone, over all shards at once, so that shards can be
counted as independent jobs and still share groups and technical halves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lgem.errors import InputError, listing, nearest
from lgem.screen.labels import CONTROL, LabelRules, normalise
from lgem.screen.tables import MISSING, as_text, joined, require_columns

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


def describe_cells(obs: pd.DataFrame, rules: CellRules, place: str) -> pd.DataFrame:
    """Return what the plan needs to know of the cells of one shard (raw label, not yet read)."""
    for key, columns in rules.columns.items():
        require_columns(obs, columns, f"{place}: {key}")
    label = as_text(
        obs.index.to_series() if rules.perturbation == "index" else obs[rules.perturbation]
    )
    cells = pd.DataFrame(
        {
            "cell": obs.index.astype(str).to_numpy(),
            RAW_LABEL: label.astype(object).to_numpy(),
            "batch": joined(obs, rules.batch, place).to_numpy() if rules.batch else MISSING,
            "guide": joined(obs, [rules.guide], place).to_numpy() if rules.guide else MISSING,
            "size_factor": _size_factors(obs, rules.size_factor, place),
        }
    )
    for column in rules.keep:
        cells[KEPT_BY + column] = as_text(obs[column]).astype(object).to_numpy()
    for covariate in rules.covariates:
        cells[covariate] = joined(obs, [covariate], place).to_numpy()
    return cells


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
    cells = pd.concat(shards, ignore_index=True)
    cells.insert(0, "shard", np.repeat(np.arange(len(shards)), [len(shard) for shard in shards]))
    cells["asked"] = normalise(cells.pop(RAW_LABEL), rules.labels, place)
    kept = pd.Series(cells_kept(cells, rules.keep, place))
    cells["perturbation"] = cells["asked"].where(kept, np.nan)
    _require_perturbations(cells["perturbation"], place)
    _require_shared_levels(cells, ["batch", *rules.covariates], place)

    keys = ["perturbation", "batch", *rules.covariates]
    carried = cells["perturbation"].notna()
    groups = cells.loc[carried, keys].drop_duplicates().sort_values(keys, ignore_index=True)
    groups["group"] = np.arange(len(groups))
    cells["group"] = (
        cells[keys].merge(groups, on=keys, how="left")["group"].fillna(NO_GROUP).astype(int)
    )
    cells["half"] = _halves(cells, seed)
    groups["n_cells"] = _count(cells, groups, cells["group"] >= 0)
    for half in (1, 2):
        groups[f"n_half_{half}"] = _count(cells, groups, cells["half"] == half)
    return cells[[*COLUMNS, *rules.covariates]], groups.drop(columns="group")


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
    found = sorted(set(perturbation.dropna()) - {CONTROL})
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
    carried = cells.loc[cells["perturbation"].notna()]
    for factor in factors:
        levels = carried[factor].nunique()
        if levels > MOST_LEVELS and 2 * levels > len(carried):
            raise InputError(
                f"{place}: {factor}",
                f"{levels} levels among {len(carried)} cells, such as '{carried[factor].iloc[0]}'",
                "levels that many cells share; is this a column of barcodes?",
            )


def _count(cells: pd.DataFrame, groups: pd.DataFrame, which: pd.Series) -> np.ndarray:
    return np.bincount(cells.loc[which, "group"], minlength=len(groups))


def _halves(cells: pd.DataFrame, seed: int) -> np.ndarray:
    """Rank the cells of each group by a hash of seed and name; the lower ⌈n/2⌉ are half 1.

    Batch and size break ties between cells of one name, and position what then still ties.
    """
    ranks = pd.DataFrame(
        {
            "group": cells["group"],
            "hash": [
                int.from_bytes(hashlib.blake2b(f"{seed}|{name}".encode(), digest_size=8).digest())
                for name in cells["cell"]
            ],
        }
    )
    order = np.lexsort((cells["size_factor"], ranks["hash"], ranks["group"]))
    group = ranks["group"].to_numpy()[order]
    starts = np.r_[True, group[1:] != group[:-1]]
    within = np.arange(len(group)) - np.maximum.accumulate(
        np.where(starts, np.arange(len(group)), 0)
    )
    sizes = ranks.groupby("group")["group"].transform("size").to_numpy()[order]
    half = np.empty(len(group), dtype=np.int8)
    half[order] = np.where(group < 0, 0, np.where(within < (sizes + 1) // 2, 1, 2))
    return half
