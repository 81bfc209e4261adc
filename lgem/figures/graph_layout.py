"""Where the genes of a drawn network stand, and where their names have room; all in mm."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np

# Room around the outermost genes of a component, for their names and to tell components apart.
SIDE_MM, ABOVE_MM = 5.0, 3.2
# A name at the panel's own border has no neighbour to share its room with.
RIM_MM = 0.8
# How long an edge is on average: at most so much, however much room there is.
LONGEST_EDGE_MM = 18.0
MOST_STRETCH = 1.7
_HALVINGS = 10
_PUSHES = 200
_DIRECTIONS = 16
_SAMPLES = np.linspace(0.0, 1.0, 60)


class Component(NamedTuple):
    """Nodes, and their places (nodes, 2) from 0 on, in units of the mean length of an edge."""

    names: Sequence[Hashable]
    shape: np.ndarray


def components(graph: nx.Graph) -> list[Component]:
    """Return the connected components of an undirected graph without loops, each laid out.

    Largest first; the same for the same graph. Distances in a component follow the number of edges
    between its nodes (Kamada and Kawai 1989).
    """
    parts = sorted(map(sorted, nx.connected_components(graph)), key=lambda own: (-len(own), own))
    return [Component(own, _shape(graph.subgraph(own), own)) for own in parts]


def place(
    parts: Sequence[Component], width: float, height: float, apart: float
) -> dict[Hashable, tuple[float, float]]:
    """Return the place of every node in a panel.

    Components are put side by side without overlap, as large as the panel allows, then nodes that
    are too close are pushed apart.

    Parameters
    ----------
    parts
        From `components`.
    width, height
        Of the panel, in mm.
    apart
        Smallest distance of two nodes wanted, in mm.
    """
    if not parts:
        return {}
    shapes = [part.shape for part in parts]
    extents = np.array([shape.max(axis=0) for shape in shapes])
    panel = np.array([width, height]) - 2 * RIM_MM
    edge = _longest_edge(extents, panel)
    corners, used = _packed(extents, edge, panel[1])
    margin = np.array([SIDE_MM, ABOVE_MM])
    pieces = [corner + margin + edge * shape for corner, shape in zip(corners, shapes, strict=True)]
    points = np.concatenate(pieces)
    # Below 1 only for more components than the panel can hold, which are squeezed.
    stretch = np.minimum(panel / used, MOST_STRETCH)
    points = points * stretch + (panel - stretch * used) / 2
    points = RIM_MM + spread(points, apart, panel)
    names = [name for part in parts for name in part.names]
    return {name: (float(x), float(y)) for name, (x, y) in zip(names, points, strict=True)}


def _shape(component: nx.Graph, names: Sequence[Hashable]) -> np.ndarray:
    """Return a component's places with edges of mean length 1, longest side along x, from 0 on."""
    if len(names) == 2:
        return np.array([[0.0, 0.0], [1.0, 0.0]])
    # Neighbours on the starting circle stay neighbours: a fixed order makes a fixed picture.
    ordered = nx.Graph()
    ordered.add_nodes_from(names)
    ordered.add_edges_from(sorted(tuple(sorted(edge)) for edge in component.edges))
    found = nx.kamada_kawai_layout(ordered)
    points = np.array([found[name] for name in names])
    points -= points.mean(axis=0)
    axes = np.linalg.svd(points, full_matrices=False)[2]
    # The sign of a singular vector is arbitrary; the first large coordinate decides it.
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    points = points @ axes.T
    place_of = dict(zip(names, points, strict=True))
    lengths = [np.linalg.norm(place_of[a] - place_of[b]) for a, b in ordered.edges]
    points /= np.mean(lengths)
    return points - points.min(axis=0)


