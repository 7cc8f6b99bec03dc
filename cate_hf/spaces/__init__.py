"""What may be built: search spaces by name. Adding one is a module and a line in `registry.py`."""

from cate_hf.spaces.base import Space
from cate_hf.spaces.registry import get_space, space_names

__all__ = ["Space", "get_space", "space_names"]
