"""Architectures as vectors, by name: `get_encoding(name, space).transform(table) -> (N, D) float32`."""

from cate_hf.encodings.base import BaseEncoding, Encoding
from cate_hf.encodings.registry import encoding_names, get_encoding, register_encoding

__all__ = ["BaseEncoding", "Encoding", "encoding_names", "get_encoding", "register_encoding"]
