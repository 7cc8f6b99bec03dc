"""The architecture tokenizer. Its file also travels with every checkpoint as remote code."""

from .tokenization_cate import CateTokenizer

__all__ = ["CateTokenizer"]
