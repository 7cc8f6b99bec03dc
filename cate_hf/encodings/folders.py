"""Which folders are saved encodings. Without torch: a name is looked up long before a model is made."""

import json
import os
from pathlib import Path

__all__ = ["CONFIG", "FORMAT"]

FORMAT = "cate_hf encoding"
CONFIG = "config.json"
_KINDS = ("arch2vec", "d-vae")


def saved_encoding(path: str | os.PathLike) -> str | None:
    """The kind of encoding whose folder a path is, None where it is no such folder.

    Raises:
        ValueError: such a folder, of a kind that is not known.
    """
    try:
        config = json.loads((Path(path) / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        return None
    if config.get("encoding") not in _KINDS:
        kind = config.get("encoding")
        raise ValueError(f"{path}: an encoding of the unknown kind {kind!r:.80}; known: {', '.join(_KINDS)}")
    return config["encoding"]
