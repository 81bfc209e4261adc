"""The network's tables against plain loops, and its files against what was written."""

import json
import os
import subprocess
import sys
from itertools import combinations

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from lgem.network.census import BINS, census
from lgem.network.dense import DensePartial
from lgem.network.edges import (
    change_table,
    edge_table,
    graph,
    network_statistics,
    partial_correlation_histogram,
    with_symbols,
    write_edges,
    write_graphml,
)

# A panel, sorted by name as panels are.
NAMES = [f"gene_{i:02}" for i in range(12)]


def correlations(seed, genes=12):
    rng = np.random.default_rng(seed)
    matrix = np.triu(rng.uniform(-0.4, 0.4, (genes, genes)), 1)
    return matrix + matrix.T + np.eye(genes)


def counted(before, after, threshold=0.15, top=5, most=10_000, changes=20):
    return census(DensePartial(before), DensePartial(after), threshold, top, most, changes)


def edges_of(before, after, threshold, top, most=10_000, names=NAMES):
    return edge_table(counted(before, after, threshold, top, most), names, threshold)


def changes_of(before, after, names=NAMES, n=20):
    return change_table(counted(before, after, changes=n), names)


def slow_pairs(before, after, genes):
    """All pairs as dictionaries, alphabetical within the pair."""
    for i, j in combinations(range(len(genes)), 2):
        change = abs(after[i, j]) - abs(before[i, j])
        row = {"gene_a": genes[i], "gene_b": genes[j]}
        yield row | {"before": before[i, j], "after": after[i, j], "change": change}


def size(row):
    return max(abs(row["before"]), abs(row["after"]))


def slow_edges(before, after, genes):
    pairs = slow_pairs(before, after, genes)
    return sorted(pairs, key=lambda row: (-size(row), row["gene_a"], row["gene_b"]))


@pytest.mark.parametrize("threshold", [0.0, 0.15, 0.3])
def test_edges_are_all_pairs_above_the_threshold_before_or_after(threshold):
    before, after = correlations(0), correlations(1)
    rows = slow_edges(before, after, NAMES)
    expected = pd.DataFrame([row for row in rows if size(row) > threshold])
    table = edges_of(before, after, threshold, top=3)
    assert set(table.pop("selected_by")) == {"threshold"}
    pd.testing.assert_frame_equal(table, expected)


@pytest.mark.parametrize("kind", [object, "category", "string"])
def test_symbols_stand_beside_the_genes_they_belong_to(kind):
    before, after = correlations(0), correlations(1)
    symbols = pd.Series([f"S{name.removeprefix('gene_')}" for name in NAMES], NAMES).astype(kind)
    for pairs in (edges_of(before, after, 0.3, 5), changes_of(before, after)):
        found = with_symbols(pairs, symbols)
        pd.testing.assert_frame_equal(found[list(pairs.columns)], pairs)
        assert list(found.columns) == [*pairs.columns, "symbol_a", "symbol_b"]
        assert len(found) > 3
        for end in "ab":
            spelled = found[f"gene_{end}"].str.replace("gene_", "S")
            assert found[f"symbol_{end}"].tolist() == spelled.tolist()
        assert with_symbols(pairs, None) is pairs
    network = graph(with_symbols(edges_of(before, after, 0.3, 5), symbols),
                    pd.DataFrame({"symbol": symbols}))  # fmt: skip
    assert network.number_of_edges() > 3
    for a, b, attributes in network.edges(data=True):
        ends = {attributes["symbol_a"], attributes["symbol_b"]}
        assert ends == {symbols[a], symbols[b]}


def test_a_table_without_pairs_has_columns_for_symbols_too():
    nothing = edges_of(np.eye(12), np.eye(12), 0.15, top=5)
    found = with_symbols(nothing, pd.Series(NAMES, NAMES))
    assert found.empty
    assert list(found.columns)[-2:] == ["symbol_a", "symbol_b"]


