"""Hold what the config asks for against the genes and perturbations of a screen."""

from typing import TYPE_CHECKING

from lgem.demands import Known, unmet
from lgem.errors import JointInputError
from lgem.files import write_json
from lgem.screen.entry import cell_rules
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    params = snakemake.params
    known = Known.of(dict(snakemake.input.items()), cell_rules(params.screen).labels)
    if problems := unmet(known, params.asked, params.seed):
        raise JointInputError(problems)
    found = {"genes": len(known.genes), "perturbations": len(known.perturbations)}
    write_json(found, snakemake.output[0])
    log.info("what the config asks for is there")
