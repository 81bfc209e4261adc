"""Take one file out of a download."""

from typing import TYPE_CHECKING

from lgem.screen.packages import unpack
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    unpack(
        snakemake.input[0],
        snakemake.wildcards.member,
        snakemake.params.path,
        snakemake.output[0],
    )
