"""Search spaces that a YAML file describes."""

from cate_hf.spaces.custom._fields import MAX_NODES
from cate_hf.spaces.custom.custom_space import CustomSpace

__all__ = ["MAX_NODES", "CustomSpace"]
