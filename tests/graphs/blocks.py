"""Blocks of real networks, small."""

import torch
import torch.nn.functional as F
from torch import nn


class ResidualBlock(nn.Module):
    """The basic block of a ResNet, with a way that bends round it."""

    def __init__(self, inputs=2, outputs=4, stride=2):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout()
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.Identity())
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.dropout(self.bn2(self.conv2(y))) * self.scale
        torch.sigmoid(y)  # nobody wants this
        return torch.relu(y + self.shortcut(x))


class Attention(nn.Module):
    """A block of a Transformer, its attention written out."""

    def __init__(self, dim=8, heads=2):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.project = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x, mask):
        batch, length, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        shape = (batch, length, self.heads, dim // self.heads)
        q, k, v = (t.view(shape).transpose(1, 2) for t in (q, k, v))
        scores = (q @ k.transpose(-2, -1) + mask).softmax(-1)
        x = x + self.project((scores @ v).transpose(1, 2).reshape(batch, length, dim))
        return x + self.feed_forward(self.norm2(x))
