"""The network that NAS-Bench-101 trained for each cell (Ying et al., ICML 2019, section 2 and its code), and its costs.

A 3×3 stem, stacks of cells with the image halved and channels doubled between stacks, global pooling and a linear
layer. The benchmark's own: 128 channels, 3 stacks of 3 cells, 10 classes, images of 32×32 pixels.
"""

import numpy as np

from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces._costs import check_sizes, convolution, halved, linear

_CONV1X1, _CONV3X3 = 1, 2  # operation codes


def costs(
    table: ArchitectureTable,
    channels: int = 128,
    cells: int = 3,
    classes: int = 10,
    image_size: int = 32,
    stacks: int = 3,
) -> tuple[np.ndarray, np.ndarray]:
    """Trainable parameters (N,) int64 and multiply-adds (N,) int64 for one image.

    Multiply-adds (×1) are those of convolutions and the classifier; batch norm, pooling and additions are not counted.

    Args:
        table: pruned cells over the space's vocabulary. Drawings matter where channels do not divide evenly.
        channels: of the stem and of the cells in the first stack.
        cells: in each stack.
        image_size: height and width of the input.

    Raises:
        ValueError: a setting is below 1, or channels are fewer than the vertices that share them.
    """
    check_sizes(channels=channels, cells=cells, classes=classes, image_size=image_size, stacks=stacks)
    last = channels << (stacks - 1)
    fixed = convolution(3, channels, 3, image_size) + linear(last, classes)
    parameters, flops = (np.full(len(table), cost, dtype=np.int64) for cost in fixed)
    adjacency = table.adjacency()
    for vertices in np.unique(table.num_nodes).tolist():
        rows = np.flatnonzero(table.num_nodes == vertices)
        cell = adjacency[rows, :vertices, :vertices].astype(bool)
        operations = table.operation_codes[rows, :vertices]
        source, size = channels, image_size
        for stack in range(stacks):
            target = channels << stack
            for repeats, width in ((1, source), (cells - 1, target)):
                weights, norms = _cell(cell, operations, width, target)
                parameters[rows] += repeats * (weights + norms)
                flops[rows] += repeats * size**2 * weights
            source, size = target, halved(size)
    return parameters, flops


def vertex_channels(cell: np.ndarray, channels: int) -> np.ndarray:
    """Output channels (n, V) of the vertices of cells (n, V, V) with `channels` at the output; the input's are 0 here.

    The channels are divided among the vertices that the output concatenates, the remainder going to the first of them;
    any other vertex has as many as the largest that it feeds.

    Raises:
        ValueError: a cell concatenates more vertices than it has channels.
    """
    n, size = cell.shape[:2]
    result = np.zeros((n, size), dtype=np.int64)
    result[:, -1] = channels
    to_output = cell[:, 1:-1, -1]
    joined = to_output.sum(axis=1)
    if channels < joined.max(initial=1):
        raise ValueError(f"channels must be at least {joined.max()} for a cell that concatenates as many vertices")
    share, remainder = np.divmod(channels, np.maximum(joined, 1))
    rank = to_output.cumsum(axis=1)
    result[:, 1:-1] = to_output * (share[:, None] + (rank <= remainder[:, None]))
    for v in range(size - 3, 0, -1):
        fed = (result[:, v + 1 : -1] * cell[:, v, v + 1 : -1]).max(axis=1, initial=0)
        result[:, v] = np.where(to_output[:, v - 1], result[:, v], fed)
    return result


def _cell(cell: np.ndarray, operations: np.ndarray, source: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Convolution weights (n,) and batch-norm parameters (n,) of one cell each with `source` channels in."""
    widths = vertex_channels(cell, channels)  # (n, V)
    projections = cell[:, 0, 1:] * widths[:, 1:]  # 1×1 from the cell's input to each vertex that it feeds
    weights = source * projections.sum(axis=1)
    norms = 2 * projections.sum(axis=1)
    interior, kinds = widths[:, 1:-1], operations[:, 1:-1]
    area = np.where(kinds == _CONV3X3, 9, np.where(kinds == _CONV1X1, 1, 0))
    weights += (area * interior**2).sum(axis=1)
    norms += 2 * (interior * (area > 0)).sum(axis=1)
    return weights, norms
