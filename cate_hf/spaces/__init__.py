"""What may be built: search spaces by name. Adding one is one module in `catalog/`, or one YAML file of a user's."""

from cate_hf.spaces.base import Space
from cate_hf.spaces.registry import get_space, register_space, space_names

__all__ = ["Space", "get_space", "register_space", "space_names"]
