"""Pictures of architectures: layered left to right, operations coloured, edges that go around nodes."""

import io
import os
import re
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cate_hf.core._files import atomic_output
from cate_hf.graphs.architecture import Architecture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check_picture", "draw", "operation_colour"]

# Pale, for dark text.
_COLOURS = "#9ecae9 #ffbf79 #88d27a #fa9fb5 #d6bcf0 #f2cf5b #83d3cb #e5ae9d #c5d86d #b7bfe8 #e8c3a0 #f4b4e0".split()
# With this start value of the CRC the operations of NAS-Bench-101, NAS-Bench-201 and DARTS cells differ in colour.
_COLOUR_SEED = 136
_END_COLOUR, _EDGE_COLOUR = "#e2e2e2", "#555555"
_INCHES = 0.72  # a data unit in a figure of its own
_LAYER_GAP, _ROW_GAP = 2.5, 1.0  # between centres of nodes, in data units
_WIDTH, _HEIGHT = 1.6, 0.66  # of a node
_SWEEPS = 24
_LONGEST_LINE = 24  # letters of a line of a node's label; with more they would be too small to read
_LINE_ROW = 0.6  # an edge that passes a layer takes this share of a row
_CROWD, _MOST_PASSES = 1_000, 200_000  # layers passed, by all edges together
_DPI, _MOST_PIXELS, _LONGEST_SIDE = 150, 50_000_000, 20_000  # of pictures in pixels


def draw(architecture: Architecture, target: "str | os.PathLike | Axes | None" = None) -> "Axes":
    """Draw an architecture, layered left to right, operations coloured.

    Args:
        target: a file to write (format by its suffix: .png, .svg, .pdf), a matplotlib Axes to draw on, or None for a
            new figure.

    Returns:
        the matplotlib Axes.

    Raises:
        ValueError: the file's suffix is not an image format that matplotlib writes, or the graph has too many edges.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    file = target if isinstance(target, str | os.PathLike) else None
    suffix = None if file is None else check_picture(file)
    points, chains = _layout(architecture)
    margin = np.array([_WIDTH / 2 + 0.2, _HEIGHT / 2 + 0.2])
    low, high = np.subtract(points.min(axis=0), margin), np.add(points.max(axis=0), margin)
    if target is None or isinstance(target, str | os.PathLike):
        # A Figure of its own: pyplot's global state and choice of a backend stay untouched.
        figure = Figure(figsize=tuple((high - low) * _INCHES))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
    else:
        axes = target
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.axis("off")
    labels = [_wrapped(name) for name in architecture.operations]
    font_size = _font_size(axes, {line for label in labels for line in label.split("\n")})
    _draw_edges(axes, points, chains, scale=font_size / 10)
    _draw_nodes(axes, architecture, points, labels, font_size)
    if file is not None:
        with atomic_output(file, overwrite=True) as temporary:
            figure.savefig(temporary, format=suffix, dpi=_dpi(figure, _DPI))
    return axes


def _png(architecture: Architecture) -> bytes:
    """Return the picture as the bytes of a PNG file, for notebooks."""
    buffer = io.BytesIO()
    figure = cast("Figure", draw(architecture).figure)
    figure.savefig(buffer, format="png", dpi=_dpi(figure, 100))
    return buffer.getvalue()


def check_picture(path: str | os.PathLike) -> str:
    """The image format that a file's suffix asks for.

    Raises:
        ValueError: it is none that matplotlib writes.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    suffix = os.path.splitext(path)[1].lower().lstrip(".")
    if suffix not in (formats := FigureCanvasBase.get_supported_filetypes()):
        raise ValueError(f"cannot draw to {os.fspath(path)}: expected a suffix of {', '.join(sorted(formats))}")
    return suffix


def _dpi(figure: "Figure", wanted: float) -> float:
    """Less than wanted where the picture would be too large to look at, or to be held in memory."""
    width, height = figure.get_size_inches()
    return min(wanted, _LONGEST_SIDE / max(width, height), (_MOST_PIXELS / (width * height)) ** 0.5)


def operation_colour(name: str) -> str:
    """The colour of an operation, the same in every picture."""
    return _COLOURS[zlib.crc32(name.encode("utf-8"), _COLOUR_SEED) % len(_COLOURS)]


