"""One architecture, tables of them, their files and pictures.

Each name is imported when it is first used: networkx, pyarrow and torch are needed only by the functions that use them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.drawing import draw
from cate_hf.graphs.table import ArchitectureTable

if TYPE_CHECKING:
    from cate_hf.graphs.formats._dot import from_dot, to_dot
    from cate_hf.graphs.formats._fx import from_fx
    from cate_hf.graphs.formats._networkx import from_networkx
    from cate_hf.graphs.formats._onnx_model import from_onnx
    from cate_hf.graphs.formats.read import read_architecture
    from cate_hf.graphs.io import from_dataset, read_architectures, read_parquet, to_dataset, write_parquet

_MODULES = {
    "from_dataset": "io",
    "from_dot": "formats._dot",
    "from_fx": "formats._fx",
    "from_networkx": "formats._networkx",
    "from_onnx": "formats._onnx_model",
    "read_architecture": "formats.read",
    "read_architectures": "io",
    "read_parquet": "io",
    "to_dataset": "io",
    "to_dot": "formats._dot",
    "write_parquet": "io",
}

__all__ = [
    "Architecture",
    "ArchitectureTable",
    "draw",
    "from_dataset",
    "from_dot",
    "from_fx",
    "from_networkx",
    "from_onnx",
    "read_architecture",
    "read_architectures",
    "read_parquet",
    "to_dataset",
    "to_dot",
    "write_parquet",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'cate_hf.graphs' has no attribute {name!r}")
    return getattr(importlib.import_module(f"cate_hf.graphs.{_MODULES[name]}"), name)
