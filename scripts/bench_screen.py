"""Simulate counts of many cells, for the benchmark of counting."""

from typing import TYPE_CHECKING

from benchmarks.pseudobulk import write_screen
from lgem.files import atomic
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake), atomic(snakemake.output[0]) as temporary:
    write_screen(temporary, int(snakemake.wildcards.cells))
