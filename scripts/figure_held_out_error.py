"""Draw the error of every model on held-out perturbations."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.prediction import held_out_error
from lgem.figures.style import save
from lgem.files import read_table
from lgem.prediction.summary import comparable
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    metrics, summary = comparable(
        read_table(snakemake.input.metrics), read_table(snakemake.input.summary)
    )
    figure, drawn = held_out_error(
        metrics, summary, unit=snakemake.params.unit, interval=snakemake.params.interval
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
