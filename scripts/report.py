"""Let Snakemake write the report of a dataset."""

import subprocess
import sys
from typing import TYPE_CHECKING

from lgem.files import atomic
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log, atomic(snakemake.output[0]) as temporary:
    # The merged config names this dataset alone, and describes the same run to the last parameter,
    # so that Snakemake finds the records of the jobs that made the results. The workflow is locked
    # by the run that this job belongs to, and nothing here writes into it.
    command = [
        *(sys.executable, "-m", "snakemake", *snakemake.input.results, "--nolock"),
        *("--snakefile", snakemake.params.snakefile, "--configfile", snakemake.input.config),
        *("--report", str(temporary)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        log.error("%s", done.stderr)
        done.check_returncode()
