"""More operations for a checkpoint that is trained already."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._names import unknown
from cate_hf.hub.checks import check_checkpoint_folder
from cate_hf.hub.load import load_model, resolve_checkpoint
from cate_hf.hub.save import save_checkpoint
from cate_hf.spaces import get_space

if TYPE_CHECKING:
    import torch

    from cate_hf.spaces import Space

__all__ = ["add_operations"]


def add_operations(
    checkpoint: str | os.PathLike,
    space: "str | os.PathLike | Space",
    directory: str | os.PathLike,
    like: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a copy of a checkpoint that knows more operations, for a space that has them.

    The encodings of architectures without new operations stay as they are. A new operation starts as one that there is
    (`like`), or as the mean of all but the inputs and the output; then fine-tune, or pre-train on the space.

    Args:
        checkpoint: name, folder or repository, as for `load_encoder`.
        space: with all operations that the checkpoint has, and new ones: the YAML file of the checkpoint's own space
            with lines added to its operations, or any other space. It may have more nodes.
        directory: the folder to write: the checkpoint of `space`.
        like: new operation -> the one that it starts as, such as {"conv5x5": "conv3x3"}.
        overwrite: replace the folder when it exists.

    Returns:
        The folder.

    Raises:
        ValueError: the space lacks operations of the checkpoint or has no new ones, or `like` names others.
        FileExistsError: the folder exists and `overwrite` is False.
    """
    import torch

    from cate_hf.modeling import modeling_cate
    from cate_hf.tokenization.tokenization_cate import CateTokenizer

    folder, space = resolve_checkpoint(checkpoint), get_space(space)
    model_class = getattr(modeling_cate, check_checkpoint_folder(folder).model_class)
    model = load_model(folder, model_class)
    old = list(model.config.operations)
    new = list(space.vocabulary)
    if lacking := [name for name in old if name not in new]:
        raise ValueError(f"space {space.name} lacks {lacking[0]!r}, an operation of {checkpoint}")
    if len(new) == len(old):
        raise ValueError(f"space {space.name} has no operation that {checkpoint} does not know")
    specials = model.config.num_special_ids
    if not specials and (old[:2] != new[:2] or model.config.max_nodes != space.max_nodes):
        raise ValueError(
            f"{checkpoint}: of the paper's design; its first two operations and nodes must stay as they are"
        )
    inner = [name for name in old if name not in (*old[: space.num_inputs], old[-1])] or old
    mixing = np.zeros((specials + len(new), specials + len(old)), np.float32)  # of each new id, which old ones it is
    mixing[range(specials), range(specials)] = 1
    for row, name in enumerate(new, specials):
        sources = [name] if name in old else [_like(name, like, old)] if like and name in like else inner
        mixing[row, [specials + old.index(source) for source in sources]] = 1 / len(sources)
    for name in like or ():
        if name not in new or name in old:
            raise unknown("new operation", name, [n for n in new if n not in old])

    config = copy.deepcopy(model.config)
    config.operations, config.vocab_size = new, len(mixing)
    config.space, config.max_nodes = space.name, space.max_nodes
    grown = model_class(config)
    state = {
        name: _grown(name, tensor, torch.from_numpy(mixing), model.config, space.max_nodes)
        for name, tensor in model.state_dict().items()
    }
    grown.load_state_dict(state)
    tokenizer, facts = CateTokenizer.from_config(config), {"space": space.name}
    return save_checkpoint(directory, grown.eval(), tokenizer, facts, overwrite, space_definition=space.definition())


def _like(name: str, like: Mapping[str, str], old: list[str]) -> str:
    if like[name] not in old:
        raise unknown("operation", like[name], old)
    return like[name]


def _grown(name: str, tensor: "torch.Tensor", mixing: "torch.Tensor", config: Any, max_nodes: int) -> "torch.Tensor":
    """A tensor of the model's state with a row for each new id. `mixing` is (new ids, old ids)."""
    mixing = mixing.to(tensor.dtype)
    words = name.split(".")
    if words[-2:] == ["embeddings", "weight"] or words[-3:-1] == ["head", "decoder"]:
        return mixing @ tensor
    if words[-2:] == ["wiring", "of_counts"]:  # rows: operations by depths, pairs of operations, pairs of depths
        ids, depths = config.vocab_size, config.wiring_depths
        of_nodes, of_edges, rest = tensor.split([2 * ids * depths, ids * ids, 2 * depths * depths])
        of_nodes = (mixing @ of_nodes.reshape(ids, -1)).reshape(-1, tensor.shape[1])
        of_edges = of_edges.reshape(ids, ids, -1)
        of_edges = (mixing @ (mixing @ of_edges.flatten(1)).view(-1, *of_edges.shape[1:])).reshape(-1, tensor.shape[1])
        return _cat([of_nodes, of_edges, rest])
    if words[-3:] == ["pooler", "projection", "weight"]:  # its last third is of sums, over the root of max_nodes
        mean, output, total = tensor.chunk(3, dim=1)
        return _cat([mean, output, total * (max_nodes / config.max_nodes) ** 0.5], dim=1)
    return tensor


def _cat(parts: "list[torch.Tensor]", dim: int = 0) -> "torch.Tensor":
    import torch

    return torch.cat(parts, dim=dim)
