"""Time pseudobulk of a large screen beside other tools, and its growth."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.pseudobulk import beside_others, growth
from benchmarks.timing import COLUMNS
from lgem.files import write_table
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    small, large, rounds = snakemake.input.small, snakemake.input.large, snakemake.params.rounds
    peers = dict(zip(snakemake.params.peers, snakemake.input.peers, strict=True))
    sizes = {f"{Path(path).stem.split('_')[1]} cells": path for path in (small, large)}
    rows = beside_others(small, snakemake.params.screen, peers, next(iter(sizes)), rounds)
    rows += growth(sizes, snakemake.params.screen, rounds)
    write_table(pd.DataFrame(rows, columns=COLUMNS), snakemake.output[0])
    log.info("%d contenders", len(rows))
