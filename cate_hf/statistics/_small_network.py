"""A small network of an architecture, made ready to be measured: its weights, its images, and what it computes.

`space.build(architecture, **space.small_network)` builds it. Everything that is random comes from a seed: two networks
of one seed see the same images and labels.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.spaces.base import Space

_RELUS = {functional.relu, functional.relu6, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
CELL = "Cell"
"""Name of the class of the modules whose outputs are measured."""


class SmallNetwork:
    """The network of an architecture, whose weights can be drawn again and again.

    Batch norms use the statistics of the batch and keep none.
    """

    def __init__(self, space: "Space", architecture: "Architecture", settings: dict[str, Any]):
        """Raises ValueError where the space has no network, or not with these settings."""
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(0)  # of what `draw_weights` leaves as it was built
            try:
                network = space.build(architecture, **settings)
            except TypeError as error:
                names = ", ".join(map(repr, settings)) or "no settings"
                raise ValueError(f"{space.name} does not build a network with {names} ({error})") from None
        # Pooling is several times as fast when the channels of a pixel lie side by side, and convolutions no slower.
        self.network = network.train().to(memory_format=torch.channels_last)
        self.norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        for norm in self.norms:
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = norm.num_batches_tracked = None
        parameters = [parameter.requires_grad_() for parameter in network.parameters()]
        self.weights = [parameter for parameter in parameters if parameter.dim() > 1]
        self._others = [parameter for parameter in parameters if parameter.dim() < 2]
        self._as_built = [parameter.detach().clone() for parameter in self._others]

    def draw_weights(self, seed: int) -> None:
        """Normal weights of variance 2 / fan-in (He et al., ICCV 2015); scales and biases as they were built."""
        generator = torch.Generator().manual_seed(2 * seed + 1)
        with torch.no_grad():
            for weight in self.weights:
                weight.normal_(0, math.sqrt(2 / max(weight[0].numel(), 1)), generator=generator)
            for parameter, values in zip(self._others, self._as_built, strict=True):
                parameter.copy_(values)

    def run(self, images: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Logits (B, classes); the outputs of all ReLUs; those of the first, middle and last cell, (B, ...) each.

        A network without modules of a class called `Cell` is measured at its ReLUs in their place, and one without
        either at its end. Raises ValueError where it cannot be run on the images.
        """
        cells = [module for module in self.network.modules() if type(module).__name__ == CELL]
        features: dict[nn.Module, Tensor] = {}

        def keep(module: nn.Module, _: Any, output: Any) -> None:
            features[module] = output if isinstance(output, Tensor) else output[0]

        chosen = [cells[i] for i in (0, len(cells) // 2, -1)] if cells else []
        hooks = [cell.register_forward_hook(keep) for cell in dict.fromkeys(chosen)]
        try:
            with _Relus() as relus:
                logits = self._logits(images)
        finally:
            for hook in hooks:
                hook.remove()
        places = [features[cell] for cell in chosen if cell in features] or relus.outputs or [logits]
        return logits, relus.outputs, [places[i] for i in (0, len(places) // 2, -1)]

    def _logits(self, images: Tensor) -> Tensor:
        size = f"{images.shape[2]} × {images.shape[3]}"
        try:
            logits = self.network(images)
        except RuntimeError as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ValueError(f"the network cannot be run on images of {size} ({reason})") from None
        logits = logits[0] if isinstance(logits, tuple) else logits  # others are of auxiliary classifiers
        if not isinstance(logits, Tensor) or logits.dim() != 2:
            raise ValueError(f"the network must give logits (images, classes) of images of {size}")
        return logits

    @contextmanager
    def linear(self) -> Iterator[nn.Module]:
        """The network in float64, with weights of their absolute value and without batch norm, inside the block.

        Afterwards the weights must be drawn anew.
        """
        network = self.network.double()
        for norm in self.norms:
            norm.forward = _same
        try:
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.abs_()
            yield network
        finally:
            for norm in self.norms:
                del norm.forward
            network.float()


class _Relus(TorchFunctionMode):
    """Collects what ReLUs give, be they modules or functions."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in _RELUS:
            self.outputs.append(result)
        return result


def _same(x: Tensor) -> Tensor:
    return x


@lru_cache(maxsize=16)
def smooth_images(seed: int, batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Random images (batch, 3, size, size) of mean 0 and variance 1, and random numbers (batch,) for labels.

    Gaussian noise of three grids, each twice as fine and half as strong as the one before.
    """
    generator = torch.Generator().manual_seed(2 * seed)
    images = torch.zeros(batch, 3, size, size)
    for octave in (0, 1, 2):
        cells = min(4 * 2**octave, size)
        noise = torch.randn(batch, 3, cells, cells, generator=generator)
        images += functional.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False) / 2**octave
    images = (images - images.mean()) / images.std()
    labels = torch.randint(0, 2**31 - 1, (batch,), generator=generator)
    return images.contiguous(memory_format=torch.channels_last), labels
