"""Estimate the covariance of the control cells, and what chance would make of it."""

from typing import TYPE_CHECKING

import anndata
import numpy as np

from lgem.files import write_arrays, write_json, write_table
from lgem.network.choice import choose_estimate
from lgem.network.covariance import standardise
from lgem.network.estimators import SHRINKAGE, estimate_arrays
from lgem.network.null import null_of
from lgem.network.precision import choose_form, diagnose_sample
from lgem.screen.io import names_of, network_expression
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

FEW = 30

with job(snakemake) as log:
    settings, seed = snakemake.params.network, snakemake.params.seed
    cells = anndata.read_h5ad(snakemake.input.cells)
    # In the order of their names, so that those of a pair are, too.
    cells = cells[:, np.sort(cells.var_names)]
    panel = standardise(network_expression(cells), cells.obs.get("batch"))
    genes = cells.var[panel.genes_kept]
    form = choose_form(settings["form"], settings["estimator"], *panel.values.shape)
    estimate, compared = choose_estimate(panel.values, settings["estimator"], form, seed)
    found = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in panel.counts.items())
    log.info("%s; %s; %s form", found, estimate.in_words, form)
    if estimate.note:
        log.info("%s", estimate.note)
    if len(panel.values) < FEW:
        log.warning("%d cells: partial correlations of so few are chance", len(panel.values))
    if estimate.choice == SHRINKAGE and estimate.value > 0.99:
        log.warning("shrinkage near 1: too few cells to tell partial correlations from none")
    write_arrays(
        snakemake.output.estimate,
        form=np.array(form),
        genes=genes.index.to_numpy(dtype=str),
        symbols=genes.get("symbol", genes.index.to_series()).to_numpy(dtype=str),
        constant=names_of(cells.var[~panel.genes_kept]),
        other_ids=cells.uns["other_ids"].astype(str),
        other_symbols=cells.uns["other_symbols"].astype(str),
        scale=panel.scale,
        mean=panel.mean,
        spread=panel.spread,
        shape=np.array(panel.values.shape),
        spectrum=diagnose_sample(panel.values).singular,
        null=null_of(panel, estimate, form, settings["permutations"], seed),
        **estimate_arrays(estimate),
    )
    write_json(panel.counts, snakemake.output.counts)
    write_table(compared, snakemake.output.compared)
