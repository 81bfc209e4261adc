"""Take the control cells of another dataset on the network's panel of this one."""

from typing import TYPE_CHECKING

import anndata

from lgem.h5ad import write_h5ad
from lgem.screen.network_cells import cells_on_panel
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    panel = anndata.read_h5ad(snakemake.input.cells, backed="r").var_names
    cells = cells_on_panel(list(snakemake.input.shards), panel, snakemake.params.target_sum)
    write_h5ad(cells, snakemake.output[0])
    log.info("%d cells on %d genes", *cells.shape)
