"""Say for every perturbation how many cells it has, whether it hit its target, if it stays."""

from typing import TYPE_CHECKING

import anndata
import pandas as pd

from lgem.files import write_json, write_table
from lgem.provenance import provenance
from lgem.screen.io import group_statistics, symbols_of
from lgem.screen.labels import TargetIndex
from lgem.screen.qc import perturbation_table, screen_summary
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    cells = pd.read_parquet(snakemake.input.cells)
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    counts = snakemake.params.kind == "cells"
    table = perturbation_table(
        cells,
        group_statistics(pseudobulk),
        TargetIndex(list(pseudobulk.var_names), symbols_of(pseudobulk.var)),
        snakemake.params.min_cells if counts else 1,
        counts=counts,
    )
    summary = screen_summary(cells, table)
    network = anndata.read_h5ad(snakemake.input.control).obs
    if counts:
        summary["median_counts_of_control_cells"] = float(network["total_counts"].median())
        summary["median_genes_of_control_cells"] = float(network["n_genes_by_counts"].median())
        summary["empty_control_cells"] = int((network["total_counts"] == 0).sum())
    write_table(table, snakemake.output.table)
    write_json(
        {**summary, "provenance": provenance(**snakemake.params.origin)}, snakemake.output.summary
    )
    for name, reason in summary["perturbations_left_out"].items():
        log.info("%s left out: %s", name, reason)
