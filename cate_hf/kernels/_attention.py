"""Attention of short rows on CPU as an attention function of transformers, "cate_short_rows"."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from cate_hf.kernels._attention_kernels import BLOCK, LONGEST, WIDEST, attention_backward, attention_forward
from cate_hf.kernels._dispatch import bits, run

_KINDS = (torch.float32, torch.bfloat16)


def draw_seed() -> int:
    """63 bits from torch's generator."""
    return torch.empty((), dtype=torch.int64).random_().item()


class ShortAttention(torch.autograd.Function):
    """softmax(query keyᵀ × scaling + mask) value with dropout of the weights, for (B, H, L, D) views of one layout."""

    @staticmethod
    def forward(ctx, query, key, value, mask, scaling, p):
        batch, heads, length, size = query.shape
        output = torch.empty((batch, length, heads, size), dtype=query.dtype)
        ctx.scaling, ctx.seed, ctx.dropped = scaling, draw_seed() if p else 0, round(p * 2**32)
        ctx.save_for_backward(query, key, value, mask)
        function = attention_forward(size, query.dtype == torch.bfloat16)
        run(function, -(-batch // BLOCK), *_arguments(ctx, query, key, value, mask), output.data_ptr())
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        query, key, value, mask = ctx.saved_tensors
        batch, heads, length, size = query.shape
        gradient = gradient.contiguous()
        together = _is_one_tensor(query, key, value)
        if together:  # one tensor, so that autograd has nothing to add up
            whole = torch.empty((batch, length, 3, heads, size), dtype=query.dtype)
            gradients = whole.permute(2, 0, 3, 1, 4)
        else:
            gradients = [torch.empty_strided(query.shape, query.stride(), dtype=query.dtype) for _ in range(3)]
        of_mask = torch.empty((batch, heads, length, length)) if ctx.needs_input_grad[3] else None
        function = attention_backward(size, query.dtype == torch.bfloat16)
        run(
            function,
            -(-batch // BLOCK),
            *_arguments(ctx, query, key, value, mask),
            0,
            gradient.data_ptr(),
            *(tensor.data_ptr() for tensor in gradients),
            0 if of_mask is None else of_mask.data_ptr(),
        )
        return *gradients, of_mask, None, None


def _is_one_tensor(query, key, value) -> bool:
    _, heads, length, size = query.shape
    step = heads * size
    return (
        query.stride() == (3 * step * length, size, 3 * step, 1)
        and key.data_ptr() - query.data_ptr() == value.data_ptr() - key.data_ptr() == step * query.element_size()
    )


def _arguments(ctx, query, key, value, mask) -> tuple[int, ...]:
    batch, heads, length, _ = query.shape
    size = query.element_size()
    strides = [size * query.stride(axis) for axis in (0, 1, 2)]
    of_mask = (0,) * 5
    if mask is not None:
        mask = mask.expand(batch, -1, length, length)
        of_head = 0 if mask.shape[1] == 1 else mask.stride(1)
        of_mask = (mask.data_ptr(), *(4 * s for s in (mask.stride(0), of_head, mask.stride(2), mask.stride(3))))
    return (
        query.data_ptr(),
        key.data_ptr(),
        value.data_ptr(),
        *strides,
        *of_mask,
        batch,
        length,
        heads,
        bits(ctx.scaling),
        ctx.seed & 0xFFFFFFFF,
        ctx.seed >> 32,
        ctx.dropped,
    )


def short_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The attention interface of transformers: (B, H, L, D) each and a mask that is added, (B, 1 or H, L, L), to
    (B, L, H, D). Tensors that the kernels are not for go to the model's own attention."""
    p = dropout if module.training else 0.0
    if p >= 1.0 or not _suits(query, key, value, attention_mask):
        from cate_hf.modeling.layers_cate import eager_attention_forward

        return eager_attention_forward(module, query, key, value, attention_mask, scaling, dropout, **kwargs)
    if not (query.stride() == key.stride() == value.stride() and query.stride(-1) == 1):
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    mask = None if attention_mask is None else attention_mask.float()
    return ShortAttention.apply(query, key, value, mask, scaling, p), None


def _suits(query, key, value, mask) -> bool:
    batch, heads, length, size = query.shape
    if query.device.type != "cpu" or query.dtype not in _KINDS or torch.compiler.is_compiling():
        return False
    if length > LONGEST or size > WIDEST or size % 8 or not query.shape == key.shape == value.shape:
        return False
    if not query.dtype == key.dtype == value.dtype:
        return False
    # A gradient of a mask that the heads share would have to be summed over them.
    return mask is None or not mask.requires_grad or mask.shape == (batch, heads, length, length)
