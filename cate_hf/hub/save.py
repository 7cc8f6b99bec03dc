"""Checkpoint folders, saved or copied with all that the Hub and the Auto classes look for in them."""

import os
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from cate_hf.core._files import atomic_output
from cate_hf.hub._layout import (
    CARD,
    CARD_FACTS,
    OWN_FILES,
    PUBLISHED_FILES,
    SPACE_FILE,
    add_remote_code,
    remove_remote_code,
)
from cate_hf.hub.cards import ModelCardFacts, facts_text, render_model_card
from cate_hf.hub.checks import check_checkpoint_folder
from cate_hf.hub.load import quiet_transformers

__all__ = ["copy_files", "export_checkpoint", "save_checkpoint"]


def save_checkpoint(
    directory: str | os.PathLike,
    model,
    tokenizer,
    card_facts: ModelCardFacts | Mapping,
    overwrite: bool = False,
    space_definition: str | None = None,
    remote_code: bool = True,
) -> Path:
    """Save a model with all that goes with it; the folder appears whole or not at all.

    Args:
        directory: the folder to make.
        model: any of the three model classes, in the precision that should be saved.
        tokenizer: its `CateTokenizer`.
        card_facts: a `cate_hf.hub.cards.ModelCardFacts`, or a mapping with its fields.
        overwrite: replace the folder when it exists.
        space_definition: the YAML text of a user's own search space (`Space.definition`), stored with the model.
        remote_code: whether to add the code that loads the folder without this package.

    Returns:
        The folder.

    Raises:
        FileExistsError: the folder exists and `overwrite` is False.
        ValueError: an unknown fact.
    """
    from safetensors import SafetensorError

    parameters = sum(p.numel() for p in model.parameters())
    card = render_model_card(card_facts, model.config, parameters)
    with atomic_output(directory, overwrite, OWN_FILES) as temporary:
        folder = Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with quiet_transformers():
                model.save_pretrained(folder)
        except SafetensorError as error:
            raise OSError(f"{directory}: the weights cannot be written ({error})") from None
        tokenizer.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):
            weights.chmod((folder / "config.json").stat().st_mode)  # written readable by the owner alone
        # save_pretrained stores the code too, and names only the class that was saved; every Auto class has its own.
        (add_remote_code if remote_code else remove_remote_code)(folder)
        (folder / CARD).write_text(card, encoding="utf-8")
        (folder / CARD_FACTS).write_text(facts_text(card_facts, parameters, card), encoding="utf-8")
        if space_definition is not None:
            (folder / SPACE_FILE).write_text(space_definition, encoding="utf-8")
    return Path(directory)


def copy_files(folder: Path, target: Path, own_files: Sequence[str] = PUBLISHED_FILES) -> list[str]:
    """Copy the files of these patterns, code aside, into a new folder; returns the sorted names of all others."""
    target.mkdir(parents=True)
    left_out = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix != ".py" and any(fnmatch(path.name, own) for own in own_files):
            shutil.copyfile(path, target / path.name)
        else:
            left_out.append(path.name)
    return left_out


def export_checkpoint(folder: str | os.PathLike, output: str | os.PathLike, overwrite: bool = False) -> Path:
    """Copy a checkpoint with the code that loads it without this package; code in its folder is neither run nor copied.

    Args:
        folder: of a checkpoint, or of a predictor.
        output: the folder to make; it appears whole or not at all.

    Raises:
        ValueError: the folder is not a checkpoint of CATE.
        FileExistsError: the output exists and `overwrite` is False, or it holds something else.
    """
    check_checkpoint_folder(folder)
    with atomic_output(output, overwrite, PUBLISHED_FILES) as temporary:
        copy_files(Path(folder), temporary)
        add_remote_code(temporary)
    return Path(output)
