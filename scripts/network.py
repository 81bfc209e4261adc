"""Estimate the network of the control cells and update it by predicted responses."""

from dataclasses import fields
from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd

from lgem.files import write_arrays, write_json, write_table
from lgem.network import edges as tables
from lgem.network.covariance import ledoit_wolf, standardise
from lgem.network.precision import condition_number, covariance_systems, partial_correlations
from lgem.network.updates import DensePrecision, UpdateRecord, response_loadings
from lgem.prediction.evaluation import mean_responses
from lgem.prediction.training import PREDICTED
from lgem.provenance import provenance
from lgem.screen.io import network_expression
from lgem.systems import systems_content
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    settings, out = snakemake.params.network, snakemake.output
    origin = provenance(**snakemake.params.origin)
    cells = anndata.read_h5ad(snakemake.input.cells)
    batch = cells.obs.get("batch")
    panel = standardise(network_expression(cells), batch)
    covariance, shrinkage = ledoit_wolf(panel.values)
    theta = DensePrecision(covariance, snakemake.params.seed)
    first = theta.precision
    log.info("%d cells, %d genes, shrinkage %.3f", *panel.values.shape, shrinkage)
    if shrinkage > 0.99:
        log.warning("shrinkage near 1: too few cells to tell partial correlations from none")

    nodes = cells.var[panel.genes_kept]
    genes = nodes.index.astype(str).to_list()
    records = []
    if snakemake.input.responses:
        predicted = anndata.read_h5ad(snakemake.input.responses)
        # The mean effect alone says nothing of a perturbation: it would only count many times.
        effects, names = mean_responses(predicted[:, genes], statuses=[PREDICTED])
        if names:
            loadings = response_loadings(effects, panel.scale, settings["response_scale"])
            records.append(theta.update(loadings, "predicted responses"))
        log.info("%d predicted responses update the network", len(names))

    before, after = partial_correlations(first), partial_correlations(theta.precision)
    threshold = settings["threshold"]
    conditions = (condition_number(first), condition_number(theta.precision))
    edges = tables.edge_table(before, after, genes, threshold, settings["top_edges"])
    write_arrays(
        out.precision,
        genes=np.array(genes),
        symbols=nodes.get("symbol", nodes.index.to_series()).to_numpy(dtype=str),
        scale=panel.scale,
        covariance=covariance,
        loadings=theta.loadings,
        before=first,
        after=theta.precision,
    )
    edges = tables.with_symbols(edges, nodes.get("symbol"))
    changes = tables.with_symbols(tables.largest_changes(before, after, genes), nodes.get("symbol"))
    tables.write_edges(edges, out.edges, origin)
    write_table(edges.head(100), out.strongest)
    tables.write_graphml(tables.graph(edges, nodes), out.graph)
    updates = pd.DataFrame(records, columns=[field.name for field in fields(UpdateRecord)])
    updates.insert(0, "order", np.arange(1, len(updates) + 1))
    write_table(updates, out.updates)
    statistics = tables.network_statistics(before, after, threshold, conditions)
    shrunk = pd.DataFrame([{"metric": "shrinkage", "before": shrinkage, "after": shrinkage}])
    write_table(pd.concat([statistics, shrunk]), out.statistics)
    write_table(changes, out.changes)
    systems = covariance_systems(panel.values, shrinkage, first, theta.precision)
    write_json(systems_content(systems), out.systems)
    write_table(tables.partial_correlation_histogram(before, after, bins=100), out.histogram)
