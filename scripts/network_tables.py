"""List the edges of the network, their changes, its genes, and how it is spread."""

from typing import TYPE_CHECKING

import anndata
import pandas as pd

from lgem.files import read_arrays, read_json, write_table
from lgem.network import edges as tables
from lgem.network.census import census
from lgem.network.modules import gene_table
from lgem.network.null import discoveries, q_values
from lgem.network.saved import AFTER, BEFORE, partial_from
from lgem.provenance import provenance
from lgem.systems import systems_from
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

LEVEL = 0.05

with job(snakemake) as log:
    settings, out = snakemake.params.network, snakemake.output
    arrays, estimate = read_arrays(snakemake.input.precision), read_arrays(snakemake.input.estimate)
    genes, null = arrays["genes"].tolist(), estimate["null"]
    nodes = anndata.read_h5ad(snakemake.input.cells, backed="r").var.loc[genes]
    symbols, threshold = nodes.get("symbol"), settings["threshold"]
    before = partial_from(arrays, BEFORE)
    updated = arrays["loadings"].size or arrays["removed"].size
    after = partial_from(arrays, AFTER) if updated else before
    found = census(before, after, threshold, settings["top_edges"], settings["max_edges"])
    if found.strong > len(found.edges):
        log.warning("%d strong edges, the strongest %d listed", found.strong, len(found.edges))

    edges = tables.edge_table(found, genes, threshold)
    edges["q_value"] = float("nan")
    if settings["permutations"]:
        edges["q_value"] = q_values(edges["before"].abs().to_numpy(), found.before, null)
    edges = tables.with_symbols(edges, symbols)
    tables.write_edges(edges, out.edges, provenance(**snakemake.params.origin))
    write_table(edges.head(100), out.strongest)
    described = gene_table(edges, nodes, threshold, snakemake.params.seed)
    write_table(described, out.genes)
    tables.write_graphml(tables.graph(edges, described.set_index("gene")), out.graph)

    changes = tables.change_table(found, genes)
    changes.insert(0, "update", "all updates")
    alone = pd.read_parquet(snakemake.input.rewired)
    write_table(tables.with_symbols(pd.concat([changes, alone]), symbols), out.changes)
    conditions = [each.condition for each in systems_from(read_json(snakemake.input.systems))]
    statistics = tables.network_statistics(found, len(genes), conditions)
    chosen = {"metric": str(estimate["choice"]), "before": float(estimate["value"])}
    significant = {"metric": "edges_fdr_0.05", "before": discoveries(found.before, null, LEVEL)}
    more = [chosen, *([significant] if settings["permutations"] else [])]
    write_table(pd.concat([statistics, pd.DataFrame(more)]), out.statistics)
    histogram = tables.partial_correlation_histogram(found.before, found.after, bins=100)
    write_table(histogram, out.histogram)
