"""Score the network against known edges."""

from typing import TYPE_CHECKING

import pandas as pd

from lgem.files import read_arrays, write_json, write_table, write_text
from lgem.network.precision import partial_correlations
from lgem.network.reference import headline, read_reference, score_network
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    arrays = read_arrays(snakemake.input.precision)
    genes = arrays["genes"].tolist()
    reference = read_reference(snakemake.input.reference, genes, arrays["symbols"].tolist())
    parts = []
    for stage in ("before", "after"):
        rho = partial_correlations(arrays[stage])
        scores = score_network(
            rho,
            genes,
            reference.edges,
            snakemake.params.bootstrap,
            snakemake.params.interval,
            snakemake.params.seed,
        )
        parts.append(scores.assign(estimator=snakemake.params.estimator, network=stage))
    table = pd.concat(parts)
    first = ["estimator", "network"]
    write_table(table[[*first, *table.columns.drop(first)]], snakemake.output.scores)
    write_json(reference.counts, snakemake.output.counts)
    rows = ", ".join(f"{count} {what}" for what, count in reference.counts.items())
    log.info("reference: %s", rows.replace("_", " "))
    write_text(headline(parts[0], genes, reference.edges) + "\n", snakemake.output.headline)
