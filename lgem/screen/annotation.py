"""What is known of the cells of a shard beside its counts: tables of cells, of guides called."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from lgem.errors import InputError, counted, listing, nearest
from lgem.screen.tables import as_text, read_any_table, require_columns, with_columns
from lgem.texts import check_columns

# Column that every cell has: the name of its shard.
SHARD = "shard"
# Between the guides of a cell in tables of guide calls, as Cell Ranger writes them.
BETWEEN_GUIDES = "|"
# With fewer of its rows for cells that are there, a table of calls belongs to other cells.
FEWEST_CALLED = 0.2
LOG = logging.getLogger("lgem")


@dataclass(frozen=True)
class Shard:
    """One file of cells, and the tables that describe them.

    Parameters
    ----------
    path
        An .h5ad file or .zarr folder.
    name
        What tells the shard from the others; the cells' value of the column ``shard``.
    metadata
        Table with more columns, a row for every cell.
    guide_calls
        Table with more columns, such as the guides that were called; cells may be missing.
    came_as
        The user's file that `path` was made from, where it is another one.
    """

    path: str
    name: str = ""
    metadata: str | None = None
    guide_calls: str | None = None
    came_as: str | None = None

    @property
    def place(self) -> str:
        """The file to name in messages."""
        return self.came_as or self.path


def shards_of(
    paths: Sequence[str],
    names: Sequence[str],
    metadata: Sequence[str] = (),
    guide_calls: Sequence[str] = (),
    came_as: Sequence[str] = (),
) -> list[Shard]:
    """Return the shards of a dataset; of each kind of table there is one per shard, or none."""
    none = [None] * len(paths)
    columns = (paths, names, metadata or none, guide_calls or none, came_as or none)
    return [Shard(*each) for each in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Guides:
    """What guides aim at.

    Parameters
    ----------
    targets
        Table with a row per guide (its first column; or one called ``name``) and columns such as
        the target gene.
    column
        Column of the cells with their guides, joined by ``|``.
    separator
        What joins the targets of a cell with several guides.
    """

    targets: str
    column: str
    separator: str


def annotated(obs: pd.DataFrame, shard: Shard, guides: Guides | None) -> pd.DataFrame:
    """Return what is known of the cells of a shard, the columns of all tables beside its own."""
    if shard.metadata is not None:
        table = read_any_table(shard.metadata, named=True)
        missing = obs.index.difference(table.index)
        if len(missing):
            raise InputError(
                shard.metadata,
                f"no row for {len(missing)} of {len(obs)} cells: {listing(missing, 3)}",
                "a row for every cell, in its first column the name",
            )
        obs = with_columns(obs, table, shard.metadata)
    if shard.guide_calls is not None:
        table = read_any_table(shard.guide_calls, named=True)
        _check_cells_called(table.index, obs.index, shard.guide_calls)
        obs = with_columns(obs, table, shard.guide_calls)
    if SHARD not in obs:
        obs = obs.assign(**{SHARD: shard.name})
    return obs if guides is None else _with_targets(obs, guides, shard)


def _check_cells_called(called: pd.Index, cells: pd.Index, path: str) -> None:
    """Tell of calls in cells that are not there: they may be those of another lane.

    Lanes share a few of their barcodes by chance; cells that were filtered out keep their calls.
    """
    there = called.isin(cells)
    if not there.any():
        raise InputError(
            path,
            f"no row for any cell; there are: {listing(called, 3)}",
            f"rows for cells such as: {listing(cells, 3)}",
        )
    if there.mean() < FEWEST_CALLED:
        raise InputError(
            path,
            f"rows for {counted(int(there.sum()), 'cell')}, and {int((~there).sum())} for cells "
            f"that are not there, such as: {listing(called[~there], 3)}",
            f"the calls of this lane, with rows for cells such as: {listing(cells, 3)}",
        )
    if not there.all():
        LOG.warning(
            "%s: %d of %d rows name cells that are not there, such as %s; are these the calls of "
            "this lane?",
            *(path, (~there).sum(), len(there), listing(called[~there], 3)),
        )


def require_own_names(shards: Sequence[Shard], names: Sequence[pd.Index]) -> None:
    """Raise an InputError where cells that one table describes share a name: it could mean either.

    Barcodes of one lane occur in others, too.
    """
    described: dict[str, list[pd.Index]] = {}
    for shard, cells in zip(shards, names, strict=True):
        for table in (shard.metadata, shard.guide_calls):
            if table is not None:
                described.setdefault(table, []).append(cells)
    for table, parts in described.items():
        cells = parts[0].append(parts[1:])
        twice = cells[cells.duplicated()].unique()
        if len(twice):
            raise InputError(
                table,
                f"{len(twice)} names that more than one cell has: {listing(twice, 3)}",
                "a name of its own for every cell that one table describes; or a table for each "
                "file of path, by a glob",
            )


def _with_targets(obs: pd.DataFrame, guides: Guides, shard: Shard) -> pd.DataFrame:
    """Add the columns of the table of guides to cells, joined over the guides of each."""
    place = shard.guide_calls or f"{shard.place}: obs"
    require_columns(obs, [guides.column], f"{place}: guide")
    table = read_any_table(guides.targets, named=True)
    check_columns(table.columns, guides.targets)
    rows = _rows_by_guide(table, guides.targets)
    called = as_text(obs[guides.column])
    distinct = {
        text: [guide.strip() for guide in text.split(BETWEEN_GUIDES)]
        for text in called.dropna().unique()
        if text
    }
    unknown = sorted({guide for each in distinct.values() for guide in each} - rows.keys())
    if unknown:
        raise InputError(
            guides.targets,
            f"no row for {len(unknown)} guides that were called: {listing(unknown)}",
            "a row for every guide, in its first column the name",
            nearest(unknown[0], rows),
        )
    added = table.columns.difference(obs.columns, sort=False)
    new = {
        column: called.map(
            {
                text: _joined([table[column].iloc[rows[guide]] for guide in each], guides.separator)
                for text, each in distinct.items()
            }
        )
        for column in added
    }
    return pd.concat([obs, pd.DataFrame(new, index=obs.index)], axis=1)


def _rows_by_guide(table: pd.DataFrame, path: str) -> Mapping[str, int]:
    """Return the row of every guide, by the first column and by the column ``name``, if any."""
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise InputError(path, f"more than one row for {listing(twice.unique())}", "one row each")
    names = as_text(table["name"]) if "name" in table else pd.Series(dtype=object)
    rows = {str(name): row for row, name in enumerate(names) if not pd.isna(name)}
    return rows | {str(guide): row for row, guide in enumerate(table.index)}


def _joined(values: list[object], separator: str) -> object:
    """Join the targets of a cell's guides, each once; missing where none has one."""
    found = set(pd.Series(values, dtype="string").dropna())
    return separator.join(sorted(found)) if found else pd.NA
