"""Cells in other formats than AnnData's: 10x output, and plain tables of counts."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import io, sparse

from lgem.errors import InputError
from lgem.screen.matrices import raw_counts
from lgem.screen.tables import numbers, read_any_table
from lgem.shards import BARCODES, FEATURES, MATRICES

EXPRESSION = "Gene Expression"
# Columns of the genes in 10x output.
IDS, SYMBOLS, KIND = "gene_ids", "gene_symbols", "feature_types"
EXPECTED = "Cell Ranger's filtered_feature_bc_matrix.h5, or the folder of that name"


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
        Where the file cannot be read, or holds anything but raw counts.
    """
    if path.endswith(".h5") or Path(path).is_dir():
        cells = _expression(_read_10x(path), path)
    else:
        cells = _read_table(path, orientation)
    raw_counts(cells.X, 0, path)  # told of the user's file, not of what is made of it
    return cells


def _read_table(path: str, orientation: str) -> anndata.AnnData:
    table = read_any_table(path)
    values, cells, genes = numbers(table, path), table.index, table.columns
    if orientation == "genes_by_samples":
        values, cells, genes = values.T, genes, cells
    obs, var = pd.DataFrame(index=cells.astype(str)), pd.DataFrame(index=genes.astype(str))
    return _quietly(sparse.csr_matrix(values), obs, var)


def _quietly(counts: sparse.csr_matrix, obs: pd.DataFrame, var: pd.DataFrame) -> anndata.AnnData:
    """Put cells together; that names occur twice is told later, where it matters."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*names are not unique")
        return anndata.AnnData(X=counts, obs=obs, var=var)


def _read_10x(path: str) -> anndata.AnnData:
    """Return all features of a 10x file or folder under their ids, symbols in a column."""
    try:
        cells = _read_folder(Path(path)) if Path(path).is_dir() else _read_h5(path)
        # Sparse arithmetic writes wherever an index points to.
        cells.X.check_format(full_check=True)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py, pandas, scipy and scanpy each raise their own
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(path, f"what cannot be read as 10x output ({told})", EXPECTED) from None
    return cells


def _read_h5(path: str) -> anndata.AnnData:
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # symbols occur twice; ids are what counts here
        cells = sc.read_10x_h5(path, gex_only=False)
        cells.var[SYMBOLS] = cells.var_names
        cells.var_names = pd.Index(cells.var.pop(IDS).to_numpy(dtype=str))
    return cells


def _read_folder(folder: Path) -> anndata.AnnData:
    """Read matrix, barcodes and features, each packed or not, whichever program wrote them."""
    features, barcodes = _texts(_part(folder, FEATURES)), _texts(_part(folder, BARCODES))
    counts = sparse.csr_matrix(io.mmread(_part(folder, MATRICES)).T)
    if counts.shape != (len(barcodes), len(features)):
        raise InputError(
            str(folder),
            f"a matrix of {counts.shape[1]} features × {counts.shape[0]} barcodes",
            f"{len(features)} features × {len(barcodes)} barcodes, as its tables have",
        )
    named = dict(enumerate((SYMBOLS, KIND), start=1))
    var = features.iloc[:, 1:3].rename(columns=named).set_axis(features[0].to_numpy())
    return _quietly(counts, pd.DataFrame(index=barcodes[0].to_numpy()), var)


def _part(folder: Path, names: Sequence[str]) -> Path:
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise InputError(str(folder), f"no {names[0]}[.gz]", EXPECTED)
    return found[0]


def _texts(path: Path) -> pd.DataFrame:
    """Read a table without a header; a gene may be called nan."""
    return pd.read_csv(
        path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE
    )


def _expression(cells: anndata.AnnData, path: str) -> anndata.AnnData:
    """Return the genes among the features, guides and antibodies left out."""
    if KIND not in cells.var:
        return cells
    genes = (cells.var[KIND] == EXPRESSION).to_numpy()
    if not genes.any():
        kinds = sorted(cells.var[KIND].unique())
        raise InputError(path, f"features of kind {kinds}", f"features of kind '{EXPRESSION}'")
    return cells[:, np.flatnonzero(genes)].copy()
