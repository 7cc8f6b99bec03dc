"""Data sets of architectures and of computation-aware pairs."""

from cate_hf.data._loading import load_architectures, load_pairs
from cate_hf.data.pairs import make_pairs, write_pairs

__all__ = ["load_architectures", "load_pairs", "make_pairs", "write_pairs"]
