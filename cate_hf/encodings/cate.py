"""Encodings by a CATE checkpoint."""

import contextlib
import hashlib
import json
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._batches import run_on_cores
from cate_hf.core._names import unknown
from cate_hf.core._precision import has_bfloat16
from cate_hf.core._progress import progress_bar
from cate_hf.encodings._vectors import VectorMethods, finished
from cate_hf.graphs.forms import to_table
from cate_hf.graphs.table import ArchitectureTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cate_hf.spaces import Space

__all__ = ["Encoder", "load_encoder"]

PRECISIONS = ("float32", "bfloat16")
BACKENDS = ("torch", "onnx")
UNIVERSAL = "universal"
_WEIGHTS = 1 << 20  # of a head's attention, in a batch: long architectures come fewer at a time
_MANY = 4096  # architectures from which on kernels pay, which may have to be compiled first


class Encoder(VectorMethods):
    """A model and its tokenizer: architectures in, vectors out. `cate_hf.load_encoder` makes one.

    Attributes:
        model: the `CateModel`, in evaluation mode.
        tokenizer: its `CateTokenizer`.
        space: name of the search space that it was trained on.
        search_space: that `Space`.
        dim: D, the length of an encoding.
        precision: one of `PRECISIONS`, of the products within the model. By "bfloat16" the numbers of the bundled
            encoders, of standard deviation about 1, differ by less than 0.01 in the mean, and processors that multiply
            it natively take half the time (bench/encode_speed.py). On others it is float32, and a warning says so.
    """

    def __init__(
        self,
        model,
        tokenizer,
        device: str | None = None,
        search_space: "Space | None" = None,
        precision: str = "float32",
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"unknown precision {str(precision)!r}; expected {' or '.join(PRECISIONS)}")
        self.model = model.eval().to(device or _device_of(model))
        if precision == "bfloat16" and not has_bfloat16(self.model.device.type):
            warnings.warn(f"{precision} is slower than float32 on this processor: float32 is used", stacklevel=3)
            precision = "float32"
        self._search_space, self.precision = search_space, precision
        self._told = False  # that the search space is not known
        self.tokenizer = tokenizer
        if precision != "float32" and self.model.device.type == "cpu":
            self.model.set_attn_implementation("eager")  # torch's own attention takes twice as long there
        operations, expected = list(tokenizer.operations), list(model.config.operations)
        if operations != expected:
            raise ValueError(f"the tokenizer's operations are {operations}, the model's {expected}")

    @property
    def backend(self) -> str:
        """What computes: "torch" or "onnx"."""
        return "onnx" if self.model.device.type == "onnx" else "torch"

    @property
    def space(self) -> str:
        """Name of the search space."""
        return self.model.config.space

    @property
    def search_space(self) -> "Space":
        """Raises ValueError where no space of that name is known here and the checkpoint does not describe it."""
        from cate_hf.spaces import get_space

        return get_space(self.space) if self._search_space is None else self._search_space

    @property
    def dim(self) -> int:
        """D, the length of an encoding."""
        return self.model.config.encoding_size

    @property
    def parts(self) -> dict[str, slice]:
        """Where the parts of an encoding are: some of "learned", "computation" (predicted statistics of the graph and
        of the network at initialisation, standardised) and "wiring" (which operations and depths edges join).
        """
        return self.model.config.encoding_parts

    def encode(
        self,
        architectures: Any,
        batch_size: int = 1024,
        progress: bool = False,
        on_batch: "Callable[[int], None] | None" = None,
        parts: "Sequence[str] | None" = None,
        normalize: bool = False,
        convert_to_tensor: bool = False,
    ) -> np.ndarray:
        """Encode architectures, in their order, without the nodes that are on no path from an input to the output.

        Args:
            architectures: an `ArchitectureTable` (fastest); an iterable of `Architecture` or of dicts with operations
                and adjacency, or one of these alone, which gives one row; a data frame, a data set, a dict of lists; or
                what the space's `parse` reads (see `cate_hf.graphs.forms.to_table`).
            batch_size: architectures at a time, fewer where they have more than 32 nodes; bounds the memory.
            progress: draw a progress bar.
            on_batch: called with the number of architectures of each batch that is done.
            parts: names of `parts` to give side by side in this order, such as ["wiring"]; all when None.
            normalize: scale each encoding to length 1.
            convert_to_tensor: give a tensor, on the CPU, in place of an array.

        Returns:
            (N, D) float32; of some parts as many columns as they have.

        Raises:
            ValueError: a part that the encoding does not have; an operation of another space, or more nodes than the
                model knows; the row is named.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        for name in parts or ():
            if name not in self.parts:
                raise unknown("part of an encoding", name, self.parts)
        table = self._as_table(architectures)
        encodings = np.empty((len(table), self.dim), dtype=np.float32)
        if len(table):
            batch_size = min(batch_size, max(1, _WEIGHTS // int(table.num_nodes.max()) ** 2))

        def encode_batch(start: int) -> int:
            rows = slice(start, start + batch_size)
            encodings[rows] = self._vectors(table[rows])
            return len(encodings[rows])

        starts = range(0, len(table), batch_size)
        with progress_bar("encoding", len(table), "cells", progress) as advance, self.kernels(len(table)):
            for count in self._each(encode_batch, starts):
                (on_batch or advance)(count)
        if parts is not None:
            encodings = np.concatenate([encodings[:, self.parts[p]] for p in parts], axis=1)
        return finished(encodings, normalize, convert_to_tensor)

    def _vectors(self, table: ArchitectureTable) -> np.ndarray:
        """(n, D) of a batch."""
        if self.backend == "onnx":
            return self.model(**self.tokenizer(table, return_tensors="np"))
        import torch

        batch = self.tokenizer(table, return_tensors="pt").to(self.model.device)
        device_type, reduced = self.model.device.type, self.precision != "float32"
        with torch.inference_mode(), torch.autocast(device_type, torch.bfloat16, enabled=reduced):
            return self.model(**batch).pooler_output.float().cpu().numpy()

    def _each(self, function: "Callable[[int], int]", items: "Sequence[int]") -> "Iterable[int]":
        return run_on_cores(function, items) if self.model.device.type == "cpu" else map(function, items)

    def kernels(self, count: int) -> contextlib.AbstractContextManager:
        """The model's layers compiled, for the time of a block in which `count` architectures are encoded, if those are
        many: for calls of `encode` with parts of a table, which then all compute in one way.
        """
        if self.model.device.type != "cpu" or count < _MANY:
            return contextlib.nullcontext()
        from cate_hf.kernels.layer import compiled_layers

        return compiled_layers(self.model)

    def transform(self, table: ArchitectureTable) -> np.ndarray:
        """(N, D) float32: `encode` under the name that all encodings share."""
        return self.encode(table)

    def save_pretrained(self, directory: str | os.PathLike, overwrite: bool = False) -> "Path":
        """Write the checkpoint's folder: weights, tokenizer, the search space where that is a user's own, a card, and
        the code that loads it without this package. The folder appears whole or not at all.

        Raises:
            FileExistsError: the folder exists and `overwrite` is False, or it holds something else.
        """
        from cate_hf.hub.save import save_checkpoint

        if self.backend == "onnx":
            raise ValueError(f"{self.model.path}: an ONNX file cannot be saved as a checkpoint; load the checkpoint")
        space = None if self._search_space is None else self._search_space.definition()
        facts = {"space": self.space}
        return save_checkpoint(directory, self.model, self.tokenizer, facts, overwrite, space_definition=space)

    def push_to_hub(self, repo_id: str, private: bool = False, revision: str | None = None) -> str:
        """Commit what `save_pretrained` writes to a repository of the Hub, "owner/name", which is made where it does
        not exist; returns its address. `cate publish` also checks a folder and that it loads without this package.

        Raises:
            ValueError: the Hub refuses, or cannot be reached.
        """
        import tempfile

        from cate_hf.hub._layout import PUBLISHED_FILES
        from cate_hf.hub.upload import upload_folder

        with tempfile.TemporaryDirectory(prefix="cate-push-") as temporary:
            folder = self.save_pretrained(os.path.join(temporary, "repository"))
            return upload_folder(folder, repo_id, PUBLISHED_FILES, private=private, revision=revision)[0]

    def export_onnx(self, path: str | os.PathLike, overwrite: bool = False) -> "Path":
        """Write the encoder as one ONNX file: see `cate_hf.encodings.onnx.export_onnx`."""
        from cate_hf.encodings.onnx import export_onnx

        return export_onnx(self, path, overwrite)

    def fingerprint(self) -> str:
        """Return a digest of the weights, the configuration and the vocabulary."""
        if self.backend == "onnx":
            return self.model.fingerprint()
        known = {key: value for key, value in self.model.config.to_dict().items() if key != "transformers_version"}
        digest = hashlib.sha256(json.dumps([known, self.tokenizer.get_vocab()], sort_keys=True, default=str).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _as_table(self, architectures: Any) -> ArchitectureTable:
        """Architectures as a table over the model's operations. Raises ValueError as `encode`."""
        if isinstance(architectures, ArchitectureTable):
            architectures = architectures.replace_columns({})
        table = to_table(architectures, self.tokenizer.operations, "architectures", self._parse)
        table = self._canonical(table)
        most = self.model.config.max_nodes
        if int(table.num_nodes.max(initial=0)) > most:
            row = int(np.argmax(table.num_nodes > most))
            raise ValueError(
                f"row {row}: {table.num_nodes[row]} nodes; architectures of {self.space} have at most {most}"
            )
        return table

    def _parse(self, texts: "Iterable[Any]", source: str) -> ArchitectureTable:
        return self.search_space.parse_many(texts, source).recode(self.tokenizer.operations)

    def _canonical(self, table: ArchitectureTable) -> ArchitectureTable:
        """The architectures without nodes that are on no path: one architecture has one encoding."""
        try:
            space = self.search_space
        except ValueError:
            message = f"the search space {self.space} is not known here: graphs are encoded as drawn, dead nodes too"
            if not self._told:
                warnings.warn(message, stacklevel=4)
            self._told = True
            return table
        return space.canonical(table)

    def __repr__(self) -> str:
        return f"<encoder of {self.space}: {self.dim} numbers an architecture, on {self.model.device}>"


