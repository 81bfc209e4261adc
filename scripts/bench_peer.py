"""Install another tool into an environment of its own."""

import subprocess
import venv
from typing import TYPE_CHECKING

from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    folder, requirement = snakemake.output[0], snakemake.params.requirement
    venv.create(folder, with_pip=True)
    command = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", requirement]
    subprocess.run(command, check=True)
    log.info("%s in %s", requirement, folder)
