"""Pickle files of published results, read by an unpickler that knows plain values alone."""

import pickle
from pathlib import Path
from typing import Any

__all__ = ["load_pickle", "reason"]


def load_pickle(path: Path, unpickler: type[pickle.Unpickler], what: str) -> Any:
    """Return what a file holds.

    Args:
        path: the file.
        unpickler: it refuses what could run code.
        what: whose results are expected, for messages.

    Raises:
        ValueError: naming the file, in one line.
    """
    try:
        with open(path, "rb") as file:
            return unpickler(file).load()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise ValueError(f"{path}: not {what}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """What an error says, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
