"""Score the network against known edges."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lgem.files import read_arrays, read_table, write_json, write_table, write_text
from lgem.network.names import Others
from lgem.network.reference import (
    LARGEST_PANEL,
    headline,
    read_reference,
    score_network,
    within_reference,
)
from lgem.network.saved import AFTER, BEFORE, partial_from
from lgem.network.shuffled import shuffled_scores
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    params = snakemake.params
    arrays = read_arrays(snakemake.input.precision)
    compared = read_table(snakemake.input.estimators)
    names, symbols = arrays["genes"], arrays["symbols"].tolist()
    others = Others({*arrays["other_ids"]}, {*arrays["other_symbols"]})
    reference = read_reference(snakemake.input.reference, names.tolist(), symbols, others)
    scored = np.arange(len(names))
    if len(names) > LARGEST_PANEL:
        scored = within_reference(names.tolist(), reference.edges)
        log.warning("pairs of the %d genes that the reference names are scored", len(scored))
    genes = names[scored].tolist()
    parts = []
    for stage in (BEFORE, AFTER):
        rho = partial_from(arrays, stage).block(scored, scored)
        bootstrap = params.bootstrap, params.interval, params.seed
        scores = score_network(rho, genes, reference.edges, *bootstrap)
        shuffled = shuffled_scores(rho, genes, reference.edges, *bootstrap)
        parts.append(scores.merge(shuffled, on="metric").assign(network=stage))
    table = pd.concat(parts)
    table.insert(0, "estimator", compared.dropna(subset=["choice"])["estimator"].iloc[0])
    table.insert(1, "network", table.pop("network"))
    write_table(table, snakemake.output.scores)
    write_json(reference.counts, snakemake.output.counts)
    rows = ", ".join(f"{count} {what}" for what, count in reference.counts.items())
    log.info("reference: %s", rows.replace("_", " "))
    updated = parts[1] if arrays["loadings"].size or arrays["removed"].size else None
    told = headline(parts[0], updated, genes, reference.edges, params.interval)
    write_text(told + "\n", snakemake.output.headline)
