"""Sum the counts of one shard over groups of cells, and set its control cells aside."""

from typing import TYPE_CHECKING

import pandas as pd

from lgem.files import atomic, write_arrays
from lgem.screen.counting import count_shard
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    cells = pd.read_parquet(snakemake.input.cells)
    cells = cells[cells["shard"] == int(snakemake.wildcards.shard)]
    with atomic(snakemake.output.control) as control:
        sums = count_shard(
            snakemake.input.shard,
            snakemake.params.screen,
            cells,
            groups=len(pd.read_parquet(snakemake.input.groups)),
            target_sum=snakemake.params.target_sum,
            control=control,
        )
        write_arrays(snakemake.output.sums, **sums.arrays())
    log.info("%d cells in %d groups", len(cells), len(sums.counts))
