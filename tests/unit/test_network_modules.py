"""Genes of the network: degrees against loops over edges, modules against planted ones."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lgem.network.modules import gene_table

MEASURES = ["degree_before", "degree_after", "strength_before", "strength_after", "module"]


def panel(genes):
    return [f"gene_{i:03}" for i in range(genes)]


def edge_list(rows):
    columns = ["gene_a", "gene_b", "before", "after"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"before": float, "after": float}).assign(q_value=0.01)


def random_edges(seed, names, count):
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(len(names), 1)
    chosen = rng.choice(len(first), count, replace=False)
    rho = rng.uniform(-0.5, 0.5, (2, count))
    ends = zip(first[chosen], second[chosen], *rho, strict=True)
    return edge_list([(names[i], names[j], b, a) for i, j, b, a in ends])


def planted(seed, names, modules, within=0.5, between=0.02):
    """Edges that are dense within groups of genes and rare between them."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(len(names), 1)
    same = modules[first] == modules[second]
    there = rng.random(len(first)) < np.where(same, within, between)
    size = rng.uniform(0.1, 0.4, len(first)) * rng.choice([-1, 1], len(first))
    rows = [(names[i], names[j], 0.0, r) for i, j, r in
            zip(first[there], second[there], size[there], strict=True)]  # fmt: skip
    return edge_list(rows)


@pytest.mark.parametrize("threshold", [0.0, 0.15, 0.4])
def test_degrees_and_strengths_are_sums_over_the_edges_of_a_gene(threshold):
    names = panel(20)
    edges = random_edges(1, names, 70)
    nodes = pd.DataFrame({"symbol": [name.upper() for name in names]}, names)
    table = gene_table(edges, nodes, threshold, seed=1)
    assert list(table) == ["gene", "symbol", *MEASURES]
    assert table["gene"].tolist() == names
    assert table["symbol"].tolist() == nodes["symbol"].tolist()
    rows = edges.to_dict("records")
    for row in table.to_dict("records"):
        own = [edge for edge in rows if row["gene"] in (edge["gene_a"], edge["gene_b"])]
        for when in ("before", "after"):
            assert row[f"degree_{when}"] == sum(abs(edge[when]) > threshold for edge in own)
            expected = sum(abs(edge[when]) for edge in own)
            assert row[f"strength_{when}"] == pytest.approx(expected)
    # Every edge has two ends.
    assert table["degree_after"].sum() == 2 * (edges["after"].abs() > threshold).sum()
    assert table["degree_after"].dtype == table["degree_before"].dtype == np.int64


def test_where_no_edge_is_strong_all_listed_ones_count():
    names = panel(4)
    edges = edge_list([(names[0], names[1], 0.1, -0.1), (names[0], names[2], 0.0, 0.05)])
    table = gene_table(edges, pd.DataFrame(index=names), 0.15, seed=1)
    assert table["degree_before"].tolist() == [1, 1, 0, 0]
    assert table["degree_after"].tolist() == [2, 1, 1, 0]


def test_degrees_before_and_after_are_counted_in_the_same_way():
    names = panel(4)
    edges = edge_list([(names[0], names[1], 0.1, 0.2), (names[0], names[2], 0.1, 0.1)])
    table = gene_table(edges, pd.DataFrame(index=names), 0.15, seed=1)
    # One edge is strong, after the updates: before them there were none, not two.
    assert table["degree_before"].tolist() == [0, 0, 0, 0]
    assert table["degree_after"].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_planted_modules_are_found_the_largest_first(seed):
    truth = np.repeat([1, 2, 3], [25, 18, 12])
    names = panel(len(truth))
    edges = planted(seed, names, truth)
    table = gene_table(edges, pd.DataFrame(index=names), 0.15, seed)
    assert (table["module"] == truth).mean() > 0.95
    sizes = table["module"].value_counts().sort_index()
    assert sizes.is_monotonic_decreasing
    assert sizes.index.tolist() == list(range(1, len(sizes) + 1))


def test_a_module_has_at_least_three_genes():
    names = panel(9)
    triangle = [(names[i], names[j], 0.2, 0.3) for i, j in ((4, 5), (4, 6), (5, 6))]
    pair = [(names[0], names[8], 0.9, 0.9)]
    table = gene_table(edge_list(triangle + pair), pd.DataFrame(index=names), 0.15, seed=1)
    assert table["gene"][table["module"].notna()].tolist() == names[4:7]
    assert set(table["module"].dropna()) == {1}


def test_equal_modules_are_numbered_by_their_first_gene():
    names = panel(12)
    rows = [(names[i], names[j], 0.3, 0.3) for start in (8, 0, 4)
            for i in range(start, start + 4) for j in range(i + 1, start + 4)]  # fmt: skip
    table = gene_table(edge_list(rows), pd.DataFrame(index=names), 0.15, seed=3)
    assert table["module"].tolist() == [1] * 4 + [2] * 4 + [3] * 4


def test_edges_that_are_gone_after_the_updates_hold_no_module_together():
    names = panel(3)
    rows = [(names[i], names[j], 0.5, 0.0) for i, j in ((0, 1), (0, 2), (1, 2))]
    table = gene_table(edge_list(rows), pd.DataFrame(index=names), 0.15, seed=1)
    assert table["module"].isna().all()
    assert table["degree_before"].tolist() == [2, 2, 2]
    assert table["degree_after"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("rows", [[], [("gene_001", "gene_003", 0.3, 0.2)]])
def test_a_network_of_no_edge_or_one_has_no_module(rows):
    nodes = pd.DataFrame({"symbol": "x"}, panel(4))
    table = gene_table(edge_list(rows), nodes, 0.15, seed=1)
    assert list(table) == ["gene", "symbol", *MEASURES]
    assert table["module"].isna().all()
    assert str(table["module"].dtype) == "Int64"
    degree = [int(bool(rows) and i in (1, 3)) for i in range(4)]
    assert table["degree_after"].tolist() == table["degree_before"].tolist() == degree
    assert table["strength_after"].tolist() == pytest.approx([0.2 * d for d in degree])


def test_the_table_has_the_same_bytes_in_every_process():
    code = (
        "import sys, numpy as np, pandas as pd\n"
        "from tests.unit.test_network_modules import panel, planted\n"
        "from lgem.network.modules import gene_table\n"
        "names = panel(60)\n"
        # Modules so faint that any change of order would move genes between them.
        "edges = planted(1, names, np.repeat([1, 2, 3], 20), within=0.3, between=0.15)\n"
        "table = gene_table(edges, pd.DataFrame(index=names), 0.15, seed=1)\n"
        "assert table['module'].nunique() > 1\n"
        "sys.stdout.write(table.to_csv(sep='\\t'))\n"
    )
    written = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, env=environment, capture_output=True
        )
        written.append(done.stdout)
    assert written[0] == written[1] != b""


def test_edges_that_may_be_chance_hold_no_module_together():
    names = panel(30)
    edges = planted(3, names, np.repeat([0, 1, 2], 10))
    doubtful = edges.assign(q_value=0.5)
    assert gene_table(edges, pd.DataFrame(index=names), 0.9, 1)["module"].notna().any()
    for table in (doubtful, edges.assign(q_value=np.nan)):
        assert gene_table(table, pd.DataFrame(index=names), 0.9, 1)["module"].isna().all()
    # A strong edge counts without a false discovery rate.
    strong = gene_table(doubtful, pd.DataFrame(index=names), 0.0, 1)["module"]
    assert strong.notna().any()
