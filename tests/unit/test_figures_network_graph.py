"""The drawn gene network: legible for any shape of network, drawn as tabled, the same each time."""

from itertools import combinations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from figure_cases import LONG, NOTHING, drawn_texts, overlap, within
from figure_checks import assert_sound, drawing, ordered, said
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from lgem.errors import InputError
from lgem.figures import graph, graph_layout, style

DOUBLE = [style.WIDTHS_MM["double"]]


def edges_of(pairs, seed=0, **columns):
    """Return a table of strongest edges between these pairs, strongest first."""
    rng, n = np.random.default_rng(seed), len(pairs)
    after = np.sort(rng.uniform(0.15, 0.6, n))[::-1] * np.where(rng.random(n) < 0.3, -1, 1)
    table = pd.DataFrame(list(pairs), columns=["gene_a", "gene_b"])
    before = np.where(rng.random(n) < 0.2, 0.01, after)
    table = table.assign(before=before, after=after, change=abs(after) - abs(before))
    return table.assign(selected_by="threshold", q_value=np.nan).assign(**columns)


def genes_of(edges, modules=3):
    """Return a table of the genes of these edges, module by connected component."""
    own = nx.Graph(list(zip(edges["gene_a"], edges["gene_b"], strict=True)))
    parts = sorted(nx.connected_components(own), key=lambda part: (-len(part), min(part)))
    rows = [
        {"gene": name, "symbol": None, "degree_before": 1, "degree_after": 5 * own.degree(name),
         "strength_before": 0.2, "strength_after": 0.3, "module": k % modules + 1.0}
        for k, part in enumerate(parts) for name in sorted(part)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(target=np.arange(len(rows)) % 4 == 0)


def named(graph_, prefix="GENE"):
    return [(f"{prefix}{a}", f"{prefix}{b}") for a, b in graph_.edges]


def draw(pairs, modules=3, seed=0, **columns):
    edges = edges_of(pairs, seed, **columns)
    return graph.network_graph(edges, genes_of(edges, modules))


def screen_like():
    """Return 100 pairs: a dense module, trees, paths and many pairs of their own."""
    dense = nx.gnm_random_graph(14, 30, seed=1)
    tree = nx.relabel_nodes(nx.balanced_tree(2, 3), lambda k: f"T{k}")
    path = nx.relabel_nodes(nx.path_graph(6), lambda k: f"P{k}")
    alone = [(f"A{k}", f"B{k}") for k in range(51)]
    return [*named(dense), *tree.edges, *path.edges, *alone]


STAR = [("HUB", f"LEAF{k}") for k in range(80)]
PAIRS = [(f"A{k}", f"B{k}") for k in range(80)]
DENSE = named(nx.gnm_random_graph(20, 80, seed=2))
SOME = [("A", "B"), ("B", "C"), ("D", "E")]
CASES = {
    "screen": lambda: draw(screen_like()),
    "one": lambda: draw([("STAT1", "IRF1")]),
    "two": lambda: draw([("STAT1", "IRF1"), ("STAT1", "IRF9")]),
    "triangle": lambda: draw([("A", "B"), ("B", "C"), ("A", "C")]),
    "star": lambda: draw(STAR),
    "pairs": lambda: draw(PAIRS, modules=30),
    "path": lambda: draw(named(nx.path_graph(81))),
    "dense": lambda: draw(DENSE),
    "long names": lambda: draw(named(nx.gnm_random_graph(30, 50, seed=3), f"{LONG[1]}_and_more_")),
    "unknown genes": lambda: graph.network_graph(edges_of(DENSE), NOTHING),
    "no modules": lambda: graph.network_graph(
        edges_of(SOME), genes_of(edges_of(SOME)).assign(module=np.nan, target=False)
    ),
    "negative": lambda: draw(SOME, after=[-0.4, -0.3, -0.2], before=-0.4),
    "equal": lambda: draw(SOME, after=0.3, before=np.nan, change=np.nan),
    "formula": lambda: draw([("A$1$", "B_{2}"), ("A$1$", "C^3")]),
    "no values": lambda: draw(SOME, after=np.nan),
    "zeros": lambda: draw(SOME, after=0.0),
    "empty": lambda: graph.network_graph(NOTHING, NOTHING),
}
DRAWN = [name for name in CASES if name not in {"no values", "zeros", "empty"}]


@pytest.fixture(scope="module")
def drawn():
    """Return figure, table and texts of a case, each made once."""
    return drawing(CASES)


def rows(table, mark):
    return table[table["mark"] == mark].reset_index(drop=True)


def marks(figure, gid):
    found = [mark for mark in figure.findobj(PathCollection) if mark.get_gid() == gid]
    return np.concatenate([np.ma.getdata(mark.get_offsets()) for mark in found])


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_legible_without_empty_panels_and_reads_back(name, tmp_path, drawn):
    assert_sound(drawn(name), tmp_path, DOUBLE)
    assert drawn(name)[0].get_size_inches()[1] * 25.4 < 125


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("empty", "no pair of genes has a partial correlation"),
        ("zeros", "no pair of genes has a partial correlation"),
        ("no values", "3 without a value after the updates"),
    ],
)
def test_a_network_without_edges_says_so(name, why, drawn):
    figure, table, texts = drawn(name)
    assert table["mark"].tolist() == ["note"]
    assert why in table["note"].iloc[0]
    assert why in said(texts)
    assert not figure.findobj(PathCollection)


