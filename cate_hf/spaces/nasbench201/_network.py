"""The network that NAS-Bench-201 trains for a cell (Dong and Yang, ICLR 2020, section 2.1 and its code), in torch.

A 3×3 stem; 3 stages of equal cells, with a residual block that halves the image and doubles the channels from one to
the next; batch norm and ReLU; the mean over the image; a linear layer. A cell has 4 nodes: the first is its input, each
other the sum of the operations on the edges from the nodes before it, the last its output. Every edge's operation is
built and computed, whether a path uses it or not, as in the benchmark. Weights start as torch's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cate_hf.graphs.table import unknown_operation
from cate_hf.spaces._costs import check_sizes
from cate_hf.spaces._layers import Classifier, conv_norm, relu_conv_norm, total
from cate_hf.spaces.nasbench201.costs import EDGES, OPERATIONS, STAGES

_BUILDERS = {
    "skip_connect": lambda channels: nn.Identity(),
    "nor_conv_1x1": lambda channels: relu_conv_norm(channels, channels, 1),
    "nor_conv_3x3": lambda channels: relu_conv_norm(channels, channels, 3),
    "avg_pool_3x3": lambda channels: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
}


def build_nasbench201(
    operations: Sequence[str], channels: int = 16, cells: int = 5, classes: int = 10
) -> "NasBench201Network":
    """The network of a cell; the defaults are the benchmark's.

    Args:
        operations: names of the operations on the edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3: none, skip_connect,
            nor_conv_1x1, nor_conv_3x3 or avg_pool_3x3.
        channels: of the stem and the first stage.
        cells: in each of the 3 stages.

    Raises:
        ValueError: not six names, an unknown name, or a setting below 1.
    """
    check_sizes(channels=channels, cells=cells, classes=classes)
    operations = tuple(operations)
    if len(operations) != len(EDGES):
        raise ValueError(f"a NAS-Bench-201 cell has {len(EDGES)} operations, one an edge, got {len(operations)}")
    for (source, target), name in zip(EDGES, operations, strict=True):
        if name not in OPERATIONS:
            raise ValueError(f"edge {source}→{target}: {unknown_operation(name, OPERATIONS)}")
    return NasBench201Network(operations, channels, cells, classes)


class NasBench201Network(nn.Module):
    """(B, 3, H, W) -> logits (B, classes); see `build_nasbench201`."""

    def __init__(self, operations: Sequence[str], channels: int, cells: int, classes: int) -> None:
        super().__init__()
        self.stem = conv_norm(3, channels, 3)
        self.stages = nn.ModuleList()
        for stage in range(STAGES):
            self.stages.append(nn.Sequential())
            if stage:
                self.stages[-1].append(ResidualBlock(channels))
                channels *= 2
            self.stages[-1].extend(Cell(operations, channels) for _ in range(cells))
        self.norm = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = Classifier(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        return self.classifier(self.norm(x))


class Cell(nn.Module):
    """(B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {
                f"{source}-{target}": _BUILDERS[name](channels)
                for (source, target), name in zip(EDGES, operations, strict=True)
                if name != "none"
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in range(1, 4):
            keys = [f"{source}-{target}" for source in range(target)]
            terms = [self.edges[key](nodes[source]) for source, key in enumerate(keys) if key in self.edges]
            nodes.append(total(terms) if terms else torch.zeros_like(x))
        return nodes[-1]


class ResidualBlock(nn.Module):
    """ResNet's basic block of stride 2: (B, C, H, W) -> (B, 2C, ceil(H/2), ceil(W/2))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = relu_conv_norm(channels, 2 * channels, 3, stride=2)
        self.second = relu_conv_norm(2 * channels, 2 * channels, 3)
        pool = nn.AvgPool2d(2, ceil_mode=True)
        self.shortcut = nn.Sequential(pool, nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))
