"""The evaluation network of the DARTS space (Liu, Simonyan, Yang, ICLR 2019, section 3 and appendix A) and its costs.

Cells are stacked; those at 1/3 and 2/3 of the depth are reductions (stride 2, channels doubled), the others normal
cells. Parameters and multiply-adds are additive: every operation of a cell costs what its kind, stride and stage say,
whatever the rest of the cell. So the costs of many cells are sums over small tables, and no network is built.
"""

from typing import NamedTuple

import numpy as np

from cate_hf.spaces._costs import check_codes, check_sizes, convolution, halved, linear

__all__ = ["costs"]

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""Names of operation codes 0 .. 6."""
NODES = 4  # intermediate nodes of a cell, of two entries each, all concatenated
STEM_MULTIPLIER = 3
AUXILIARY_WIDTHS = (128, 768)
_STEMS = ("cifar", "imagenet")
_INPUT_LIMITS = np.repeat(np.arange(2, 2 + NODES), 2)  # an entry of node i reads an input below 2 + i


class CellPlan(NamedTuple):
    """One cell of the stack.

    Attributes:
        reduction: whether it is a reduction cell.
        after_reduction: whether its older input c_{k-2} is twice as large as c_{k-1} and has to be halved.
        before_previous, previous: channels of c_{k-2} and c_{k-1}.
        channels: of each node; the output has NODES times as many.
        size: height and width of c_{k-1}.
    """

    reduction: bool
    after_reduction: bool
    before_previous: int
    previous: int
    channels: int
    size: int

    @property
    def output_size(self) -> int:
        return halved(self.size) if self.reduction else self.size


def plan_cells(channels: int, cells: int, stem: str, image_size: int = 32) -> list[CellPlan]:
    """The cells of the network, first to last.

    Raises:
        ValueError: a size is below 1, or the stem is unknown.
    """
    check_sizes(channels=channels, cells=cells, image_size=image_size)
    if stem not in _STEMS:
        raise ValueError(f"stem must be 'cifar' or 'imagenet', not {stem!r}")
    if stem == "imagenet":
        if channels < 2:
            raise ValueError(f"channels must be at least 2 with the ImageNet stem, not {channels}")
        older = newer = channels
        size, after_reduction = halved(halved(halved(image_size))), True
    else:
        older = newer = STEM_MULTIPLIER * channels
        size, after_reduction = image_size, False
    plans = []
    for i in range(cells):
        reduction = i in (cells // 3, 2 * cells // 3)
        channels *= 1 + reduction
        plans.append(CellPlan(reduction, after_reduction, older, newer, channels, size))
        older, newer = newer, NODES * channels
        size, after_reduction = plans[-1].output_size, reduction
    return plans


def costs(
    normal_operations: np.ndarray,
    normal_inputs: np.ndarray,
    reduction_operations: np.ndarray,
    reduction_inputs: np.ndarray,
    channels: int = 32,
    cells: int = 8,
    classes: int = 10,
    image_size: int = 32,
    auxiliary: bool = False,
    stem: str = "cifar",
) -> tuple[np.ndarray, np.ndarray]:
    """Trainable parameters (N,) int64 and multiply-adds (N,) int64 for one image of N pairs of cells.

    Multiply-adds (×1) are those of convolutions and linear layers; batch norm, pooling and additions are not counted.
    The auxiliary head, which only training uses, counts in both when `auxiliary` is true, else in neither.

    Args:
        normal_operations, reduction_operations: (N, 8) codes in OPERATIONS, two for each intermediate node in order.
        normal_inputs, reduction_inputs: (N, 8): 0 is c_{k-2}, 1 is c_{k-1}, 2 .. are intermediate nodes before this.
        channels: of a node in the first cells.
        cells: how many are stacked.
        image_size: height and width of the input.
        stem: "cifar" (one convolution) or "imagenet" (three of stride 2).

    Raises:
        ValueError: an array or a setting is not as said; names the row and entry.
    """
    fixed, normal, reduction = cost_tables(channels, cells, classes, image_size, auxiliary, stem)
    operation_limits = np.full(2 * NODES, len(OPERATIONS))
    arrays = {
        "normal operations": (normal_operations, operation_limits),
        "normal inputs": (normal_inputs, _INPUT_LIMITS),
        "reduction operations": (reduction_operations, operation_limits),
        "reduction inputs": (reduction_inputs, _INPUT_LIMITS),
    }
    normal_codes, inputs, codes, reduction_inputs = (check_codes(name, *pair) for name, pair in arrays.items())
    if not len(normal_codes) == len(inputs) == len(codes) == len(reduction_inputs):
        raise ValueError(
            "normal and reduction cells: expected arrays of the same length, got "
            f"{len(normal_codes)}, {len(inputs)}, {len(codes)} and {len(reduction_inputs)}"
        )
    totals = np.empty((2, len(codes)), dtype=np.int64)
    for total, base, normal_cost, reduction_cost in zip(totals, fixed, normal.T, reduction.T, strict=True):
        total[:] = base
        for entry in range(2 * NODES):
            total += normal_cost[normal_codes[:, entry]]
            # reduction_cost is (operations, strides): only an input of the cell is read with stride 2.
            total += reduction_cost[codes[:, entry], (reduction_inputs[:, entry] < 2).view(np.uint8)]
    return totals[0], totals[1]


def cost_tables(
    channels: int, cells: int, classes: int, image_size: int, auxiliary: bool, stem: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The additive costs, each (.., 2): parameters and multiply-adds, summed over the cells of a kind.

    Returns:
        fixed (2,): stem, preprocessing of the cells' inputs, classifier, auxiliary head; normal (7, 2): an operation in
        all normal cells; reduction (2, 7, 2): an operation in all reduction cells with stride 1 and with stride 2.
    """
    plans = plan_cells(channels, cells, stem, image_size)
    check_sizes(classes=classes)
    fixed = _stem(channels, stem, image_size) + linear(NODES * plans[-1].channels, classes)
    normal = np.zeros((len(OPERATIONS), 2), dtype=np.int64)
    reduction = np.zeros((2, len(OPERATIONS), 2), dtype=np.int64)
    for plan in plans:
        for source in (plan.before_previous, plan.previous):
            fixed += convolution(source, plan.channels, 1, plan.size)  # a factorized reduction costs the same
        if plan.reduction:
            for stride in (1, 2):
                reduction[stride - 1] += [_operation(name, plan, stride) for name in OPERATIONS]
        else:
            normal += [_operation(name, plan, 1) for name in OPERATIONS]
    if auxiliary:
        fixed += _auxiliary(plans[2 * cells // 3], classes, stem)
    return fixed, normal, reduction


def _operation(name: str, plan: CellPlan, stride: int) -> np.ndarray:
    """Cost (2,) of an operation; in a reduction cell every output has the reduced size."""
    channels, size = plan.channels, plan.output_size
    if name.startswith(("sep_conv", "dil_conv")):
        kernel = int(name[-1])
        once = convolution(channels, channels, kernel, size, groups=channels, norm=False)
        once = once + convolution(channels, channels, 1, size)
        return once * 2 if name.startswith("sep_conv") else once
    if name == "skip_connect" and stride == 2:
        return convolution(channels, channels, 1, size)
    return np.zeros(2, dtype=np.int64)


def _stem(channels: int, stem: str, image_size: int) -> np.ndarray:
    if stem == "cifar":
        return convolution(3, STEM_MULTIPLIER * channels, 3, image_size)
    half, quarter = halved(image_size), halved(halved(image_size))
    return (
        convolution(3, channels // 2, 3, half)
        + convolution(channels // 2, channels, 3, quarter)
        + convolution(channels, channels, 3, halved(quarter))
    )


def auxiliary_stride(stem: str) -> int:
    """Stride of the 5×5 average pooling in the auxiliary head."""
    return 3 if stem == "cifar" else 2


def auxiliary_smallest(stem: str) -> int:
    """The smallest feature map that the auxiliary head takes: two positions of its pooling."""
    return 5 + auxiliary_stride(stem)


def _auxiliary(plan: CellPlan, classes: int, stem: str) -> np.ndarray:
    """Cost of the head after that cell: pooling 5×5, convolutions 1×1 and 2×2, linear layer."""
    if plan.output_size < auxiliary_smallest(stem):
        raise ValueError(
            f"auxiliary head: needs a feature map of at least {auxiliary_smallest(stem)}×{auxiliary_smallest(stem)} "
            f"after 2/3 of the cells, here it is {plan.output_size}×{plan.output_size}: use a larger image_size"
        )
    pooled = (plan.output_size - 5) // auxiliary_stride(stem) + 1
    narrow, wide = AUXILIARY_WIDTHS
    # DARTS left out the second batch norm of the ImageNet head by mistake, and its published numbers are without it.
    return (
        convolution(NODES * plan.channels, narrow, 1, pooled)
        + convolution(narrow, wide, 2, pooled - 1, norm=stem == "cifar")
        + linear(wide, classes)
    )