@pytest.mark.parametrize("name", DRAWN)
def test_genes_stand_where_tabled_apart_and_within_the_panel(name, drawn):
    figure, table, _ = drawn(name)
    nodes = rows(table, "node")
    places = nodes[["x", "y"]].to_numpy(dtype=float)
    np.testing.assert_array_equal(ordered(marks(figure, "nodes")), ordered(places))
    distances = [np.linalg.norm(one - other) for one, other in combinations(places, 2)]
    assert min(distances) > 2 * graph.NODE_MM
    axes = figure.axes[0]
    size = [axes.get_xlim()[1], axes.get_ylim()[1]]
    assert (places >= graph.NODE_MM).all()
    assert (places <= np.array(size) - graph.NODE_MM).all()
    # A mm of the table is a mm of the print.
    assert size == pytest.approx([style.panel_width(axes), style.panel_height(axes)])
    targets = nodes.loc[nodes["target"].eq(True), ["x", "y"]]
    np.testing.assert_array_equal(ordered(marks(figure, "targets")), ordered(targets))


@pytest.mark.parametrize("name", DRAWN)
def test_edges_join_the_genes_tabled_by_sign_and_strength(name, drawn):
    figure, table, _ = drawn(name)
    nodes, edges = rows(table, "node").set_index("gene"), rows(table, "edge")
    assert len(edges) <= graph.MOST_EDGES
    assert set(nodes.index) == {*edges["gene_a"], *edges["gene_b"]}
    widest = edges["after"].abs().astype(float).max()
    for sign, own in (("positive", edges["after"] > 0), ("negative", edges["after"] < 0)):
        own = edges[own]
        assert (own["sign"] == sign).all()
        (lines,) = (m for m in figure.findobj(LineCollection) if m.get_gid() == f"edges {sign}")
        segments = [np.ravel(segment) for segment in lines.get_segments()]
        expected = [
            [*nodes.loc[a, ["x", "y"]], *nodes.loc[b, ["x", "y"]]]
            for a, b in zip(own["gene_a"], own["gene_b"], strict=True)
        ]
        assert len(segments) == len(expected)
        if len(own):
            np.testing.assert_array_equal(ordered(segments), ordered(expected))
            widths = np.sort(own["after"].abs().astype(float) / widest * 2.4)
            np.testing.assert_allclose(np.sort(lines.get_linewidths()), widths)
    new = edges[edges["new"].eq(True)]
    assert (new["before"].abs() < edges["after"].abs().min()).all()
    assert len(marks(figure, "new")) == len(new)


@pytest.mark.parametrize("name", DRAWN)
def test_names_lie_on_no_gene_no_diamond_and_no_other_name_and_the_rest_are_counted(name, drawn):
    figure, table, texts = drawn(name)
    axes, nodes = figure.axes[0], rows(table, "node")
    names = [(text, box) for text, box in texts if text in axes.texts]
    assert sorted(text.get_text() for text, _ in names) == sorted(
        nodes.loc[nodes["named"].eq(True), "label"]
    )
    points = axes.transData.transform(np.vstack([marks(figure, "nodes"), marks(figure, "new")]))
    for text, box in names:
        assert within(box, axes.bbox), text
        assert not box.count_contains(points), text
    assert not any(overlap(one, other) for (_, one), (_, other) in combinations(names, 2))
    missing = len(nodes) - len(names)
    assert (f"{missing} gene{'s' * (missing != 1)} not named" in said(texts)) == (missing > 0)


def test_genes_of_high_degree_are_named_first(drawn):
    for name in ("star", "dense", "long names"):
        nodes = rows(drawn(name)[1], "node")
        assert nodes["degree"].astype(float).is_monotonic_decreasing
        assert nodes["named"].iloc[0]
    assert rows(drawn("star")[1], "node")["gene"].iloc[0] == "HUB"
    for name in ("screen", "one", "triangle", "dense"):
        assert rows(drawn(name)[1], "node")["named"].eq(True).mean() > 0.9


def test_the_strongest_edges_are_drawn_whatever_their_order():
    edges = edges_of(screen_like())
    shuffled = edges.sample(frac=1, random_state=1).reset_index(drop=True)
    one, other = (graph.network_graph(table, genes_of(edges))[1] for table in (edges, shuffled))
    pd.testing.assert_frame_equal(one, other)
    strongest = edges.head(graph.MOST_EDGES)
    assert rows(one, "edge")["after"].tolist() == strongest["after"].tolist()
    assert "The 80 strongest edges" in rows(one, "note")["note"].str.cat(sep=" ")


