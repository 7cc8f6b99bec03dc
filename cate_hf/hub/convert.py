"""Checkpoints of the paper's reference code, read without trusting them and written in our format.

The file is a `torch.save` of {epoch, batch, config: argparse.Namespace, state_dict, best_vloss}.
"""

import argparse
import os
import re
import warnings
from pathlib import Path
from typing import Any

from cate_hf.core._files import check_fetched, check_output
from cate_hf.core._names import printable
from cate_hf.spaces import get_space

__all__ = ["convert_reference"]

DEFAULT_HEADS = 8
_ENCODER, _CROSS = "graph_encoder.encoder_f", "cross_attention"
# Ours ← the reference's, in every layer; query, key and value are one matrix with us.
_LAYER_NAMES = {
    "attention_norm": "self_attn.norm",
    "attention.output": "self_attn.attn.linears.3",
    "feed_forward_norm": "feed_forward.norm",
    "intermediate": "feed_forward.feed_forward.w_1",
    "output": "feed_forward.feed_forward.w_2",
}
_QUERY_KEY_VALUE = [f"self_attn.attn.linears.{i}" for i in range(3)]


def convert_reference(file: str | os.PathLike, output_dir: str | os.PathLike, overwrite: bool = False) -> dict:
    """Write a reference checkpoint as a paper-preset checkpoint of ours: model, tokenizer, remote code and card.

    Args:
        file: the reference's checkpoint (.pth.tar), of NAS-Bench-101 (5 operations) or DARTS (11 operations).
        output_dir: folder to write.

    Returns:
        {"space", "epoch", "vocab_size", "layers", "cross_layers"} of what was converted.

    Raises:
        ValueError: not such a file, or its weights are missing, of the wrong shape, unknown or not finite.
    """
    from cate_hf.hub._layout import OWN_FILES
    from cate_hf.hub.save import save_checkpoint
    from cate_hf.modeling import CateForPreTraining
    from cate_hf.tokenization import CateTokenizer

    check_output(output_dir, overwrite, OWN_FILES)
    checkpoint = read_reference(file)
    weights = {re.sub(r"^module\.", "", k): v for k, v in checkpoint["state_dict"].items()}
    config = reference_config(file, weights, checkpoint.get("config"))
    model = CateForPreTraining(config)
    mapped = map_weights(file, weights, config)
    expected = model.state_dict()
    for name, tensor in mapped.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(f"{file}: {name} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)}")
        if not tensor.isfinite().all():
            raise ValueError(f"{file}: {name} holds values that are not finite")
    model.load_state_dict(mapped)
    facts = {
        "space": config.space,
        "epoch": _plain_number(checkpoint.get("epoch")),
        "vocab_size": config.vocab_size,
        "layers": config.num_hidden_layers,
        "cross_layers": config.num_cross_layers,
    }
    card = {
        "space": config.space,
        "preset": "paper",
        "example": get_space(config.space).example().to_json(),
        "command": f"cate convert {Path(file).name} {Path(output_dir).name}",
        "converted_from": Path(file).name,
        "epochs": facts["epoch"],
    }
    save_checkpoint(output_dir, model, CateTokenizer.from_config(config), card, overwrite=overwrite)
    return facts


def read_reference(file: str | os.PathLike) -> dict:
    """Load the file weights-only: tensors, plain containers, numbers and `argparse.Namespace`; nothing else."""
    import torch

    if not Path(file).is_file():
        raise ValueError(f"{file}: no such file")
    check_fetched(file)
    try:
        with torch.serialization.safe_globals(_allowed_globals()), warnings.catch_warnings(action="ignore"):
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise nearly anything
        reason = re.search(r"GLOBAL (\S+)", str(error))
        if reason:
            held = printable(reason[1])[:80]
            raise ValueError(f"{file}: refused: it holds a {held}, and only weights are read") from error
        raise ValueError(f"{file}: not a checkpoint of the reference code (torch.save of weights)") from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise ValueError(f"{file}: not a checkpoint of the reference code: no state_dict in it")
    for name, tensor in checkpoint["state_dict"].items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{file}: state_dict entry {name!r:.80} is not a tensor")
    return checkpoint


