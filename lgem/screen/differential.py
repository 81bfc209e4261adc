"""Differential expression: every perturbation against control, gene by gene.

The effects are coefficients of ordinary least squares, and the tests are its t-tests. They take
cells (or profiles) for independent observations and give all of a gene's cells, perturbed or not,
one variance, with the degrees of freedom of all cells in the design. Cells of one guide, batch or
library are more alike than that; what the design does not adjust for makes p-values too small.
They rank genes well, and say less than a test on independent replicates would. q-values are those
of Benjamini and Hochberg, over the genes of one perturbation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lgem.files import atomic
from lgem.screen.effects import Effects
from lgem.screen.io import symbols_of
from lgem.screen.labels import TargetIndex

SIGNIFICANT = 0.05


def differential_expression(effects: Effects, var: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield one table per perturbation, one row per gene, in the order of both.

    One after the other, so that memory is bounded by a single perturbation's table.

    Parameters
    ----------
    effects
        Of all perturbations that could be estimated.
    var
        The genes: index, ``control`` (mean log-expression of control cells), maybe ``symbol``.

    Yields
    ------
    DataFrame
        perturbation, gene, symbol (where genes have symbols), control, effect (log-expression
        minus control, adjusted as the effects are), se, t (effect / se; 0 where the gene does not
        vary at all, infinite where it varies between groups alone), p_value (two-sided), q_value;
        the last four missing without degrees of freedom.
    """
    genes = var.index.astype(str).to_numpy(dtype=object)
    symbols = symbols_of(var)
    named = {"gene": genes} if symbols is None else {"gene": genes, "symbol": symbols}
    control = var["control"].to_numpy(dtype=float)
    for row, name in enumerate(effects.perturbations):
        one = effects.of(row)
        yield pd.DataFrame(
            {
                "perturbation": name,
                **named,
                "control": control,
                "effect": one.effect[0],
                "se": one.se[0],
                "t": one.t_values()[0],
                "p_value": one.p_values()[0],
                "q_value": one.q_values()[0],
            }
        )


def write_differential(
    tables: Iterable[pd.DataFrame], path: str | os.PathLike[str], provenance: Mapping[str, Any]
) -> None:
    """Write tables of one form as one Parquet file, a row group each, while they come.

    A row group can be read on its own, and its statistics name its perturbation. The provenance
    is JSON in the file's metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = {"provenance": json.dumps(provenance, sort_keys=True)}
    with atomic(path) as temporary:
        writer = None
        try:
            for frame in tables:
                # Without the note that pandas leaves in the schema: it names versions.
                table = pa.Table.from_pandas(frame, preserve_index=False)
                table = table.replace_schema_metadata(metadata)
                if writer is None:
                    writer = pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table, row_group_size=max(len(frame), 1))
        finally:
            if writer is not None:
                writer.close()


def strongest_genes(
    tables: Iterable[pd.DataFrame], targets: TargetIndex, most: int = 10
) -> pd.DataFrame:
    """List the genes that each perturbation changes most surely.

    Parameters
    ----------
    tables
        As from `differential_expression`.
    targets
        Finds the perturbations' own targets.
    most
        Genes per perturbation.

    Returns
    -------
    DataFrame
        perturbation, significant (how many of all its genes have q ≤ 0.05), rank (from 1), own
        (whether the gene is the perturbation's own target), then the columns of `tables`; largest
        |t| first (|effect| where there is no t), ties in the order of genes.
    """
    parts = []
    for table in tables:
        strength = table["t" if table["t"].notna().any() else "effect"].abs().to_numpy()
        rows = np.argsort(-strength, kind="stable")[:most]
        part = table.iloc[rows]
        own = targets.find(str(table["perturbation"].iloc[0])).rows or ()
        part.insert(1, "significant", int((table["q_value"] <= SIGNIFICANT).sum()))
        part.insert(2, "rank", np.arange(1, len(rows) + 1))
        part.insert(3, "own", np.isin(rows, own))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
