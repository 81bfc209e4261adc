"""Take one file out of a downloaded package."""

from typing import TYPE_CHECKING

from lgem.screen.packages import unpack_member
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    unpack_member(snakemake.input[0], snakemake.wildcards.member, snakemake.output[0])