def reference_config(file: str | os.PathLike, weights: dict, reference: Any):
    """Our configuration for these weights: sizes from their shapes, the number of heads from the stored config."""
    from cate_hf.modeling import CateConfig

    try:
        vocab_size, hidden_size = weights["opEmb.w2e.weight"].shape
        layers, cross_layers = _count_layers(weights, _ENCODER), _count_layers(weights, _CROSS)
        sizes = {
            "hidden_size": hidden_size,
            "num_hidden_layers": layers,
            "num_cross_layers": cross_layers,
            "intermediate_size": weights[f"{_ENCODER}.layers.0.feed_forward.feed_forward.w_1.weight"].shape[0],
            "cross_intermediate_size": weights[f"{_CROSS}.layers.0.feed_forward.feed_forward.w_1.weight"].shape[0],
            "segment_vocab_size": weights["segEmb.t2e.weight"].shape[0],
        }
    except (KeyError, ValueError) as error:
        raise ValueError(f"{file}: not a checkpoint of the reference code: {error} is missing or misshapen") from error
    spaces = {len(s.vocabulary): s for s in (get_space("nasbench101"), get_space("darts"))}
    if vocab_size not in spaces:
        known = " or ".join(f"{size} ({space.name})" for size, space in spaces.items())
        raise ValueError(f"{file}: {vocab_size} operations; a checkpoint of the reference code has {known}")
    heads = _find(reference, "n_head") or DEFAULT_HEADS
    return CateConfig.paper(spaces[vocab_size], num_attention_heads=int(heads), **sizes)


def map_weights(file: str | os.PathLike, weights: dict, config) -> dict:
    """The reference's state dict under our names.

    Raises:
        ValueError: a weight is missing, or there are some that the model has no place for.
    """
    import torch

    mapped, used = {}, set()

    def take(name: str):
        if name not in weights:
            raise ValueError(f"{file}: {name} is missing")
        used.add(name)
        return weights[name].float()

    def take_module(ours: str, theirs: str) -> None:
        for kind in ("weight", "bias"):
            mapped[f"{ours}.{kind}"] = take(f"{theirs}.{kind}")

    stacks = (
        ("cate.layers", "cate.norm", _ENCODER, config.num_hidden_layers),
        ("cross_layers", "cross_norm", _CROSS, config.num_cross_layers),
    )
    for ours, norm, theirs, layers in stacks:
        for layer in range(layers):
            for our_name, their_name in _LAYER_NAMES.items():
                take_module(f"{ours}.{layer}.{our_name}", f"{theirs}.layers.{layer}.{their_name}")
            for kind in ("weight", "bias"):
                parts = [take(f"{theirs}.layers.{layer}.{name}.{kind}") for name in _QUERY_KEY_VALUE]
                mapped[f"{ours}.{layer}.attention.query_key_value.{kind}"] = torch.cat(parts)
        take_module(norm, f"{theirs}.norms.{layers - 1}")
        used |= {k for k in weights if k.startswith(f"{theirs}.norms.")}  # only the last is used
    mapped["cate.embeddings.weight"] = take("opEmb.w2e.weight")
    mapped["segment_embeddings.weight"] = take("segEmb.t2e.weight")
    take_module("head.dense", "cls.layer_1")
    take_module("head.decoder", "cls.layer_2")
    left = sorted(set(weights) - used)
    if left:
        raise ValueError(f"{file}: {len(left)} weights have no place in the model, the first is {left[0]}")
    return mapped


def _count_layers(weights: dict, stack: str) -> int:
    found = {int(m[1]) for k in weights if (m := re.match(rf"{re.escape(stack)}\.layers\.(\d+)\.", k))}
    return len(found)


def _find(config: Any, name: str) -> Any:
    """The first value of a field in nested namespaces and dicts."""
    values = vars(config) if isinstance(config, argparse.Namespace) else config
    if not isinstance(values, dict):
        return None
    if isinstance(values.get(name), int):
        return values[name]
    return next((found for v in values.values() if (found := _find(v, name)) is not None), None)


def _plain_number(value: Any) -> float | int | None:
    return value if isinstance(value, int | float) else None


def _allowed_globals() -> list:
    import _codecs

    import numpy as np

    scalar = np.array(0.0).dtype.type(0).__reduce__()[0]  # where NumPy keeps it differs between versions
    dtypes = [np.dtypes.Float32DType, np.dtypes.Float64DType, np.dtypes.Int32DType, np.dtypes.Int64DType]
    return [
        argparse.Namespace,
        np.dtype,
        *dtypes,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        (_codecs.encode, "_codecs.encode"),
    ]