def _layout(architecture: Architecture) -> tuple[np.ndarray, list[list[int]]]:
    """Points (P, 2) and the chain of points of each edge.

    Sugiyama's method: a node's layer is the longest path that leads to it, the output's the last. An edge that passes
    layers holds a place, a further point, in each. Layers are ordered by their neighbours' mean place, sweeping to and
    fro, and the order with the fewest crossings is kept; within that order edges are then drawn straight where that is
    possible. The first L points are the nodes.
    """
    layers: list[int] = []
    for column in architecture.adjacency.T:
        layers.append(max((layers[i] + 1 for i in np.flatnonzero(column)), default=0))
    layers[-1] = max(layers[-1], max(layers[:-1]) + 1)
    passes = sum(layers[j] - layers[i] - 1 for i, j in architecture.edges)
    if passes > _MOST_PASSES:
        raise ValueError(f"cannot draw {architecture.num_nodes} nodes and {architecture.num_edges:,} edges: too many")
    chains: list[list[int]] = []
    points: dict[tuple[int, int, int], int] = {}
    for source, target in architecture.edges:
        chain = [source]
        for layer in range(layers[source] + 1, layers[target]):
            # In a crowd the edges of one node run together until they part.
            key = (source, layer, -1 if passes > _CROWD else target)
            if key not in points:
                points[key] = len(layers)
                layers.append(layer)
            chain.append(points[key])
        chains.append([*chain, target])
    columns: list[list[int]] = [[] for _ in range(max(layers) + 1)]
    for point, layer in enumerate(layers):
        columns[layer].append(point)
    links = list(dict.fromkeys((a, b) for chain in chains for a, b in pairwise(chain)))
    sides: list[dict[int, list[int]]] = [{p: [] for p in range(len(layers))} for _ in range(2)]
    for a, b in links:
        sides[0][b].append(a)
        sides[1][a].append(b)

    place = np.zeros(len(layers))
    _stack(columns, place, architecture.num_nodes)
    best, best_cost = place.copy(), _cost(links, layers, place)
    for sweep in range(_SWEEPS // 2):
        backward = sweep % 2
        for column in columns[::-1] if backward else columns:
            mean = {p: np.mean(place[sides[backward][p]]) if sides[backward][p] else place[p] for p in column}
            column.sort(key=mean.__getitem__)
            _stack([column], place, architecture.num_nodes)
        if (cost := _cost(links, layers, place)) < best_cost:
            best, best_cost = place.copy(), cost
    _straighten(columns, best, sides, architecture.num_nodes)
    return np.stack([np.array(layers) * _LAYER_GAP, -best * _ROW_GAP], axis=1), chains


def _straighten(columns: list[list[int]], place: np.ndarray, sides: list[dict[int, list[int]]], num_nodes: int) -> None:
    """Move the points of each column, in their order and with their distances kept, to where their neighbours are.

    Long edges count more the longer they are, so that those become straight (the weights of Gansner et al., "A
    technique for drawing directed graphs", 1993, section 4): 1 between nodes, 2 to a passing edge's point, 8 within it.
    """
    from scipy.optimize import isotonic_regression

    heights = np.where(np.arange(len(place)) < num_nodes, 1.0, _LINE_ROW)
    columns = [sorted(column, key=place.__getitem__) for column in columns]
    around = [sides[0][p] + sides[1][p] for p in range(len(place))]
    weights = [np.array([(1, 2, 8)[(p >= num_nodes) + (q >= num_nodes)] for q in around[p]]) for p in range(len(place))]
    for sweep in range(_SWEEPS):
        for column in columns[::-1] if sweep % 2 else columns:
            wanted = np.array([np.average(place[around[p]], weights=weights[p]) if around[p] else 0 for p in column])
            strength = np.array([weights[p].sum() if around[p] else 0.1 for p in column])
            tall = heights[column]
            # Without the least distances the order is all that the places must keep.
            least = np.cumsum(tall) - tall / 2
            place[column] = isotonic_regression(wanted - least, weights=strength).x + least


def _stack(columns: list[list[int]], place: np.ndarray, num_nodes: int) -> None:
    """Set the vertical places of each column's points, in their order, centred on 0."""
    for column in columns:
        heights = np.array([1.0 if p < num_nodes else _LINE_ROW for p in column])
        place[column] = np.cumsum(heights) - heights / 2 - heights.sum() / 2


def _cost(links: list[tuple[int, int]], layers: list[int], place: np.ndarray) -> float:
    """Crossings of edges between neighbouring layers; among equal ones, the shorter edges."""
    source, target = np.array(links, dtype=int).reshape(-1, 2).T
    layer, crossings = np.array(layers)[source], 0
    for here in np.split(np.argsort(layer, kind="stable"), np.cumsum(np.bincount(layer))[:-1]) if len(links) else ():
        a, b = place[source[here]], place[target[here]]
        crossings += int(((a[:, None] - a) * (b[:, None] - b) < 0).sum())
    return crossings + 0.01 * float(np.abs(place[source] - place[target]).sum())


def _draw_edges(axes: "Axes", points: np.ndarray, chains: list[list[int]], scale: float) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    first: dict[int, set[int]] = {}
    last: dict[int, set[int]] = {}
    for chain in chains:
        first.setdefault(chain[0], set()).add(chain[1])
        last.setdefault(chain[-1], set()).add(chain[-2])
    for chain in chains:
        # Edges of one node start, and end, a little apart, in the order of where they come from or go to.
        start, end = points[chain[0]].copy(), points[chain[-1]].copy()
        start += (_WIDTH / 2, _port(points, chain[1], first[chain[0]]))
        end += (-_WIDTH / 2 - 0.04, _port(points, chain[-2], last[chain[-1]]))
        stops = [start]
        for p in chain[1:-1]:  # level along the whole layer, so that no node of it is touched
            stops += [points[p] - (_WIDTH / 2, 0), points[p] + (_WIDTH / 2, 0)]
        stops.append(end)
        vertices, codes = [stops[0]], [Path.MOVETO]
        for i, (a, b) in enumerate(pairwise(stops)):
            if i % 2:
                vertices.append(b)
                codes.append(Path.LINETO)
            else:
                middle = (a[0] + b[0]) / 2
                vertices += [(middle, a[1]), (middle, b[1]), b]
                codes += [Path.CURVE4] * 3
        style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 8 * scale, "lw": 1.1 * scale}
        arrow = FancyArrowPatch(path=Path(vertices, codes), zorder=1, color=_EDGE_COLOUR, **style)
        axes.add_patch(arrow)


