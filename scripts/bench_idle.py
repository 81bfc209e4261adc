"""Time a run of the whole workflow that has nothing to do."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.idle import up_to_date
from benchmarks.timing import COLUMNS
from lgem.files import write_table
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    given = snakemake.params
    place = Path(given.repository)
    found = up_to_date(given.python, place, "demo", given.rounds, given.options)
    write_table(pd.DataFrame([found], columns=COLUMNS), snakemake.output[0])
    log.info("%.2f s", found["median_s"])
