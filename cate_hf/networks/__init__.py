"""The torch networks of architectures, each space's in a module of its own.

This room needs torch and little else; importing it does not import torch, using one of its functions does.
"""

import importlib
from typing import Any

_MODULES = {
    "build_darts": "cate_hf.networks.darts",
    "build_nasbench101": "cate_hf.networks.nasbench101",
    "build_nasbench201": "cate_hf.networks.nasbench201",
}
__all__ = ["build_darts", "build_nasbench101", "build_nasbench201"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
