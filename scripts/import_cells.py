"""Bring one file of cells from another format into AnnData's."""

from typing import TYPE_CHECKING

from lgem.h5ad import write_h5ad
from lgem.screen.formats import read_cells
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    cells = read_cells(snakemake.input.cells, snakemake.params.orientation)
    write_h5ad(cells, snakemake.output[0])
    log.info("%d cells, %d genes", *cells.shape)