def load_encoder(
    name_or_path: str | os.PathLike,
    device: str | None = None,
    revision: str | None = None,
    precision: str = "float32",
    backend: str = "torch",
) -> Encoder:
    """Load an encoder of architectures. Of a bundled checkpoint or a folder no network is touched.

    Args:
        name_or_path: a bundled checkpoint's name, such as "nasbench101", a folder (from pre-training too), or a
            repository of the Hub, owner/name: downloaded once and kept in the cache of huggingface_hub, which also
            serves without network. No code of a folder or a repository is run. "universal" is the encoder of any
            architecture, which is computed, not trained (`cate_hf.encodings.universal`).
        device: where to encode; a GPU where there is one by default.
        revision: branch or commit of the repository.
        precision: "float32", or "bfloat16": faster, and less exact (see `Encoder`).
        backend: "torch", or "onnx": by onnxruntime on the CPU (extra `onnx`). A checkpoint is exported once, and its
            file kept in the cache folder; `name_or_path` may also be a file that `Encoder.export_onnx` wrote.

    Returns:
        An `Encoder`; a `UniversalEncoder`, with the same `encode`, for "universal".

    Raises:
        ValueError: no such checkpoint, it cannot be downloaded, or it is not a complete checkpoint of CATE.
    """
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    import torch

    from cate_hf.hub._layout import SPACE_FILE
    from cate_hf.hub.load import load_model, load_tokenizer, resolve_checkpoint
    from cate_hf.spaces.custom.custom_space import CustomSpace

    if name_or_path == UNIVERSAL and revision is None:
        from cate_hf.encodings.universal import UniversalEncoder

        universal: Any = UniversalEncoder()  # encodes as an `Encoder` does, without a model
        return universal
    if backend == "onnx":
        return _load_onnx(name_or_path, device, revision, precision)
    folder = resolve_checkpoint(name_or_path, revision)
    model = load_model(folder, dtype=torch.float32)
    described = folder / SPACE_FILE
    search_space = CustomSpace.from_file(described) if described.is_file() else None
    return Encoder(model, load_tokenizer(folder), device=device, search_space=search_space, precision=precision)


def _device_of(model: Any) -> str:
    """Where a model goes by default."""
    if model.device.type == "onnx":
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _load_onnx(name_or_path: str | os.PathLike, device: str | None, revision: str | None, precision: str) -> Encoder:
    from cate_hf.encodings.onnx import SUFFIX, OnnxModel, exported
    from cate_hf.spaces.custom.custom_space import CustomSpace
    from cate_hf.tokenization.tokenization_cate import CateTokenizer

    if precision != "float32":
        raise ValueError(f"backend 'onnx' computes in float32, not in {precision}")
    path = name_or_path
    if os.path.splitext(path)[1] != SUFFIX:
        path = exported(load_encoder(name_or_path, device="cpu", revision=revision))
    model = OnnxModel(path)
    space = None if model.space is None else CustomSpace.from_definition(model.space)
    return Encoder(model, CateTokenizer.from_config(model.config), device=device, search_space=space)