def test_a_pair_given_twice_or_with_itself_is_drawn_once_or_not():
    pairs = [("A", "B"), ("B", "A"), ("C", "C"), ("A", "D")]
    table = draw(pairs, after=[0.5, 0.4, 0.9, 0.3])[1]
    assert rows(table, "edge")["after"].tolist() == [0.5, 0.3]


def test_modules_have_a_colour_each_and_those_beyond_seven_are_grey(drawn):
    figure, table, texts = drawn("pairs")
    nodes = rows(table, "node")
    colours = nodes.groupby(nodes["module"].astype(float))["colour"].unique()
    assert all(len(own) == 1 for own in colours)
    of_own = [own[0] for own in colours if own[0] != "#A8A8A8"]
    assert len(set(of_own)) == len(of_own) == graph.MOST_MODULES
    assert "23 other modules" in said(texts)
    (mark,) = (m for m in figure.findobj(PathCollection) if m.get_gid() == "nodes")
    faces = [to_hex(face).upper() for face in mark.get_facecolor()]
    assert faces == nodes["colour"].str.upper().tolist()
    assert "no module (5)" in said(drawn("no modules")[2])
    assert "target" not in said(drawn("no modules")[2])


def test_the_note_tells_what_was_filled_up_by_rank_and_what_is_significant():
    shown = said(drawn_texts(draw(
        SOME, selected_by=["threshold", "top", "top"], q_value=[0.01, 0.2, np.nan]
    )[0]))  # fmt: skip
    assert "2 of 3 below the threshold, listed by rank" in shown
    assert "Before the updates, 1 of 2 have a false discovery rate of at most 0.05" in shown
    assert "All below the threshold" in said(drawn_texts(draw(SOME, selected_by="top")[0]))
    assert "discovery" not in said(drawn_texts(draw(SOME)[0]))


def test_genes_are_called_by_their_symbols_where_they_have_one():
    edges = edges_of(SOME, symbol_a=["recA", "", "lexA"], symbol_b=None)
    nodes = genes_of(edges).assign(symbol=["", "polB", None, "dinI", "umuD"])
    labels = rows(graph.network_graph(edges, nodes)[1], "node").set_index("gene")["label"]
    assert labels.to_dict() == {"A": "recA", "B": "polB", "C": "C", "D": "dinI", "E": "umuD"}


def test_a_table_without_a_needed_column_is_refused_by_name():
    edges = edges_of(SOME)
    with pytest.raises(InputError, match="did you mean 'afters'"):
        graph.network_graph(edges.rename(columns={"after": "afters"}), genes_of(edges))
    with pytest.raises(InputError, match="target"):
        graph.network_graph(edges, genes_of(edges).drop(columns="target"))


@pytest.mark.parametrize("pairs", [PAIRS, STAR, DENSE, screen_like()[:80], SOME])
def test_components_do_not_overlap(pairs):
    own = nx.Graph(pairs)
    places = graph_layout.place(graph_layout.components(own), 165.0, 95.0, 3.4)
    boxes = []
    for part in nx.connected_components(own):
        points = np.array([places[name] for name in part])
        boxes.append((points.min(axis=0) - 1.0, points.max(axis=0) + 1.0))
    for (low, high), (other_low, other_high) in combinations(boxes, 2):
        assert (low >= other_high).any() or (other_low >= high).any()


def test_points_in_one_place_part_and_points_apart_stay():
    panel = np.array([50.0, 30.0])
    apart = np.array([[10.0, 10.0], [20.0, 10.0], [48.0, 28.0]])
    np.testing.assert_array_equal(graph_layout.spread(apart, 3.0, panel), apart)
    found = graph_layout.spread(np.full((9, 2), 15.0), 3.0, panel)
    assert min(np.linalg.norm(a - b) for a, b in combinations(found, 2)) >= 3.0


def test_a_name_without_room_is_left_out_and_one_on_fewer_edges_preferred():
    points = {"A": (10.0, 5.0), "B": (20.0, 5.0)}
    lines, none = np.array([[points["A"], points["B"]]]), np.zeros((0, 2))
    found = graph_layout.name_places(points, {"A": (4.0, 2.0)}, lines, none, 1.0, 30.0, 10.0)
    x, y = found["A"]
    assert abs(y - 5.0) > 1.0 or x < 10.0  # not on the edge to its right
    wide = {"A": (40.0, 2.0), "B": (4.0, 2.0)}
    assert set(graph_layout.name_places(points, wide, lines, none, 1.0, 30.0, 10.0)) == {"B"}
    assert graph_layout.place(graph_layout.components(nx.Graph()), 10.0, 10.0, 1.0) == {}