def _port(points: np.ndarray, point: int, others: set[int]) -> float:
    """Vertical offset of one of several edges on a node's side, the topmost first."""
    if len(others) == 1:
        return 0.0
    rank = sorted(others, key=lambda p: -points[p, 1]).index(point)
    return (0.5 - rank / (len(others) - 1)) * 0.6 * _HEIGHT


def _draw_nodes(
    axes: "Axes", architecture: Architecture, points: np.ndarray, labels: list[str], font_size: float
) -> None:
    from matplotlib.patches import FancyBboxPatch

    for node, (label, name) in enumerate(zip(labels, architecture.operations, strict=True)):
        is_end = node == architecture.num_nodes - 1 or not architecture.adjacency[:, node].any()
        colour = _END_COLOUR if is_end else operation_colour(name)
        x, y = points[node]
        corner = (x - _WIDTH / 2 + 0.1, y - _HEIGHT / 2 + 0.1)
        style: dict[str, Any] = {"boxstyle": "round,pad=0.1", "fc": colour, "ec": "#333333", "lw": font_size / 10}
        axes.add_patch(FancyBboxPatch(corner, _WIDTH - 0.2, _HEIGHT - 0.2, zorder=2, **style))
        text: dict[str, Any] = {"fontsize": font_size, "linespacing": 1.05, "parse_math": False, "zorder": 3}
        axes.text(x, y, label, ha="center", va="center", **text)
        number: dict[str, Any] = {"fontsize": 0.65 * font_size, "color": _EDGE_COLOUR, "zorder": 3}
        axes.text(x - _WIDTH / 2 + 0.06, y + _HEIGHT / 2 - 0.04, str(node), ha="left", va="top", **number)


def _wrapped(name: str) -> str:
    """A long name in two lines, broken at the separator or capital next to its middle; lines too long lose theirs."""
    name = " ".join(name.split()) or name
    breaks = [m.end() for m in re.finditer(r"[-_ /.:|](?=.)|[a-z](?=[A-Z])", name)]
    if len(name) <= 12 or not breaks:
        return _shortened(name)
    middle = min(breaks, key=lambda i: abs(i - len(name) / 2))
    return f"{_shortened(name[:middle])}\n{_shortened(name[middle:])}"


def _shortened(line: str) -> str:
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]}…{line[-half:]}"


def _font_size(axes: "Axes", lines: set[str]) -> float:
    """In points: as large as the widest line and a node's width allow, up to 10."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    axes.apply_aspect()
    left, right = axes.transData.transform([(0, 0), (_WIDTH, 0)])[:, 0]
    points_wide = (right - left) * 72 / axes.figure.dpi
    measure, font = TextToPath().get_text_width_height_descent, FontProperties(size=10)
    widest = max(measure(line, font, ismath=False)[0] for line in lines)
    return float(np.clip(0.86 * points_wide / max(widest / 10, 1e-3), 2, 10))


Architecture._repr_png_ = _png  # type: ignore[attr-defined]  # a notebook shows the picture
