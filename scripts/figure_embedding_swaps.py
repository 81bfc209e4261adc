"""Draw the paired differences of the first model from the others."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.style import save
from lgem.figures.swaps import embedding_swaps
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = embedding_swaps(
        read_table(snakemake.input.metrics),
        read_table(snakemake.input.comparisons),
        snakemake.params.first,
        unit=snakemake.params.unit,
        interval=snakemake.params.interval,
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
