"""Data sets of computation-aware pairs."""

from cate_hf.data.pairs import load_pairs, make_pairs, write_pairs

__all__ = ["load_pairs", "make_pairs", "write_pairs"]
