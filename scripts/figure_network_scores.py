"""Draw the network's scores against known edges, beside chance."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.network import network_scores
from lgem.figures.style import save
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    scores = read_table(snakemake.input.scores)
    stages = scores["network"] + " the updates"
    figure, drawn = network_scores(
        scores.assign(estimator=scores["estimator"] + ", " + stages),
        interval=snakemake.params.interval,
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
