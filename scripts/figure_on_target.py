"""Draw the effect of every perturbation on its own target."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.screen import on_target
from lgem.figures.style import save
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = on_target(read_table(snakemake.input.qc), unit=snakemake.params.unit)
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
