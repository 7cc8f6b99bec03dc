"""The network that NAS-Bench-201 trained for each cell (Dong and Yang, ICLR 2020, section 2.1) and its costs.

A 3×3 stem, 3 stages of cells with channels doubled and the image halved by a residual block between stages, global
pooling and a linear layer. The costs are additive: each edge's operation costs what its stage says, live or dead: an
edge that no path uses is built, trained and counted all the same, as in the benchmark's own table.
"""

import numpy as np

from cate_hf.spaces._costs import check_codes, check_sizes, convolution, halved, linear

__all__ = ["costs"]

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Names of operation codes 0 .. 4."""
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""The edges (source, target) of a cell of 4 nodes, in the order of its codes."""
STAGES = 3
_KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


def costs(
    codes: np.ndarray, channels: int = 16, cells: int = 5, classes: int = 10, image_size: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """Trainable parameters (N,) int64 and multiply-adds (N,) int64 for one image.

    Multiply-adds (×1) are those of convolutions and the classifier; batch norm, pooling and additions are not counted.

    Args:
        codes: (N, 6) codes in OPERATIONS, one for each of EDGES.
        channels: of the stem and the first stage.
        cells: in each of the 3 stages.
        image_size: height and width of the input.

    Raises:
        ValueError: an array or a setting is not as said; names the row and entry.
    """
    codes = check_codes("operations", codes, np.full(len(EDGES), len(OPERATIONS)))
    fixed, edge = cost_tables(channels, cells, classes, image_size)
    totals = np.empty((2, len(codes)), dtype=np.int64)
    for total, base, edge_cost in zip(totals, fixed, edge.T, strict=True):
        total[:] = base
        for entry in range(len(EDGES)):
            total += edge_cost[codes[:, entry]]
    return totals[0], totals[1]


def cost_tables(channels: int, cells: int, classes: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and multiply-adds: fixed (2,) of all but the cells; edge (5, 2) of an operation on an edge, summed
    over all cells of the network.
    """
    check_sizes(channels=channels, cells=cells, classes=classes, image_size=image_size)
    fixed = convolution(3, channels, 3, image_size)
    edge = np.zeros((len(OPERATIONS), 2), dtype=np.int64)
    size = image_size
    for stage in range(STAGES):
        if stage:
            size = halved(size)
            fixed += convolution(channels, 2 * channels, 3, size) + convolution(2 * channels, 2 * channels, 3, size)
            fixed += convolution(channels, 2 * channels, 1, size, norm=False)  # the shortcut
            channels *= 2
        for name, kernel in _KERNELS.items():
            edge[OPERATIONS.index(name)] += cells * convolution(channels, channels, kernel, size)
    fixed += linear(channels, classes)
    fixed[0] += 2 * channels  # the last batch norm
    return fixed, edge