def _longest_edge(extents: np.ndarray, panel: np.ndarray) -> float:
    """Return the mean length of edges in mm at which all components just fit a panel."""

    def fits(edge: float) -> bool:
        return bool((_packed(extents, edge, panel[1])[1] <= panel).all())

    low, high = 0.0, LONGEST_EDGE_MM
    if fits(high):
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _packed(extents: np.ndarray, edge: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Put boxes side by side, column by column; return their lower left corners and the size.

    A box takes the place farthest left, and there the lowest, at a corner of one placed before.
    """
    sizes = extents * edge + 2 * np.array([SIDE_MM, ABOVE_MM])
    corners = np.zeros_like(sizes)
    order = np.lexsort((-sizes[:, 0], -sizes[:, 1]))
    for count, k in enumerate(order):
        done = order[:count]
        low, high = corners[done], corners[done] + sizes[done]
        lefts, bottoms = np.unique([0.0, *high[:, 0]]), np.unique([0.0, *high[:, 1]])
        spots = np.array([(x, y) for x in lefts for y in bottoms])
        # The first column is open to a box that is higher than the panel.
        spots = spots[(spots[:, 1] + sizes[k, 1] <= height + 1e-9) | (spots[:, 1] == 0)]
        clash = (spots[:, None] < high - 1e-9) & (spots[:, None] + sizes[k] > low + 1e-9)
        corners[k] = spots[~clash.all(axis=2).any(axis=1)][0]
    return corners, (corners + sizes).max(axis=0)


def spread(points: np.ndarray, apart: float, panel: np.ndarray) -> np.ndarray:
    """Push points that are closer than a distance away from each other, within a panel."""
    points = points.astype(float)
    n = len(points)
    angle = 2.4 * np.arange(n)
    aside = 0.02 * apart * np.column_stack([np.cos(angle), np.sin(angle)])
    for push in range(_PUSHES):
        away = points[:, None] - points[None]
        distance = np.linalg.norm(away, axis=2) + np.eye(n) * 2 * apart
        short = np.clip(1.02 * apart - distance, 0.0, None)
        if not short.any():
            break
        if push == 0:
            # Points in a line, or in one place, need a direction to part in.
            points += aside * short.any(axis=1)[:, None]
            continue
        share = 0.5 * short / np.maximum(distance, 1e-9)
        points += (share[:, :, None] * away).sum(axis=1)
        points = np.clip(points, apart / 2, np.maximum(panel - apart / 2, apart / 2))
    return points


def name_places(
    points: Mapping[Hashable, tuple[float, float]],
    sizes: Mapping[Hashable, tuple[float, float]],
    lines: np.ndarray,
    marks: np.ndarray,
    radius: float,
    width: float,
    height: float,
) -> dict[Hashable, tuple[float, float]]:
    """Return the middle of every name that has room beside its node, on no other node or name.

    Parameters
    ----------
    points
        Places of all nodes, in mm.
    sizes
        Width and height of the names in mm, the first served first.
    lines : (edges, 2 ends, 2)
        The edges; of the places that are free, one on the fewest edges is taken.
    marks : (marks, 2)
        What stands on the edges and must not be covered either.
    radius
        Of a node, in mm.
    width, height
        Of the panel, in mm.
    """
    blocked = np.concatenate([np.array(list(points.values())).reshape(-1, 2), marks])
    start, end = lines[:, None, 0], lines[:, None, 1]
    along = start + _SAMPLES[:, None] * (end - start)
    taken: list[tuple[float, float, float, float]] = []
    found: dict[Hashable, tuple[float, float]] = {}
    turns = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    for name, (wide, high) in sizes.items():
        best: tuple[int, tuple[float, float]] | None = None
        for turn in turns:
            x = points[name][0] + np.cos(turn) * (wide / 2 + radius + 0.2)
            y = points[name][1] + np.sin(turn) * (high / 2 + radius)
            box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
            if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
                continue
            if any(_boxes_meet(box, other) for other in taken):
                continue
            # On a box moved outwards by the radius, a node is a point.
            if _inside(blocked, box, 0.8 * radius).any():
                continue
            crossed = int(_inside(along, box, 0.0).any(axis=1).sum())
            if best is None or crossed < best[0]:
                best = crossed, (float(x), float(y))
        if best is not None:
            x, y = found[name] = best[1]
            taken.append((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2))
    return found


def _boxes_meet(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _inside(
    points: np.ndarray, box: tuple[float, float, float, float], around: float
) -> np.ndarray:
    """Tell which points lie in a box that is wider by a margin on all sides."""
    x, y = points[..., 0], points[..., 1]
    beside = (x > box[0] - around) & (x < box[2] + around)
    return beside & (y > box[1] - around) & (y < box[3] + around)
