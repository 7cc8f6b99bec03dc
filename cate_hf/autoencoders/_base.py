"""What encodings by a graph autoencoder share: where their model comes from, and encoding by batches."""

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from cate_hf.autoencoders._files import bundled_model, load_model, read_facts, table_digest
from cate_hf.autoencoders._graphs import GraphBatch, GraphShape
from cate_hf.core._batches import run_on_cores
from cate_hf.core._interruption import Interrupted
from cate_hf.core._progress import progress_bar
from cate_hf.encodings.base import BaseEncoding
from cate_hf.encodings.folders import CONFIG
from cate_hf.graphs._cache import cache_folder
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space

_MANY = 50_000  # architectures whose encoding takes seconds


class VaeEncoding(BaseEncoding):
    """An encoding that an autoencoder learns from architectures alone.

    A model is found in this order: the folder that is given; what comes with the package for the space; what `fit` has
    left in the cache folder. `fit` trains one where there is none, in minutes, and where the one at hand was trained on
    other architectures than it is given; a folder that is given stays as it is.

    Args:
        model: a folder of `cate pretrain-encoding`.
        device: where to encode and train; a GPU where there is one by default.
        batch_size: architectures encoded at a time.
        **settings: of the training: seed, preset, epochs, max_steps, batch_size, train_size (see
            `cate_hf.autoencoders.settings.EncodingSettings`).

    Raises:
        ValueError: no such folder, or one of another encoding or space; an unknown setting.
    """

    learned = True
    model_class: ClassVar[Any]
    published: ClassVar[tuple[dict[str, Any], ...]] = ()

    def __init__(
        self,
        space: "str | os.PathLike | Space",
        model: str | os.PathLike | None = None,
        device: str | None = None,
        batch_size: int = 2048,
        **settings: Any,
    ):
        from cate_hf.autoencoders.settings import EncodingSettings

        super().__init__(space)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self.kind = self.name
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size = batch_size
        self.settings = EncodingSettings.of(self.kind, self.space, **settings)
        self.shape = GraphShape.of(self.space)
        self.dim = self.settings.model_config().latent_size  # of the model that `fit` would make
        self.model: torch.nn.Module | None = None
        self.facts: dict[str, Any] = {}
        self.trained_on = ""
        self._stays = model is not None
        if model is not None:
            self.name = os.fspath(model)
            if not Path(model).is_dir():
                raise ValueError(f"{model}: no such folder")
        elif not settings:
            model = bundled_model(self.kind, self.space)
        if model is not None:
            self._load(Path(model))

    def _load(self, folder: Path) -> None:
        model, self.trained_on = load_model(folder, self.kind, self.space, self.model_class)
        self.model, self.facts, self.dim = model.to(self.device), read_facts(folder), model.dim

    def _cached(self, digest: str) -> Path:
        """The folder of a model that is trained on a table of this digest with the settings at hand."""
        return cache_folder() / "encodings" / f"{self.kind}-{self.space.name}-{digest}-{self.settings.digest()}"

    def fit(self, table: ArchitectureTable, progress: bool = False) -> "VaeEncoding":
        """Train on architectures, or load what an earlier `fit` on the same ones with the same settings has left in the
        cache folder. Interrupted, it leaves a state there from which the next `fit` goes on.

        Raises:
            ValueError: an architecture of another space, or none at all.
        """
        table = self.own_table(table)
        digest = table_digest(table)
        if self.model is not None and (self._stays or self.trained_on == digest):
            return self
        folder = self._cached(digest)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            writable = os.access(folder.parent, os.W_OK)
        except OSError:
            writable = False
        if not writable:  # then it is trained each time
            with tempfile.TemporaryDirectory() as temporary:
                return self._train(table, Path(temporary), progress)
        from filelock import FileLock

        with FileLock(f"{folder}.lock"):  # another process may be at it: its model is then taken
            if (folder / CONFIG).is_file():
                try:
                    self._load(folder)
                    return self
                except ValueError:
                    pass  # damaged, and made anew below
            return self._train(table, folder, progress)

    def _train(self, table: ArchitectureTable, folder: Path, progress: bool) -> "VaeEncoding":
        from cate_hf.autoencoders.training import EncodingTraining, clear_states

        run = EncodingTraining(self.settings, self.space, table, folder, self.device)
        try:
            run.resume()
        except ValueError:  # no state, or none that can be read
            clear_states(folder)
            run = EncodingTraining(self.settings, self.space, table, folder, self.device)
        try:
            run.run(progress=progress)
        except Interrupted as stopped:
            raise KeyboardInterrupt(f"training {self.kind!r} {stopped}") from None
        run.save()
        clear_states(folder)
        self._load(folder)
        return self

    def _ready(self) -> torch.nn.Module:
        if self.model is None:
            folder = self._cached(table_digest(self.own_table(self.space.pool(progress=True))))
            if not (folder / CONFIG).is_file():
                raise ValueError(
                    f"encoding {self.kind!r} has no model for {self.space.name} yet: train one by fit(space.pool()), "
                    f"or give the folder of `cate pretrain-encoding`"
                )
            self._load(folder)
        return self.model

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        """(N, D) float32: the means of the approximate posteriors.

        Raises:
            ValueError: an architecture of another space (the row is named), or there is no model yet.
        """
        table, model = self.own_table(table), self._ready()
        vectors = np.empty((len(table), self.dim), dtype=np.float32)

        def encode_batch(start: int) -> int:
            rows = slice(start, start + self.batch_size)
            with torch.inference_mode():
                batch = GraphBatch.from_table(table[rows], self.shape, self.device)
                vectors[rows] = model.encode(batch).float().cpu().numpy()
            return len(batch)

        starts = range(0, len(table), self.batch_size)
        with progress_bar(f"encoding by {self.kind}", len(table), "architectures", len(table) > _MANY) as advance:
            on_cpu = torch.device(self.device).type == "cpu"
            for count in run_on_cores(encode_batch, starts) if on_cpu else map(encode_batch, starts):
                advance(count)
        return vectors
