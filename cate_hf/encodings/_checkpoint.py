"""CATE (Yan et al., ICML 2021) as one of the encodings."""

import os

import numpy as np

from cate_hf.encodings.base import BaseEncoding
from cate_hf.encodings.cate import load_encoder
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.hub.layout import checkpoint_names
from cate_hf.spaces import Space
from cate_hf.spaces.mixed import SEPARATOR


class CateEncoding(BaseEncoding):
    """The encodings of a checkpoint of CATE, pre-trained on the architectures of a space; `fit` leaves it as it is.

    Lost is what the pre-trained encoder does not tell apart; isomorphic drawings may differ as far as its inputs depend
    on the order of the nodes.

    Args:
        checkpoint: a bundled checkpoint's name, or a folder; the one that is bundled for the space when None.
        device, batch_size: where, and how many architectures at a time, are encoded (see `load_encoder`).

    Raises:
        ValueError: no such checkpoint, or one of another space.
    """

    name = "cate"
    learned = True

    def __init__(
        self,
        space: "str | os.PathLike | Space",
        checkpoint: str | os.PathLike | None = None,
        device: str | None = None,
        batch_size: int = 1024,
    ):
        super().__init__(space)
        if checkpoint is None:
            if self.space.name not in checkpoint_names():
                raise ValueError(
                    f"encoding 'cate': no checkpoint is bundled for {self.space.name}, only for "
                    f"{', '.join(checkpoint_names()) or 'no space'}; give the folder of one"
                )
            checkpoint = self.space.name
        else:
            self.name = os.fspath(checkpoint)
        self.encoder = load_encoder(checkpoint, device=device)
        if self.space.name not in (self.encoder.space, *self.encoder.space.split(SEPARATOR)):
            raise ValueError(f"{checkpoint} is a checkpoint of {self.encoder.space}, not of {self.space.name}")
        self.batch_size, self.dim = batch_size, self.encoder.dim

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        return self.encoder.encode(self.own_table(table), self.batch_size)