def test_too_few_edges_are_filled_up_with_the_strongest_pairs_and_say_so():
    before, after = correlations(2), correlations(3)
    rows = slow_edges(before, after, NAMES)
    table = edges_of(before, after, 0.39, top=20)
    selected = table.pop("selected_by")
    pd.testing.assert_frame_equal(table, pd.DataFrame(rows[:20]))
    strong = sum(size(row) > 0.39 for row in rows)
    assert 0 < strong < 20
    assert list(selected) == ["threshold"] * strong + ["top"] * (20 - strong)


def test_too_many_edges_are_cut_off_at_the_weakest():
    before, after = correlations(2), correlations(3)
    rows = slow_edges(before, after, NAMES)
    table = edges_of(before, after, 0.05, top=5, most=17)
    assert set(table.pop("selected_by")) == {"threshold"}
    pd.testing.assert_frame_equal(table, pd.DataFrame(rows[:17]))


def test_equal_edges_come_in_the_order_of_their_names():
    rho = np.full((12, 12), -0.2)
    np.fill_diagonal(rho, 1)
    for threshold, top, count in ((0.15, 1, 66), (0.5, 7, 7)):
        table = edges_of(rho, rho, threshold, top)
        ends = list(zip(table["gene_a"], table["gene_b"], strict=True))
        assert ends == list(combinations(NAMES, 2))[:count]


def test_a_pair_without_partial_correlation_is_never_an_edge():
    rho = np.eye(12)
    assert edges_of(rho, rho, 0.15, top=50).empty
    rho[2, 5] = rho[5, 2] = -0.01
    table = edges_of(np.eye(12), rho, 0.15, top=50)
    assert table.to_dict("records") == [
        {
            "gene_a": "gene_02",
            "gene_b": "gene_05",
            "before": 0.0,
            "after": -0.01,
            "change": 0.01,
            "selected_by": "top",
        }
    ]


def test_changes_are_ranked_by_size_in_either_direction():
    before, after = correlations(7), correlations(8)
    rows = sorted(
        slow_pairs(before, after, NAMES),
        key=lambda row: (-abs(row["change"]), row["gene_a"], row["gene_b"]),
    )
    table = changes_of(before, after)
    assert list(table.pop("rank")) == list(range(1, 21))
    pd.testing.assert_frame_equal(table, pd.DataFrame(rows[:20]))
    assert table["change"].min() < 0 < table["change"].max()
    assert len(changes_of(before, after, n=5)) == 5


def test_what_did_not_change_is_no_change():
    rho = correlations(9)
    assert changes_of(rho, np.where(np.eye(12) > 0, 1, -rho)).empty
    after = rho.copy()
    after[0, 1] = after[1, 0] = 0.9
    assert len(changes_of(rho, after)) == 1


def test_statistics_are_those_of_the_pairs():
    before, after = correlations(10), correlations(11)
    # However few edges are listed, the statistics are those of all pairs.
    found = counted(before, after, 0.15, top=1, most=2)
    table = network_statistics(found, 12, (12.0, 34.0)).set_index("metric")
    for column, rho, condition in (("before", before, 12.0), ("after", after, 34.0)):
        sizes = [abs(rho[i, j]) for i, j in combinations(range(12), 2)]
        strong = sum(size > 0.15 for size in sizes)
        assert table[column].to_dict() == pytest.approx(
            {
                "genes": 12,
                "pairs": 66,
                "strong_edges": strong,
                "density": strong / 66,
                "mean_abs_rho": np.mean(sizes),
                "max_abs_rho": max(sizes),
                "condition_number": condition,
            }
        )


