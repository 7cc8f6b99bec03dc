"""A whole layer of CATE on CPU as one function with a gradient of its own: the products are those of torch, all between
them is compiled, and states change layout nowhere.

B architectures, L positions, D hidden size, H heads, F numbers between the two products of the feed-forward network.
"""

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from cate_hf.kernels._attention import draw_seed
from cate_hf.kernels._attention_kernels import BLOCK, LONGEST, WIDEST, attention_backward, attention_forward
from cate_hf.kernels._dispatch import bits, run
from cate_hf.kernels._row_kernels import (
    NUMBERS_OF_CHUNK,
    ROWS_OF_CHUNK,
    relu_backward,
    relu_forward,
    rows_backward,
    rows_forward,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["compiled_layers"]

_STREAM = 0x9E3779B9  # between the second seeds of a layer's draws
_OF_ATTENTION, _OF_CONTEXT, _OF_HIDDEN, _OF_OUTPUT = range(4)


class _Numbers:
    """What the kernels of a layer are told beside tensors."""

    def __init__(self, heads: int, scaling: float, epsilons: tuple[float, float], p: float, p_attention: float):
        self.heads, self.scaling, self.epsilons = heads, scaling, epsilons
        self.p, self.p_attention = round(p * 2**32), round(p_attention * 2**32)
        self.seed = draw_seed() if p or p_attention else 0

    def draws(self, stream: int) -> tuple[int, int, int]:
        """Seeds and threshold of the dropout of one place."""
        dropped = self.p_attention if stream == _OF_ATTENTION else self.p
        return self.seed & 0xFFFFFFFF, ((self.seed >> 32) + stream * _STREAM) & 0xFFFFFFFF, dropped


def _at(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _attention_arguments(qkv: torch.Tensor, mask: torch.Tensor | None, numbers: _Numbers) -> tuple[int, ...]:
    """Of qkv (B, L, 3, H, D / H), contiguous."""
    batch, length, _, heads, size = qkv.shape
    of = qkv.element_size()
    of_mask = (0,) * 5
    if mask is not None:
        of_head = 0 if mask.shape[1] == 1 else mask.stride(1)
        of_batch = 0 if mask.shape[0] == 1 else mask.stride(0)
        of_mask = (mask.data_ptr(), 4 * of_batch, 4 * of_head, 4 * mask.stride(2), 4 * mask.stride(3))
    start, step = qkv.data_ptr(), heads * size * of
    places = (start, start + step, start + 2 * step, 3 * step * length, size * of, 3 * step)
    return (*places, *of_mask, batch, length, heads, bits(numbers.scaling), *numbers.draws(_OF_ATTENTION))


def _rows(function, size: int, count: int, epsilon: float, draws, **tensors: torch.Tensor | None) -> None:
    order = ("states", "change", "normed", "result", "moments", "weight", "bias", "gradient", "partial")
    run(function, -(-count // ROWS_OF_CHUNK), *(_at(tensors.get(name)) for name in order), count, bits(epsilon), *draws)


class CompiledLayer(torch.autograd.Function):
    """A pre-LayerNorm block. Arguments: states (B, L, D) float32, mask (B or 1, H or 1, L, L) float32, the twelve
    parameters of the layer in the order of `_parameters`, the numbers, and the type of the products.
    """

    @staticmethod
    def forward(ctx, states, mask, *others):
        *parameters, numbers, kind = others
        norm_1, shift_1, w_qkv, b_qkv, w_out, b_out, norm_2, shift_2, w_in, b_in, w_down, b_down = (
            parameter.detach() for parameter in parameters
        )
        w_qkv, b_qkv, w_out, b_out, w_in, b_in, w_down, b_down = (
            tensor.to(kind) for tensor in (w_qkv, b_qkv, w_out, b_out, w_in, b_in, w_down, b_down)
        )
        batch, length, size = states.shape
        count, reduced = batch * length, kind == torch.bfloat16
        x = states.detach().reshape(count, size)
        forward = rows_forward(size, reduced)
        linear = product()

        y_1, moments_1 = torch.empty((count, size), dtype=kind), torch.empty((count, 2))
        of_norm = {"states": x, "normed": y_1, "moments": moments_1, "weight": norm_1, "bias": shift_1}
        _rows(forward, size, count, numbers.epsilons[0], (0, 0, 0), **of_norm)
        qkv = linear(y_1, w_qkv, b_qkv).view(batch, length, 3, numbers.heads, size // numbers.heads)
        context = torch.empty((count, size), dtype=kind)
        attend = attention_forward(size // numbers.heads, reduced)
        run(attend, -(-batch // BLOCK), *_attention_arguments(qkv, mask, numbers), context.data_ptr())
        change = linear(context, w_out, b_out)

        x_2, y_2, moments_2 = torch.empty_like(x), torch.empty_like(y_1), torch.empty_like(moments_1)
        of_norm = {"normed": y_2, "moments": moments_2, "weight": norm_2, "bias": shift_2, "result": x_2}
        draws = numbers.draws(_OF_CONTEXT)
        _rows(forward, size, count, numbers.epsilons[1], draws, states=x, change=change, **of_norm)
        hidden = linear(y_2, w_in, b_in, rectified=not numbers.p)
        if numbers.p:
            chunks = -(-hidden.numel() // NUMBERS_OF_CHUNK)
            run(relu_forward(reduced), chunks, hidden.data_ptr(), 0, hidden.numel(), *numbers.draws(_OF_HIDDEN))
        change = linear(hidden, w_down, b_down)
        x_3 = torch.empty_like(x)
        _rows(forward, size, count, 0.0, numbers.draws(_OF_OUTPUT), states=x_2, change=change, result=x_3)

        ctx.numbers, ctx.kind = numbers, kind
        saved = (x, y_1, moments_1, qkv, context, x_2, y_2, moments_2, hidden)
        ctx.save_for_backward(*saved, mask, norm_1, w_qkv, w_out, norm_2, w_in, w_down)
        return x_3.view(batch, length, size)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        (x, y_1, moments_1, qkv, context, x_2, y_2, moments_2, hidden, mask, *weights) = ctx.saved_tensors
        norm_1, w_qkv, w_out, norm_2, w_in, w_down = weights
        numbers, kind = ctx.numbers, ctx.kind
        batch, length, _, heads, of_head = qkv.shape
        (count, size), reduced = x.shape, kind == torch.bfloat16
        backward = rows_backward(size, reduced)
        chunks = -(-count // ROWS_OF_CHUNK)
        gradient = gradient.contiguous()
        whole = {"dtype": torch.float32}

        def times(x, matrix):
            return product()(x, matrix.t().contiguous(), None)

        d_change = torch.empty((count, size), dtype=kind)
        partial = torch.empty((chunks, 3, size))
        of_change = {"gradient": gradient, "change": d_change, "partial": partial}
        _rows(backward, size, count, 0.0, numbers.draws(_OF_OUTPUT), **of_change)
        d_w_down, d_b_down = (d_change.t() @ hidden).to(**whole), partial[:, 2].sum(0)
        d_hidden = times(d_change, w_down)
        rectify = relu_backward(reduced)
        sums = torch.empty((chunks, hidden.shape[1]))
        places = (hidden.data_ptr(), d_hidden.data_ptr(), hidden.numel(), *numbers.draws(_OF_HIDDEN))
        run(rectify, chunks, *places, hidden.shape[1], sums.data_ptr())
        d_w_in, d_b_in = (y_2.t() @ d_hidden).t().to(**whole).contiguous(), sums.sum(0)  # the faster order
        d_y = times(d_hidden, w_in)

        d_x = torch.empty_like(x)
        of_norm = {"states": x_2, "moments": moments_2, "weight": norm_2, "normed": d_y, "partial": partial}
        draws = numbers.draws(_OF_CONTEXT)
        _rows(backward, size, count, 0.0, draws, gradient=gradient, change=d_change, result=d_x, **of_norm)
        d_norm_2, d_shift_2, d_b_out = partial.sum(0)
        d_w_out = (d_change.t() @ context).to(**whole)
        d_context = times(d_change, w_out)

        d_qkv = torch.empty_like(qkv)
        d_mask = torch.empty((batch, heads, length, length)) if ctx.needs_input_grad[1] else None
        attend = attention_backward(of_head, reduced)
        start, step = d_qkv.data_ptr(), size * qkv.element_size()
        places = (0, d_context.data_ptr(), start, start + step, start + 2 * step, _at(d_mask))
        run(attend, -(-batch // BLOCK), *_attention_arguments(qkv, mask, numbers), *places)
        d_qkv = d_qkv.view(count, 3 * size)
        d_w_qkv, d_b_qkv = (d_qkv.t() @ y_1).to(**whole), d_qkv.sum(0, **whole)
        d_y = times(d_qkv, w_qkv)

        of_norm = {"states": x, "moments": moments_1, "weight": norm_1, "normed": d_y, "partial": partial}
        result = torch.empty_like(x)
        _rows(backward, size, count, 0.0, (0, 0, 0), gradient=d_x, result=result, **of_norm)
        d_norm_1, d_shift_1, _ = partial.sum(0)
        of_parameters = (d_norm_1, d_shift_1, d_w_qkv, d_b_qkv, d_w_out, d_b_out)
        of_parameters += (d_norm_2, d_shift_2, d_w_in, d_b_in, d_w_down, d_b_down)
        return result.view(batch, length, size), d_mask, *of_parameters, None, None


@functools.cache
def product() -> "Callable[..., torch.Tensor]":
    """A function of x (N, D), weight (E, D), bias (E,) or None, and whether to rectify, to (N, E).

    That of oneDNN, where torch has it: in float32 it takes less than half the time of the one that torch takes by
    itself on some processors.
    """

    def plain(x, weight, bias, rectified=False):
        result = nn.functional.linear(x, weight, bias)
        return result.relu_() if rectified else result

    def of_onednn(x, weight, bias, rectified=False):
        return operator(x, weight, bias, "relu" if rectified else "none", [], "")

    try:
        operator = torch.ops.mkldnn._linear_pointwise.default
        x, weight, bias = torch.eye(16), torch.arange(256.0).view(16, 16) - 128, torch.ones(16)
        with torch.no_grad():
            sound = all(torch.equal(of_onednn(x, weight, bias, r), plain(x, weight, bias, r)) for r in (True, False))
    except (AttributeError, RuntimeError):  # it is not part of torch's interface
        sound = False
    return of_onednn if sound else plain


def compiled_layer(
    layer: nn.Module, states: torch.Tensor, attention_mask: torch.Tensor, edges: torch.Tensor | None
) -> torch.Tensor | None:
    """What `CateLayer.forward` gives for these arguments, (B, L, D), or None where the kernels are not for it."""
    kind = _kind_of_products(states)
    attention, (batch, length, size) = layer.attention, states.shape
    heads = attention.num_heads
    mask = attention_mask
    if kind is None or length > LONGEST or size // heads > WIDEST or (size // heads) % 8 or size % 16:
        return None
    if layer.intermediate.out_features % 16 or type(layer.activation) is not nn.ReLU:
        return None
    parameters = _parameters(layer)
    if any(parameter.dtype != torch.float32 for parameter in parameters):
        return None
    if attention.edge_bias is not None:
        mask = mask + edges * attention.edge_bias.view(1, -1, 1, 1)
    if mask.requires_grad and mask.shape != (batch, heads, length, length):
        return None
    p = layer.dropout_prob if layer.training else 0.0
    p_attention = attention.config.attention_probs_dropout_prob if layer.training else 0.0
    epsilons = (layer.attention_norm.eps, layer.feed_forward_norm.eps)
    numbers = _Numbers(heads, attention.scaling, epsilons, p, p_attention)
    return CompiledLayer.apply(states, mask.float(), *parameters, numbers, kind)


def _kind_of_products(states: torch.Tensor) -> torch.dtype | None:
    """bfloat16 under its autocast, float32 without any; None where neither is meant or the kernels do not run."""
    if states.device.type != "cpu" or states.dtype != torch.float32 or torch.compiler.is_compiling():
        return None
    if not torch.is_autocast_enabled("cpu"):
        return torch.float32
    return torch.bfloat16 if torch.get_autocast_dtype("cpu") == torch.bfloat16 else None


def _parameters(layer: nn.Module) -> list[torch.Tensor]:
    attention = layer.attention
    before = layer.attention_norm, attention.query_key_value, attention.output
    modules = *before, layer.feed_forward_norm, layer.intermediate, layer.output
    return [parameter for module in modules for parameter in (module.weight, module.bias)]


def compile_layers(model: nn.Module) -> None:
    """Let the layers of a model be computed by `compiled_layer` where it can."""
    for module in _layers(model):
        module.compiled = compiled_layer


@contextmanager
def compiled_layers(model: nn.Module) -> "Iterator[None]":
    """`compile_layers` for the time of a block."""
    before = [(module, module.compiled) for module in _layers(model)]
    compile_layers(model)
    try:
        yield
    finally:
        for module, compiled in before:
            module.compiled = compiled


def _layers(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if hasattr(module, "compiled")]
