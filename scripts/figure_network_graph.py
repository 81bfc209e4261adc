"""Draw the strongest edges of the gene network, with its modules and perturbed genes."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.graph import network_graph
from lgem.figures.style import save
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = network_graph(
        read_table(snakemake.input.edges), read_table(snakemake.input.nodes)
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
