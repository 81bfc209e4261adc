"""Draw the time of updating a precision matrix, beside that of inverting the new covariance."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.style import save
from lgem.figures.update_speed import update_speed
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = update_speed(read_table(snakemake.input.speed))
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
