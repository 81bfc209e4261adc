"""Keep the network's panel of the control cells, with quality metrics of the field's tool."""

from typing import TYPE_CHECKING

import anndata
import scanpy as sc

from lgem.h5ad import write_h5ad
from lgem.provenance import provenance
from lgem.screen.network_cells import other_names, panel_genes, panel_of, read_control_cells
from lgem.screen.panel import in_fixed_order
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    pseudobulk = anndata.read_h5ad(snakemake.input.pseudobulk)
    parts = [read_control_cells(path) for path in snakemake.input.shards]
    cells = in_fixed_order(anndata.concat(parts))
    sc.pp.calculate_qc_metrics(cells, percent_top=None, log1p=False, inplace=True)
    panel, targets = panel_of(pseudobulk, snakemake.params.panel, snakemake.params.min_detected)
    cells = cells[:, panel].copy()
    cells.var = panel_genes(pseudobulk.var, panel, targets)
    cells.uns["target_sum"] = snakemake.params.target_sum
    cells.uns |= other_names(pseudobulk.var, panel)
    write_h5ad(cells, snakemake.output[0], provenance(**snakemake.params.origin))
    log.info("%d control cells; %d of %d genes in the panel", *cells.shape, pseudobulk.n_vars)
