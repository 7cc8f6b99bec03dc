"""One name for one operation of torch, whether a module, a function, a method or an operator of torch.export computes
it: the module's class where there is one, such as Conv2d; else the function, such as add.
"""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Function -> its name, beside those that are a module's name in small letters with underscores, such as max_pool2d.
_OTHERS = {
    "addmm": "Linear",
    "concat": "cat",
    "concatenate": "cat",
    "feature_dropout": "Dropout2d",
    "floor_divide": "floordiv",
    "iadd": "add",
    "imatmul": "matmul",
    "imul": "mul",
    "interpolate": "Upsample",
    "isub": "sub",
    "itruediv": "div",
    "max_pool1d_with_indices": "MaxPool1d",
    "max_pool2d_with_indices": "MaxPool2d",
    "max_pool3d_with_indices": "MaxPool3d",
    "multiply": "mul",
    "native_dropout": "Dropout",
    "native_group_norm": "GroupNorm",
    "native_layer_norm": "LayerNorm",
    "safe_softmax": "Softmax",
    "subtract": "sub",
    "truediv": "div",
    "true_divide": "div",
    "upsample_bicubic2d": "Upsample",
    "upsample_bilinear2d": "Upsample",
    "upsample_linear1d": "Upsample",
    "upsample_nearest1d": "Upsample",
    "upsample_nearest2d": "Upsample",
    "upsample_nearest3d": "Upsample",
    "upsample_trilinear3d": "Upsample",
}
# Function -> a module's name without its dimensions.
_OF_DIMENSIONS = {
    "batch_norm": "BatchNorm",
    "instance_norm": "InstanceNorm",
    "native_batch_norm": "BatchNorm",
    "native_batch_norm_legit": "BatchNorm",
    "native_batch_norm_legit_functional": "BatchNorm",
    "native_batch_norm_legit_no_training": "BatchNorm",
}


@cache
def module_names() -> dict[str, str]:
    """Class of a module of torch.nn, in small letters -> the class."""
    from torch import nn

    return {name.lower(): name for name, c in vars(nn).items() if isinstance(c, type) and issubclass(c, nn.Module)}


def one_name(name: str, node: "torch.fx.Node | None" = None) -> str:
    """The name of an operation that torch.fx calls `name`: the same for one in place (add_) or from a module.

    Args:
        node: its call, which says how many dimensions a normalisation or a convolution has; without shapes two.
    """
    bare = name.strip("_")
    if bare == "convolution" and node is not None and len(node.args) > 6:
        return f"Conv{'Transpose' if node.args[6] else ''}{len(node.args[3])}d"  # type: ignore[arg-type]
    if bare == "hardtanh" and node is not None and tuple(node.args[1:3]) == (0, 6):
        return "ReLU6"
    if bare in _OF_DIMENSIONS:
        value = node.meta.get("val") if node is not None else None
        value = value[0] if isinstance(value, (tuple, list)) else value
        dimensions = 2 if value is None else max(value.ndim - 2, 1)
        return f"{_OF_DIMENSIONS[bare]}{dimensions}d"
    return _OTHERS.get(bare) or module_names().get(bare.replace("_", "").lower()) or bare or name
