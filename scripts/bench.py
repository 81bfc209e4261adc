"""Time the parts that were made to be fast, beside what they replace."""

import os
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks import prediction
from benchmarks.timing import COLUMNS, measure
from lgem.files import write_table
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    rows = []
    for work in (prediction.fit(), prediction.choice()):
        rows += measure(work, snakemake.params.rounds)
        for row in rows[-len(work.contenders) :]:
            against = f", {row['ratio']:.3g} x {row['against']}" if row["against"] else ""
            log.info("%s: %s %.3g s%s", work.name, row["contender"], row["median_s"], against)
    write_table(pd.DataFrame(rows, columns=COLUMNS), snakemake.output[0])
    log.info("on %d cores, linear algebra on %d", os.cpu_count() or 1, snakemake.threads)
