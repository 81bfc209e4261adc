"""Let Snakemake write the report of a dataset."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lgem.files import atomic
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

# As a module of another workflow, with results under a prefix.
MODULE = """
configfile: {config!r}
module lgem:
    snakefile: {snakefile!r}
    config: config
    prefix: {prefix!r}
use rule * from lgem
"""

with (
    job(snakemake) as log,
    atomic(snakemake.output[0]) as temporary,
    tempfile.TemporaryDirectory() as folder,
):
    snakefile, config = snakemake.params.snakefile, snakemake.input.config
    plain = f"results/{snakemake.wildcards.dataset}/report.html"
    if prefix := snakemake.output[0].removesuffix(plain):
        text = MODULE.format(snakefile=snakefile, config=config, prefix=prefix)
        snakefile = Path(folder) / "Snakefile"
        snakefile.write_text(text, "utf-8")
    # The merged config names this dataset alone, and describes the same run to the last parameter,
    # so that Snakemake finds the records of the jobs that made the results. The workflow is locked
    # by the run that this job belongs to, and nothing here writes into it.
    command = [
        *(sys.executable, "-m", "snakemake", *snakemake.input.results, "--nolock"),
        *("--snakefile", str(snakefile), "--configfile", config),
        *("--report", str(temporary)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if os.strerror(errno.ENOSPC) in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), snakemake.output[0])
    if done.returncode:
        log.error("%s", done.stderr)
        done.check_returncode()
