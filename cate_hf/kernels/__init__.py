"""Compiled kernels for training and encoding on CPUs. They are compiled when they are first used, in seconds, and kept
on disk."""

NAME = "cate_short_rows"


def short_attention() -> str:
    """The name of the attention function of short rows, which is registered with transformers by this call: for
    `attn_implementation=` and `set_attn_implementation`. Not for a model whose attention weights are asked for."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    from cate_hf.kernels.attention import short_attention_forward

    ALL_ATTENTION_FUNCTIONS.register(NAME, short_attention_forward)
    return NAME
