"""What a built network really has: parameters counted, multiply-adds counted by torch."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def on_meta(build, *arguments, **settings) -> nn.Module:
    """A network without memory: shapes only, and so quick to build and run."""
    with torch.device("meta"):
        return build(*arguments, **settings)


def counted_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def counted_flops(network: nn.Module, image_size: int) -> float:
    """Multiply-adds of one image; torch counts two operations each, and a batch of two lets batch norms train."""
    images = torch.empty(2, 3, image_size, image_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    return counter.get_total_flops() / 4


def losses_of_training(network: nn.Module, loss_of, steps: int = 12, image_size: int = 32) -> list[float]:
    """Losses of a few steps of SGD on eight images, with `loss_of(output, labels)`; every parameter has a gradient."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, image_size, image_size, generator=generator)
    labels = torch.arange(8) % 4
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    network.train()
    for _ in range(steps):
        loss = loss_of(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimiser.step()
        losses.append(loss.item())
    return losses
