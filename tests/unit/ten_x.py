"""Cells written as 10x's Cell Ranger writes them: counts, guide calls, what guides aim at."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import io, sparse

EXPRESSION, GUIDE = "Gene Expression", "CRISPR Guide Capture"
# Guides are features of their own there, and may be counted beside the genes.
REFERENCE = {"id": "", "name": "", "read": "R2", "pattern": "5PNNNNNNNNNN(BC)GTTTAAGAGC",
             "sequence": "ACGTACGTACGTACGTACGT", "feature_type": GUIDE}  # fmt: skip


def features_of(cells: anndata.AnnData, guides: int) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """Return features (id, name, kind) and counts (features × cells): the genes, then guides."""
    names = [f"guide_{number}" for number in range(guides)]
    symbols = cells.var.get("symbol", cells.var_names)
    table = pd.DataFrame(
        {
            "id": [*cells.var_names, *names],
            "name": [*symbols, *names],
            "feature_type": [EXPRESSION] * cells.n_vars + [GUIDE] * guides,
        }
    )
    called = sparse.csr_matrix(np.full((guides, cells.n_obs), 99))
    return table, sparse.vstack([sparse.csr_matrix(cells.X.T), called]).tocsr().astype(np.int32)


def write_h5(cells: anndata.AnnData, path: Path, guides: int = 2) -> None:
    """Write cells as Cell Ranger 3 and later write filtered_feature_bc_matrix.h5."""
    table, counts = features_of(cells, guides)
    by_cell = counts.tocsc()
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix["barcodes"] = np.array(list(cells.obs_names), dtype="S")
        for name in ("data", "indices", "indptr"):
            matrix.create_dataset(name, data=getattr(by_cell, name), compression="gzip")
        matrix["shape"] = np.array(by_cell.shape, dtype=np.int32)
        features = matrix.create_group("features")
        for name in table:
            features[name] = np.array(list(table[name]), dtype="S")
        features["genome"] = np.array(["GRCh38"] * cells.n_vars + [""] * guides, dtype="S")
        features["_all_tag_keys"] = np.array([b"genome"])


def write_folder(
    cells: anndata.AnnData, folder: Path, *, packed: bool = True, old: bool = False, guides: int = 2
) -> None:
    """Write cells as a folder of matrix, barcodes and features, or genes as in older versions."""
    table, counts = features_of(cells, 0 if old else guides)
    folder.mkdir(parents=True, exist_ok=True)
    io.mmwrite(folder / "matrix.mtx", counts, field="integer")
    options = {"sep": "\t", "header": False, "index": False, "quoting": csv.QUOTE_NONE}
    kept, name = (table[["id", "name"]], "genes.tsv") if old else (table, "features.tsv")
    kept.to_csv(folder / name, **options)
    pd.DataFrame(cells.obs_names).to_csv(folder / "barcodes.tsv", **options)
    if packed:
        for path in list(folder.iterdir()):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()


def write_calls(called: dict[str, str], path: Path) -> None:
    """Write protospacer_calls_per_cell.csv: by barcode the guides called, joined by |."""
    rows = [
        {
            "cell_barcode": barcode,
            "num_features": guides.count("|") + 1,
            "feature_call": guides,
            "num_umis": "|".join("25" for _ in guides.split("|")),
        }
        for barcode, guides in called.items()
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


def write_reference(targets: dict[str, str], path: Path) -> None:
    """Write feature_reference.csv: by guide the gene it aims at."""
    rows = [
        {
            **REFERENCE,
            "id": guide,
            "name": f"{guide} (name)",
            "target_gene_id": gene if gene == "Non-Targeting" else f"ENSG_{gene}",
            "target_gene_name": gene,
        }
        for guide, gene in targets.items()
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
