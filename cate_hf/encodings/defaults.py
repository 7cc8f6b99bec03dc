"""Which encoder there is where none is named."""

import os
import warnings

from cate_hf.encodings.cate import UNIVERSAL
from cate_hf.hub._layout import checkpoint_names

__all__ = ["default_encoder"]


def default_encoder(space: str | os.PathLike | None, stacklevel: int = 2) -> str:
    """Name the encoder of a search space where none is named: the checkpoint that is bundled for it, or "universal",
    which is of any space; then a warning says so in one line.

    Args:
        space: name of the search space, None where it is not known.
        stacklevel: of the warning, as seen from the caller.
    """
    if space is not None and space in checkpoint_names():
        return str(space)
    where = "no model and no space is named" if space is None else f"no checkpoint is bundled for {space}"
    warnings.warn(f"{where}: encoded by {UNIVERSAL!r}, computed without training", stacklevel=stacklevel + 1)
    return UNIVERSAL
