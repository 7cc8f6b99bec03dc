"""CATE (Yan et al., ICML 2021) as one of the encodings."""

import os
from typing import Any

import numpy as np

from cate_hf.encodings.base import BaseEncoding
from cate_hf.encodings.cate import UNIVERSAL, load_encoder
from cate_hf.encodings.defaults import default_encoder
from cate_hf.encodings.universal import UniversalEncoding
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space, get_space
from cate_hf.spaces.mixed import SEPARATOR


class CateEncoding(BaseEncoding):
    """The encodings of a checkpoint of CATE, pre-trained on the architectures of a space; `fit` leaves it as it is.

    Lost is what the pre-trained encoder does not tell apart; isomorphic drawings may differ as far as its inputs depend
    on the order of the nodes.

    Args:
        checkpoint: a bundled checkpoint's name, or a folder.
        device, batch_size: where, and how many architectures at a time, are encoded (see `load_encoder`).

    Raises:
        ValueError: no such checkpoint, or one of another space.
    """

    name = "cate"
    learned = True

    def __init__(
        self,
        space: "str | os.PathLike | Space",
        checkpoint: str | os.PathLike,
        device: str | None = None,
        batch_size: int = 1024,
    ):
        super().__init__(space)
        self.name = os.fspath(checkpoint)
        self.encoder = load_encoder(checkpoint, device=device)
        if self.space.name not in (self.encoder.space, *self.encoder.space.split(SEPARATOR)):
            raise ValueError(f"{checkpoint} is a checkpoint of {self.encoder.space}, not of {self.space.name}")
        self.batch_size, self.dim = batch_size, self.encoder.dim

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        return self.encoder.encode(self.own_table(table), self.batch_size)


def default_encoding(
    space: "str | os.PathLike | Space", checkpoint: str | os.PathLike | None = None, **settings: Any
) -> BaseEncoding:
    """The encoding "cate" of a space: its bundled checkpoint, or the universal encoder; a warning says which.

    Args:
        checkpoint, **settings: of `CateEncoding`.
    """
    space = get_space(space)
    chosen = default_encoder(space.name, stacklevel=3) if checkpoint is None else checkpoint
    if chosen == UNIVERSAL:
        return UniversalEncoding(space)
    encoding = CateEncoding(space, chosen, **settings)
    encoding.name = CateEncoding.name if checkpoint is None else encoding.name
    return encoding
