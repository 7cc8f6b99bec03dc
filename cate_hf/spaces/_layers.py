"""Layers that the networks of several spaces share. No convolution has a bias: a batch norm follows each."""

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor, nn


def convolution(
    source: int, target: int, kernel: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """Odd kernels, padded so that stride 1 keeps the size; stride 2 halves it, rounded up."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(source, target, kernel, stride, padding, dilation, groups, bias=False)


def conv_norm(source: int, target: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(convolution(source, target, kernel, stride), nn.BatchNorm2d(target))


def conv_norm_relu(source: int, target: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*conv_norm(source, target, kernel, stride), nn.ReLU())


def relu_conv_norm(source: int, target: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), *conv_norm(source, target, kernel, stride))


class Classifier(nn.Module):
    """Mean over the image, then a linear layer: (B, source, H, W) -> (B, classes)."""

    def __init__(self, source: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(source, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean(dim=(2, 3)))


def total(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors."""
    return reduce(torch.add, terms)
