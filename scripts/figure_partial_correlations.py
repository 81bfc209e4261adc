"""Draw the distribution of partial correlations before and after the updates."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.network import partial_correlations
from lgem.figures.style import save
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = partial_correlations(
        read_table(snakemake.input.histogram),
        snakemake.params.threshold,
        read_table(snakemake.input.statistics),
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
