"""Download the file, or the archive with the file, that a dataset's url names."""

from typing import TYPE_CHECKING

from lgem.screen.downloads import download
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    url = snakemake.config["datasets"][snakemake.wildcards.dataset]["url"]
    found = download(url, snakemake.output[0], snakemake.params.sha256)
    log.info("%s: sha256 %s", snakemake.params.url, found)
