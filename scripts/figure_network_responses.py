"""Draw how well the network predicts the responses to perturbations."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.responses import network_responses
from lgem.figures.style import save
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = network_responses(
        read_table(snakemake.input.responses),
        read_table(snakemake.input.summary),
        interval=snakemake.params.interval,
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
