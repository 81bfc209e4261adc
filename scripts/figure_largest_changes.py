"""Draw the pairs of genes whose partial correlation changed most."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.network import largest_changes
from lgem.figures.style import save
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = largest_changes(read_table(snakemake.input.changes))
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
