"""Draw the singular values and verdicts of the linear systems that the run met."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.style import save
from lgem.figures.systems import linear_systems
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = linear_systems(
        read_table(snakemake.input.design), read_table(snakemake.input.spectra)
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
