"""Search spaces by name. A new one is a folder with a module `space` here, or a YAML file of the user."""

from cate_hf.spaces.base import Space
from cate_hf.spaces.registry import get_space, register_space, space_names

__all__ = ["Space", "get_space", "register_space", "space_names"]
