"""Ask/tell searches over a table of candidates, by name. The names alone need no heavy import."""

import importlib
from typing import TYPE_CHECKING, Any

from cate_hf.search._registry import algorithm_names, get_algorithm, parse_algorithm

if TYPE_CHECKING:
    from cate_hf.search.base import Optimizer
    from cate_hf.search.journal import Journal
    from cate_hf.search.storage import load_search, save_search

__all__ = ["Journal", "Optimizer", "algorithm_names", "get_algorithm", "load_search", "parse_algorithm", "save_search"]
_LAZY = {"Journal": "journal", "Optimizer": "base", "load_search": "storage", "save_search": "storage"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'cate_hf.search' has no attribute {name!r}")
    return getattr(importlib.import_module(f"cate_hf.search.{_LAZY[name]}"), name)
