"""Sum the counts of one shard over groups of cells, and set its control cells aside."""

from typing import TYPE_CHECKING

import pandas as pd

from lgem.files import write_arrays, write_h5ad
from lgem.screen.entry import count_shard
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    cells = pd.read_parquet(snakemake.input.cells)
    cells = cells[cells["shard"] == int(snakemake.wildcards.shard)]
    sums, control = count_shard(
        snakemake.input.shard,
        snakemake.params.screen,
        cells,
        groups=len(pd.read_parquet(snakemake.input.groups)),
        target_sum=snakemake.params.target_sum,
    )
    write_arrays(snakemake.output.sums, **sums.arrays())
    write_h5ad(control, snakemake.output.control)
    log.info("%d cells, %d of them control", len(cells), control.n_obs)
