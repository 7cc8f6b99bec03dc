"""The evaluation network of the DARTS space (Liu, Simonyan, Yang, ICLR 2019, section 3 and its code), in torch.

A stem; normal cells and, at 1/3 and 2/3 of the depth, reduction cells of stride 2 with twice the channels; the mean
over the image; a linear layer. A cell brings the outputs of the two cells before it to its own width, adds two
operations at each of four intermediate nodes and concatenates these. Pooling has no batch norm, as in the evaluation
network, and every batch norm has a scale and a shift. Weights start as torch's.
"""

import operator
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cate_hf.graphs.table import unknown_operation
from cate_hf.spaces._costs import check_sizes
from cate_hf.spaces._layers import Classifier, conv_norm, convolution, relu_conv_norm
from cate_hf.spaces.darts._costs import (
    AUXILIARY_WIDTHS,
    NODES,
    OPERATIONS,
    STEM_MULTIPLIER,
    CellPlan,
    auxiliary_smallest,
    auxiliary_stride,
    plan_cells,
)

Genotype = Sequence[tuple[str, int]]


def build_darts(
    normal: Genotype,
    reduction: Genotype,
    channels: int = 32,
    cells: int = 8,
    classes: int = 10,
    auxiliary: bool = False,
    drop_path: float = 0.0,
    stem: str = "cifar",
) -> "DartsNetwork":
    """The network of a normal and a reduction cell.

    Args:
        normal, reduction: 8 entries (operation name, input), two for each intermediate node in order. Input 0 is
            c_{k-2}, 1 is c_{k-1}, 2 .. are the intermediate nodes before this one.
        channels: of a node in the first cells (16 in the search, 36 for CIFAR-10 and 48 for ImageNet in the paper).
        cells: how many are stacked (8, 20 and 14 in the paper).
        auxiliary: with a second classifier after 2/3 of the cells; see `DartsNetwork.forward`.
        drop_path: rate at which training drops a branch of an image; `network.drop_path` changes it later.
        stem: "cifar", or "imagenet" with three convolutions of stride 2.

    Raises:
        ValueError: a genotype or a setting is not as said; names the cell and the entry.
    """
    plans = plan_cells(channels, cells, stem)
    check_sizes(classes=classes)
    genotypes = check_genotype(normal, "normal cell"), check_genotype(reduction, "reduction cell")
    return DartsNetwork(*genotypes, plans, channels, classes, auxiliary, drop_path, stem)


def check_genotype(entries: Genotype, source: str) -> list[tuple[str, int]]:
    """The 8 entries (operation name, input) of a cell; ValueError names the source and the first wrong entry."""
    entries = list(entries)
    if len(entries) != 2 * NODES:
        raise ValueError(f"{source}: expected {2 * NODES} entries (operation, input), got {len(entries)}")
    for i, entry in enumerate(entries):
        try:
            name, node = entry
            node = operator.index(node)
        except (TypeError, ValueError):
            raise ValueError(f"{source}, entry {i}: expected (operation, input), got {entry!r}") from None
        if name not in OPERATIONS:
            raise ValueError(f"{source}, entry {i}: {unknown_operation(name, OPERATIONS)}")
        if not 0 <= node < 2 + i // 2:
            raise ValueError(f"{source}, entry {i}: input must be 0 to {1 + i // 2}, not {node}")
        entries[i] = str(name), node
    return entries


