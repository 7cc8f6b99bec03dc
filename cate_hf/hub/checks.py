"""Trust nothing: a checkpoint folder is checked before any of its weights is loaded and without running its code.

docs/trust.md lists what is refused and how.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cate_hf.hub._checks_config import check_config, check_tokenizer, make_config, one_line
from cate_hf.hub._checks_files import CheckpointError, check_entries, pickled_weights, shown
from cate_hf.hub._checks_weights import INDEX, check_shapes, check_values, stored_tensors
from cate_hf.hub._layout import MODEL_CLASSES, SPACE_FILE, WEIGHTS

if TYPE_CHECKING:
    from cate_hf.modeling import CateConfig

__all__ = ["check_checkpoint_folder"]


@dataclass(frozen=True)
class CheckedFolder:
    """What is known of a checkpoint folder that passed.

    Attributes:
        config: its configuration.
        model_class: name of the class whose weights it holds.
        tokenizer: the settings of its tokenizer, empty where there is none.
        parameters: number of stored values (tied weights once), 0 where weights were not looked at.
        foreign: fields that other programs wrote into config.json and tokenizer_config.json, which are not used.
        remarks: one line each on what is in the folder and never read, such as pickles.
    """

    folder: Path
    config: "CateConfig"
    model_class: str
    tokenizer: dict[str, Any]
    parameters: int
    foreign: tuple[str, ...]
    remarks: tuple[str, ...]


def check_checkpoint_folder(folder: str | os.PathLike, weights: bool = True) -> CheckedFolder:
    """Check all that can be told of a checkpoint folder before it is loaded; no code in it is run, nothing unpickled.

    Sizes are bounded before anything is made of them, shapes come from the model's class on the meta device, and so
    memory is taken for no more than what the weights' file holds.

    Args:
        weights: whether to look at the weights too; False where only the tokenizer is wanted.

    Raises:
        CheckpointError: in one line, the file and what is wrong with it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "nothing"
        raise CheckpointError(f"{folder}: expected a checkpoint folder, found {kind}")
    try:
        return _check(folder, weights)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror or one_line(error)})") from None


def _check(folder: Path, weights: bool) -> CheckedFolder:
    remarks = check_entries(folder)
    content, foreign = check_config(folder)
    if not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
        pickles = pickled_weights(folder)
        hint = f" ({shown(pickles[0])[1:-1]} is a pickle, which is never loaded)" if pickles else ""
        raise CheckpointError(f"{folder}: no {WEIGHTS}{hint}")
    config = make_config(folder, content)
    tokenizer, others = check_tokenizer(folder, config)
    _check_space(folder, config)
    name, parameters = _declared_class(folder, content), 0
    if weights:
        tensors = stored_tensors(folder)
        check_shapes(folder, tensors, _on_meta(folder, config, name))
        check_values(tensors)
        parameters = sum(math.prod(tensor.shape) for tensor in tensors.values())
    return CheckedFolder(folder, config, name, tokenizer, parameters, (*foreign, *others), tuple(remarks))


def _declared_class(folder: Path, content: dict) -> str:
    """The model class that config.json names; without one, the encoder's."""
    known = list(MODEL_CLASSES.values())
    declared = content.get("architectures")
    if declared is None:
        return known[0]
    if not isinstance(declared, list) or len(declared) != 1 or declared[0] not in known:
        raise CheckpointError(
            f"{folder / 'config.json'}: architectures is {shown(declared)}, expected one of {', '.join(known)}"
        )
    return declared[0]


def _on_meta(folder: Path, config, name: str):
    """The model without memory for its weights: names and shapes, as its class makes them of the configuration."""
    import torch

    from cate_hf.modeling import modeling_cate

    try:
        with torch.device("meta"):
            model = getattr(modeling_cate, name)(config)
        model.tie_weights()
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RuntimeError, ArithmeticError) as error:
        raise CheckpointError(f"{folder / 'config.json'}: no {name} can be made of it ({one_line(error)})") from None
    return model


def _check_space(folder: Path, config) -> None:
    """A user's own search space, described beside the weights, is the one that the model is for."""
    path = folder / SPACE_FILE
    if not path.exists():
        return
    from cate_hf.spaces.custom.custom_space import CustomSpace

    try:
        space = CustomSpace.from_file(path)
    except ValueError as error:
        raise CheckpointError(one_line(error)) from None
    for name, ours, theirs in (
        ("name", config.space, space.name),
        ("vocabulary", list(config.operations), list(space.vocabulary)),
        ("max_nodes", config.max_nodes, space.max_nodes),
    ):
        if ours != theirs:
            raise CheckpointError(f"{path}: its {name} is {shown(theirs)}, the model's is {shown(ours)}")
