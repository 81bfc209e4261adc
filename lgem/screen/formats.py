"""Cells in other formats than AnnData's: 10x output, read by the field's tool, and plain tables."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from lgem.errors import InputError
from lgem.screen.tables import numbers, read_any_table

EXPRESSION = "Gene Expression"
# Columns of the genes in 10x output.
IDS, SYMBOLS, KIND = "gene_ids", "gene_symbols", "feature_types"


def read_cells(path: str, orientation: str) -> anndata.AnnData:
    """Read cells × genes as they come in another format than AnnData's.

    Parameters
    ----------
    path
        A 10x .h5 file or folder, or a table of counts.
    orientation
        Of a table: ``samples_by_genes`` or ``genes_by_samples``.

    Raises
    ------
    InputError
        Where the file cannot be read, or a table holds anything but numbers.
    """
    if path.endswith(".h5") or Path(path).is_dir():
        return _expression(_read_10x(path), path)
    table = read_any_table(path)
    values, cells, genes = numbers(table, path), table.index, table.columns
    if orientation == "genes_by_samples":
        values, cells, genes = values.T, genes, cells
    obs, var = pd.DataFrame(index=cells.astype(str)), pd.DataFrame(index=genes.astype(str))
    return anndata.AnnData(X=sparse.csr_matrix(values), obs=obs, var=var)


def _read_10x(path: str) -> anndata.AnnData:
    """Return all features of a 10x file or folder under their ids, symbols in a column."""
    import scanpy as sc

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # symbols occur twice; ids are what counts here
            if Path(path).is_dir():
                cells = sc.read_10x_mtx(path, var_names="gene_ids", gex_only=False)
            else:
                cells = sc.read_10x_h5(path, gex_only=False)
                cells.var[SYMBOLS] = cells.var_names
                cells.var_names = cells.var.pop(IDS).astype(str)
    except Exception as error:  # h5py, pandas, scipy and scanpy each raise their own
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            path,
            f"what cannot be read as 10x output ({told})",
            "Cell Ranger's filtered_feature_bc_matrix.h5, or the folder of that name",
        ) from None
    cells.var.index.name = None
    return cells


def _expression(cells: anndata.AnnData, path: str) -> anndata.AnnData:
    """Return the genes among the features, guides and antibodies left out."""
    if KIND not in cells.var:
        return cells
    genes = (cells.var[KIND] == EXPRESSION).to_numpy()
    if not genes.any():
        kinds = sorted(cells.var[KIND].unique())
        raise InputError(path, f"features of kind {kinds}", f"features of kind '{EXPRESSION}'")
    return cells[:, np.flatnonzero(genes)].copy()