class DartsNetwork(nn.Module):
    """See `build_darts`.

    Attributes:
        drop_path: the current rate, at least 0 and below 1. The paper's schedule is linear: before epoch e of E,
            `network.drop_path = 0.2 * e / E`.
    """

    def __init__(
        self,
        normal: Genotype,
        reduction: Genotype,
        plans: Sequence[CellPlan],
        channels: int,
        classes: int,
        auxiliary: bool,
        drop_path: float,
        stem: str,
    ) -> None:
        super().__init__()
        self.stem = CifarStem(channels) if stem == "cifar" else ImageNetStem(channels)
        self.cells = nn.ModuleList(Cell(reduction if plan.reduction else normal, plan) for plan in plans)
        self.auxiliary_cell = 2 * len(plans) // 3
        source = NODES * plans[self.auxiliary_cell].channels
        self.auxiliary = AuxiliaryHead(source, classes, stem) if auxiliary else None
        self.classifier = Classifier(NODES * plans[-1].channels, classes)
        self.drop_path = drop_path

    @property
    def drop_path(self) -> float:
        return self._drop_path

    @drop_path.setter
    def drop_path(self, rate: float) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"drop_path must be at least 0 and below 1, not {rate!r}")
        self._drop_path = float(rate)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> logits (B, classes); with an auxiliary head and in training, also the head's (B, classes).

        Raises:
            ValueError: the images are too small for the auxiliary head.
        """
        older, newer = self.stem(images)
        auxiliary = None
        for i, cell in enumerate(self.cells):
            older, newer = newer, cell(older, newer, self.drop_path)
            if i == self.auxiliary_cell and self.auxiliary is not None and self.training:
                auxiliary = self.auxiliary(newer)
        logits = self.classifier(newer)
        return logits if auxiliary is None else (logits, auxiliary)


class CifarStem(nn.Module):
    """(B, 3, H, W) -> the two inputs of the first cell, here one: (B, 3 · channels, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = conv_norm(3, STEM_MULTIPLIER * channels, 3)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layers(images)
        return x, x


class ImageNetStem(nn.Module):
    """(B, 3, H, W) -> (B, channels, H/4, W/4) and (B, channels, H/8, W/8)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = conv_norm(3, channels // 2, 3, stride=2)
        self.first = nn.Sequential(*half, *relu_conv_norm(channels // 2, channels, 3, stride=2))
        self.second = relu_conv_norm(channels, channels, 3, stride=2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.first(images)
        return x, self.second(x)


class Cell(nn.Module):
    """c_{k-2} and c_{k-1} -> (B, 4 · channels, H, W), of half the size in a reduction."""

    def __init__(self, genotype: Genotype, plan: CellPlan) -> None:
        super().__init__()
        first = FactorizedReduce if plan.after_reduction else _preprocess
        self.preprocess = nn.ModuleList(
            [first(plan.before_previous, plan.channels), _preprocess(plan.previous, plan.channels)]
        )
        self.inputs = [node for _, node in genotype]
        self.operations = nn.ModuleList(
            _operation(name, plan.channels, stride=2 if plan.reduction and node < 2 else 1) for name, node in genotype
        )

    def forward(self, older: Tensor, newer: Tensor, drop_path: float) -> Tensor:
        states = [self.preprocess[0](older), self.preprocess[1](newer)]
        for entry in range(0, 2 * NODES, 2):
            first, second = (self._branch(i, states, drop_path) for i in (entry, entry + 1))
            states.append(first + second)
        return torch.cat(states[2:], dim=1)

    def _branch(self, entry: int, states: list[Tensor], drop_path: float) -> Tensor:
        operation = self.operations[entry]
        x = operation(states[self.inputs[entry]])
        if self.training and drop_path > 0 and not isinstance(operation, nn.Identity):
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= drop_path  # an image, whole, in each branch
            x = x * (kept.to(x.dtype) / (1 - drop_path))
        return x


class FactorizedReduce(nn.Module):
    """ReLU; two 1×1 convolutions of stride 2, one shifted by a pixel, side by side in the channels; batch norm."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(source, target // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(source, target - target // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(target)

    def forward(self, x: Tensor) -> Tensor:
        """(B, source, H, W) -> (B, target, ceil(H/2), ceil(W/2))."""
        x = functional.relu(x)
        height, width = x.shape[2:]
        # Without its first row and column; where the size is odd, a zero at the end stands for the missing ones.
        shifted = functional.pad(x, (-1, width % 2, -1, height % 2))
        return self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))


class AuxiliaryHead(nn.Module):
    """A classifier of feature maps that training adds: 8×8 of 32×32 images, 7×7 of ImageNet's 224×224."""

    def __init__(self, source: int, classes: int, stem: str) -> None:
        super().__init__()
        narrow, wide = AUXILIARY_WIDTHS
        self.smallest = auxiliary_smallest(stem)
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=auxiliary_stride(stem), count_include_pad=False),
            nn.Conv2d(source, narrow, 1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, wide, 2, bias=False),
            # DARTS left this norm out of the ImageNet head by mistake, and its published numbers are without it.
            nn.BatchNorm2d(wide) if stem == "cifar" else nn.Identity(),
            nn.ReLU(),
        )
        self.classifier = Classifier(wide, classes)  # larger images leave more than one position: their mean

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) < self.smallest:
            raise ValueError(
                f"auxiliary head: needs a feature map of at least {self.smallest}×{self.smallest}, "
                f"got {x.shape[2]}×{x.shape[3]}: use larger images"
            )
        return self.classifier(self.layers(x))


def _preprocess(source: int, channels: int) -> nn.Sequential:
    return relu_conv_norm(source, channels, 1)


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, padding=1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    kernel = int(name[-1])
    if name.startswith("dil_conv"):
        return nn.Sequential(*_separable(channels, kernel, stride, dilation=2))
    return nn.Sequential(*_separable(channels, kernel, stride), *_separable(channels, kernel, 1))


def _separable(channels: int, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    """ReLU, a convolution of each channel, a 1×1 convolution over them, batch norm."""
    return [
        nn.ReLU(),
        convolution(channels, channels, kernel, stride, groups=channels, dilation=dilation),
        *conv_norm(channels, channels, 1),
    ]
