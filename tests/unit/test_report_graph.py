"""The network's graph in the report."""

from __future__ import annotations

import pandas as pd
import pytest

from lgem.report import graph
from tests.unit import report_cases as cases


@pytest.fixture(scope="module")
def drawn():
    return graph.drawing(cases.edges(), cases.changes(), cases.genes())


def test_every_edge_is_drawn_once_and_what_one_response_would_do_is_not(drawn):
    pairs = {(edge.gene_a, edge.gene_b) for edge in drawn.edges}
    assert pairs == set(zip(cases.edges()["gene_a"], cases.edges()["gene_b"], strict=True))
    assert len(drawn.edges) == 3
    assert "G9" not in {node.gene for node in drawn.nodes}


def test_edges_end_at_their_genes_within_the_drawing(drawn):
    places = {node.gene: (node.x, node.y) for node in drawn.nodes}
    for edge in drawn.edges:
        assert (edge.x1, edge.y1) == places[edge.gene_a]
        assert (edge.x2, edge.y2) == places[edge.gene_b]
    assert all(0 < x < graph.WIDTH and 0 < y < graph.HEIGHT for x, y in places.values())
    assert len(set(places.values())) == len(places)


def test_before_and_after_have_one_scale_of_widths(drawn):
    by_pair = {(edge.gene_a, edge.gene_b): edge for edge in drawn.edges}
    weaker = by_pair["A&B", "G3"]
    assert weaker.widths["before"] / weaker.widths["after"] == pytest.approx(1.5, rel=0.01)
    assert weaker.values == {"before": -0.3, "after": -0.2, "change": -0.1}


def test_genes_have_their_modules_and_targets(drawn):
    nodes = {node.gene: node for node in drawn.nodes}
    assert [node.gene for node in drawn.nodes if node.target] == [cases.HOSTILE]
    assert nodes["A&B"].colour == nodes[cases.HOSTILE].colour == 1
    assert (nodes["G3"].colour, nodes["G3"].module) == (2, "2")
    assert (nodes["G4"].colour, nodes["G4"].module) == (0, "")


def test_a_network_without_updates_is_seen_in_one_way():
    same = cases.edges().assign(after=cases.edges()["before"], change=0.0)
    found = graph.drawing(same, cases.changes().head(0), cases.genes())
    assert found.modes == ("before",)


def test_genes_are_called_by_their_symbols():
    named = cases.edges().assign(symbol_a=["S1", None, "S3"], symbol_b=[None, "S3", "S4"])
    found = graph.drawing(named, cases.changes().head(0), cases.genes())
    labels = {node.gene: node.label for node in found.nodes}
    assert labels == {cases.HOSTILE: "S1", "A&B": "A&B", "G3": "S3", "G4": "S4"}


def test_the_same_tables_give_the_same_graph_and_no_edges_none(drawn):
    assert graph.drawing(cases.edges(), cases.changes(), cases.genes()) == drawn
    none = pd.DataFrame(columns=cases.edges().columns)
    assert graph.drawing(none, cases.changes().head(0), cases.genes()) is None
