"""Ask/tell searches over a table of candidates, by name. Adding one is a module and a line here."""

import importlib

from cate_hf.names import unknown
from cate_hf.search.base import Optimizer

_ALGORITHMS = {
    "regularized-evolution": "cate_hf.search.regularized_evolution:RegularizedEvolution",
    "random": "cate_hf.search.random_search:RandomSearch",
    "cate-dngo-ls": "cate_hf.search.cate_dngo_ls:CateDngoLs",
}


def algorithm_names() -> list[str]:
    return sorted(_ALGORITHMS)


def get_algorithm(name: str) -> type[Optimizer]:
    """The class of a search algorithm.

    Raises:
        ValueError: none of that name; the message has the nearest.
    """
    if name not in _ALGORITHMS:
        raise unknown("search algorithm", name, _ALGORITHMS)
    module, class_name = _ALGORITHMS[name].split(":")
    return getattr(importlib.import_module(module), class_name)


__all__ = ["Optimizer", "algorithm_names", "get_algorithm"]
