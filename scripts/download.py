"""Download the file, or the archive with the file, that a dataset's url names."""

from typing import TYPE_CHECKING

from lgem.screen.downloads import download
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    # The checksum is no parameter of the rule: another one must not remove what is there.
    entry = snakemake.config["datasets"][snakemake.wildcards.dataset]
    found = download(entry["url"], snakemake.output[0], entry.get("sha256"))
    log.info("%s: sha256 %s", snakemake.params.url, found)
