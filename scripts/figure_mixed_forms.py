"""Draw how linear mixed forms settled, their variance by part, and their codes."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.mixed_forms import mixed_forms
from lgem.figures.style import save
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = mixed_forms(
        read_table(snakemake.input.convergence),
        read_table(snakemake.input.variance),
        read_table(snakemake.input.codes),
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
