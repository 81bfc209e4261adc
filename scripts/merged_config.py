"""Write the config that repeats the run."""

from typing import TYPE_CHECKING

import yaml

from lgem.files import write_text
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    text = yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True)
    write_text(text, snakemake.output[0])
