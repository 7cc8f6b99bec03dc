"""Names of the search spaces."""

import difflib
import importlib
from functools import lru_cache

from cate_hf.spaces.base import Space

_SPACES = {"nasbench101": "cate_hf.spaces.nasbench101:NasBench101"}


def space_names() -> list[str]:
    return sorted(_SPACES)


@lru_cache
def get_space(name: str) -> Space:
    """The search space of that name.

    Raises:
        ValueError: there is none; the message has the nearest name.
    """
    if name not in _SPACES:
        near = difflib.get_close_matches(str(name), _SPACES, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(space_names())}"
        raise ValueError(f"unknown search space {name!r}; {hint}")
    module, class_name = _SPACES[name].split(":")
    return getattr(importlib.import_module(module), class_name)()
