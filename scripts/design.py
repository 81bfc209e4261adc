"""Put the linear systems that a run has met into one table, with their singular values."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.files import read_json, write_table
from lgem.systems import spectra_table, systems_from, systems_table
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    files = [Path(path) for path in snakemake.input]
    files = [path / "systems.json" if path.is_dir() else path for path in files]
    # Models share their training sets: the effects in these are one system, met by each of them.
    met = {
        system.system: system
        for path in files
        if path.exists()
        for system in systems_from(read_json(path))
    }
    write_table(systems_table(list(met.values())), snakemake.output.design)
    write_table(spectra_table(list(met.values())), snakemake.output.spectra)
    for system in met.values():
        if system.cause:
            log.info("%s: %s; remedy: %s", system.system, system.cause, system.remedy)