@pytest.mark.parametrize("bins", [8, 9, 81])
@pytest.mark.parametrize("reach", [1.0, 0.4, 1e-3])
def test_the_histogram_holds_every_pair_in_bins_symmetric_about_zero(bins, reach):
    scale = reach / 0.4
    before, after = (correlations(seed, 60) * scale for seed in (12, 13))
    after *= 0.5
    found = counted(before, after)
    table = partial_correlation_histogram(found.before, found.after, bins)
    assert len(table) == 2 * (bins // 2)
    np.testing.assert_allclose(table["left"], -table["right"][::-1])
    np.testing.assert_array_equal(table["left"][1:], table["right"][:-1])
    bounds = np.append(table["left"], table["right"].iloc[-1])
    for column, rho in (("before", before), ("after", after)):
        pairs = rho[np.triu_indices(60, 1)]
        assert table[column].sum() == 1770
        assert list(table[column]) == list(np.histogram(pairs, bounds)[0])
    largest = np.abs(before - np.diag(np.diag(before))).max()
    # No wider than it must be, but for a fine bin of the count to each bin.
    assert largest <= table["right"].iloc[-1] <= largest + bins * 2 / BINS


def test_the_histogram_of_an_empty_network_has_bins_too():
    found = counted(np.eye(5), np.eye(5))
    table = partial_correlation_histogram(found.before, found.after, bins=6)
    assert list(table["before"]) == list(table["after"]) == [0, 0, 0, 10, 0, 0]
    assert table["right"].iloc[-1] == pytest.approx(1, abs=1e-3)


def example_graph():
    edges = edges_of(correlations(14), correlations(15), 0.35, top=2)
    nodes = pd.DataFrame(
        {"symbol": [name.upper() for name in NAMES], "control": np.arange(12.0), "cells": 3},
        index=NAMES,
    )
    nodes.loc["gene_03", "symbol"] = None
    return edges, graph(edges, nodes)


def test_the_graph_has_every_gene_and_every_edge():
    edges, network = example_graph()
    assert list(network) == NAMES
    assert network.number_of_edges() == len(edges)
    first = edges.iloc[0]
    assert network.edges[first["gene_a"], first["gene_b"]] == {
        "before": first["before"],
        "after": first["after"],
        "change": first["change"],
        "selected_by": "threshold",
        "weight": abs(first["after"]),
    }
    assert network.nodes["gene_03"] == {"control": 3.0, "cells": 3}
    assert list(graph(edges.iloc[:0], pd.DataFrame(index=NAMES)).nodes) == NAMES


def test_graphml_gives_back_the_graph(tmp_path):
    _, network = example_graph()
    write_graphml(network, tmp_path / "network.graphml")
    read = nx.read_graphml(tmp_path / "network.graphml")
    assert dict(read.nodes(data=True)) == dict(network.nodes(data=True))
    assert read.adj == network.adj
    assert [path.name for path in tmp_path.iterdir()] == ["network.graphml"]


def test_graphml_has_the_same_bytes_in_every_process(tmp_path):
    code = (
        "import sys, numpy as np, pandas as pd\n"
        "from lgem.network.census import census\n"
        "from lgem.network.dense import DensePartial\n"
        "from lgem.network.edges import edge_table, graph, write_graphml\n"
        "rho = DensePartial(np.full((4, 4), 0.3)); names = list('abcd')\n"
        "edges = edge_table(census(rho, rho, 0.15, 1, 100), names, 0.15)\n"
        "nodes = pd.DataFrame({'name': names, 'level': 1.5, 'cells': 2}, index=names)\n"
        "write_graphml(graph(edges, nodes), sys.argv[1])\n"
    )
    written = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.graphml"
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_parquet_gives_back_the_edges_and_their_provenance(tmp_path):
    edges, _ = example_graph()
    provenance = {"dataset": "demo", "seed": 1, "versions": {"lgem": "0.1.0"}}
    for name in ("edges.parquet", "again.parquet"):
        write_edges(edges, tmp_path / name, provenance)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "edges.parquet"), edges, check_dtype=False
    )
    metadata = pq.read_schema(tmp_path / "edges.parquet").metadata
    assert json.loads(metadata[b"provenance"]) == provenance
    first, second = ((tmp_path / name).read_bytes() for name in ("edges.parquet", "again.parquet"))
    assert first == second
