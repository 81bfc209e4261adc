"""Say for every perturbation how many cells it has, whether it hit its target, if it stays."""

from typing import TYPE_CHECKING

import anndata
import pandas as pd

from lgem.files import write_json, write_table
from lgem.provenance import provenance
from lgem.screen.annotation import BETWEEN_GUIDES
from lgem.screen.effects import factors_used, not_estimable
from lgem.screen.io import group_statistics, symbols_of
from lgem.screen.labels import TargetIndex
from lgem.screen.qc import KEPT, mark_not_estimable, perturbation_table, screen_summary
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    cells = pd.read_parquet(snakemake.input.cells)
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    screen = snakemake.params.screen
    counts = screen["kind"] == "cells"
    statistics = group_statistics(pseudobulk)
    table = perturbation_table(
        cells,
        statistics,
        TargetIndex(list(pseudobulk.var_names), symbols_of(pseudobulk.var)),
        snakemake.params.min_cells if counts else 1,
        counts=counts,
        between=BETWEEN_GUIDES if screen["guide_calls"] else None,
    )
    kept = statistics.only(list(table.loc[table["status"] == KEPT, "perturbation"]))
    factors = factors_used(kept, ["batch", *screen["covariates"]], snakemake.params.adjust_batch)
    table = mark_not_estimable(table, not_estimable(kept, factors))
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
    if not summary["perturbations_with_measured_target"]:
        log.warning("no perturbation has a measured target; are genes named by ids? gene_symbols")
    for name, reason in summary["perturbations_left_out"].items():
        log.info("%s left out: %s", name, reason)
