"""The network that NAS-Bench-101 trains for a cell (Ying et al., ICML 2019, section 2 and its code), in torch.

A 3×3 stem; stacks of equal cells, with a 2×2 max pooling and twice the channels from one stack to the next; the mean
over the image; a linear layer. In a cell each vertex adds its inputs, cut to its own width, and applies its operation;
the cell's input reaches every vertex that it feeds by a 1×1 projection; the output concatenates its inputs and adds the
cell's projected input if that feeds it. Weights start as the benchmark's: truncated normal of variance 1 / fan-in.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cate_hf.graphs.table import unknown_operation
from cate_hf.spaces._costs import check_sizes
from cate_hf.spaces._layers import Classifier, conv_norm_relu, total
from cate_hf.spaces.nasbench101._costs import vertex_channels

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture

_OPERATIONS = {
    "conv1x1-bn-relu": lambda channels: conv_norm_relu(channels, channels, 1),
    "conv3x3-bn-relu": lambda channels: conv_norm_relu(channels, channels, 3),
    "maxpool3x3": lambda channels: nn.MaxPool2d(3, stride=1, padding=1),
}
_NORM_MOMENTUM = 0.003  # the benchmark's running statistics keep 0.997 a step
_TRUNCATED_STD = 0.87962566103423978  # of a standard normal cut at ±2


def build_nasbench101(
    architecture: "Architecture", channels: int = 128, cells: int = 3, classes: int = 10, stacks: int = 3
) -> "NasBench101Network":
    """The network of a cell; the defaults are the benchmark's.

    Args:
        architecture: input, up to five operations, output; pruned first. Isomorphic drawings may differ in parameters:
            where channels do not divide evenly among the concatenated vertices, the first of them get one more.
        channels: of the stem and of the cells in the first stack.
        cells: in each stack.

    Raises:
        ValueError: no path from input to output, an unknown operation, or a setting below 1; channels fewer than the
            vertices that share them.
    """
    check_sizes(channels=channels, cells=cells, classes=classes, stacks=stacks)
    architecture = architecture.prune()
    for node, name in enumerate(architecture.operations[1:-1], 1):
        if name not in _OPERATIONS:
            raise ValueError(f"node {node}: {unknown_operation(name, tuple(_OPERATIONS))}")
    return NasBench101Network(architecture, channels, cells, classes, stacks)


class NasBench101Network(nn.Module):
    """(B, 3, H, W) -> logits (B, classes); see `build_nasbench101`."""

    def __init__(self, architecture: "Architecture", channels: int, cells: int, classes: int, stacks: int) -> None:
        super().__init__()
        self.stem = conv_norm_relu(3, channels, 3)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)  # TensorFlow's padding "same"
        self.stacks = nn.ModuleList()
        source = channels
        for stack in range(stacks):
            target = channels << stack
            widths = [source, *[target] * (cells - 1)]
            self.stacks.append(nn.Sequential(*(Cell(architecture, width, target) for width in widths)))
            source = target
        self.classifier = Classifier(source, classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for i, stack in enumerate(self.stacks):
            x = stack(self.pool(x) if i else x)
        return self.classifier(x)


class Cell(nn.Module):
    """(B, source, H, W) -> (B, channels, H, W)."""

    def __init__(self, architecture: "Architecture", source: int, channels: int) -> None:
        super().__init__()
        adjacency = architecture.adjacency.astype(bool)
        vertices = range(1, len(architecture))
        self.widths = vertex_channels(adjacency[None], channels)[0].tolist()
        self.inputs = {v: [u for u in range(1, v) if adjacency[u, v]] for v in vertices}
        self.projections = nn.ModuleDict(
            {str(v): conv_norm_relu(source, self.widths[v], 1) for v in vertices if adjacency[0, v]}
        )
        self.operations = nn.ModuleList(
            _OPERATIONS[name](self.widths[v]) for v, name in enumerate(architecture.operations[1:-1], 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for v, operation in enumerate(self.operations, 1):
            # An input may be one channel wider, where an uneven division gave it one more.
            terms = [values[u][:, : self.widths[v]] for u in self.inputs[v]]
            values.append(operation(total(terms + self._projected(x, v))))
        output = len(values)
        joined = [values[u] for u in self.inputs[output]]
        terms = [torch.cat(joined, dim=1)] if joined else []
        return total(terms + self._projected(x, output))

    def _projected(self, x: Tensor, vertex: int) -> list[Tensor]:
        """The cell's input as that vertex takes it: one tensor, or none where it does not."""
        return [self.projections[str(vertex)](x)] if str(vertex) in self.projections else []


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        std = 1 / math.sqrt(module.weight[0].numel()) / _TRUNCATED_STD
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
    elif isinstance(module, nn.BatchNorm2d):
        module.momentum = _NORM_MOMENTUM
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
