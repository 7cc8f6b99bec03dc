"""Costs of the CIFAR-10 network that NAS-Bench-101 trained for each cell (Ying et al. 2019, section 2 and its code):
a 3×3 stem of 128 channels, 3 stacks of 3 cells with channels doubled per stack, global pooling, 10 classes."""

import numpy as np

from cate_hf.table import ArchitectureTable

STEM_CHANNELS = 128
CELLS_PER_STACK = 3
IMAGE_SIZE = 32
CLASSES = 10
_STACKS = 3
_CONV1X1, _CONV3X3 = 1, 2  # operation codes


def costs(table: ArchitectureTable) -> tuple[np.ndarray, np.ndarray]:
    """Trainable parameters (N,) int64 and multiply-adds (N,) int64 for one 32×32 image.

    Multiply-adds (×1) are those of convolutions and the classifier; batch norm, pooling and additions are not counted.
    """
    parameters = np.full(len(table), _convolution(3, STEM_CHANNELS, 3)[1], dtype=np.int64)
    flops = np.full(len(table), IMAGE_SIZE**2 * _convolution(3, STEM_CHANNELS, 3)[0], dtype=np.int64)
    adjacency = table.adjacency()
    for vertices in np.unique(table.num_nodes).tolist():
        rows = np.flatnonzero(table.num_nodes == vertices)
        cell = adjacency[rows, :vertices, :vertices].astype(bool)
        operations = table.operation_codes[rows, :vertices]
        channels_in = STEM_CHANNELS
        for stack in range(_STACKS):
            channels = STEM_CHANNELS << stack
            pixels = (IMAGE_SIZE >> stack) ** 2
            for repeats, source in ((1, channels_in), (CELLS_PER_STACK - 1, channels)):
                weights, norms = _cell(cell, operations, source, channels)
                parameters[rows] += repeats * (weights + norms)
                flops[rows] += repeats * pixels * weights
            channels_in = channels
    classifier = channels_in * CLASSES
    return parameters + classifier + CLASSES, flops + classifier


def _convolution(source: int, target: int, kernel: int) -> tuple[int, int]:
    """Weights of a convolution without bias, and those with the batch norm's scale and shift."""
    weights = kernel * kernel * source * target
    return weights, weights + 2 * target


def vertex_channels(cell: np.ndarray, channels: int) -> np.ndarray:
    """Output channels (n, V) of the vertices of cells (n, V, V) with `channels` at the output; the input's are 0 here.

    The channels are divided among the vertices that the output concatenates, the remainder going to the first of them;
    any other vertex has as many as the largest that it feeds.
    """
    n, size = cell.shape[:2]
    result = np.zeros((n, size), dtype=np.int64)
    result[:, -1] = channels
    to_output = cell[:, 1:-1, -1]
    joined = to_output.sum(axis=1)
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
