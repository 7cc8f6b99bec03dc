"""Compiled kernels for training and encoding on CPUs. They are compiled when they are first used, in seconds, and kept
on disk.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ATTENTION = "cate_short_rows"


def use_kernels(model: "PreTrainedModel") -> None:
    """Let a model on the CPU compute by compiled kernels what they are for: short sequences in float32, or in bfloat16
    under its autocast. All else is computed as before. Not for a model whose attention weights are asked for.
    """
    from cate_hf.kernels.layer import compile_layers

    model.set_attn_implementation(short_attention())
    compile_layers(model)


def short_attention() -> str:
    """The name of the attention function of short rows, which is registered with transformers by this call: for
    `attn_implementation=` and `set_attn_implementation`.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    from cate_hf.kernels._attention import short_attention_forward

    ALL_ATTENTION_FUNCTIONS.register(_ATTENTION, short_attention_forward)
    return _ATTENTION
