"""Encoders as one ONNX file, which onnxruntime computes: for services without torch's model, and other languages.

The file's inputs are what `CateTokenizer` gives, of any number of architectures and of nodes; its output is `encoding`
(B, E). Its metadata hold the configuration, and the search space where that is a user's own. Needs the extra `onnx`.
"""

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._files import atomic_output, check_fetched, check_output
from cate_hf.core._names import printable
from cate_hf.core._parallel import num_threads
from cate_hf.graphs._cache import cache_folder

if TYPE_CHECKING:
    from cate_hf.encodings.cate import Encoder

__all__ = []

SUFFIX = ".onnx"
_KEY = "cate_hf"  # of the metadata
_INPUTS = ("input_ids", "attention_mask", "adjacency")
_MOST_ROWS = 1 << 20


def export_onnx(encoder: "Encoder", path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Write an encoder as an ONNX file.

    Args:
        encoder: of torch.
        path: of the file, such as "encoder.onnx".
        overwrite: replace the file when it exists.

    Returns:
        The path.

    Raises:
        ValueError: the path does not end in .onnx, the encoder is one of ONNX, or a package of the extra `onnx` is
            missing.
        FileExistsError: the file exists and `overwrite` is False.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ValueError(f"{path}: expected the name of a file that ends in {SUFFIX}")
    if isinstance(encoder.model, OnnxModel):
        raise ValueError(f"{encoder.model.path}: is such a file; copy it")
    check_output(path, overwrite)
    _package("onnxscript")
    import torch

    class Encoding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = encoder.model
            self.eval()

        def forward(self, input_ids: Any, attention_mask: Any, adjacency: Any) -> Any:
            return self.model(input_ids, attention_mask, adjacency).pooler_output

    most = encoder.model.config.max_nodes
    rows = torch.export.Dim("rows", min=1, max=_MOST_ROWS)
    nodes = torch.export.Dim("nodes", min=2, max=max(most, 3))
    ids = torch.full((2, min(most, 5)), encoder.model.config.num_special_ids, device=encoder.model.device)
    graphs = torch.ones(2, *2 * ids.shape[1:], dtype=torch.uint8, device=ids.device).triu(1)
    of_nodes = {0: rows, 1: nodes}
    with warnings.catch_warnings(action="ignore"):
        program = torch.onnx.export(
            Encoding(),
            (ids, torch.ones_like(ids), graphs),
            input_names=list(_INPUTS),
            output_names=["encoding"],
            dynamic_shapes=(of_nodes, of_nodes, {**of_nodes, 2: nodes}),
            dynamo=True,
            verbose=False,
        )
    config = {k: v for k, v in encoder.model.config.to_dict().items() if not k.startswith("_")}
    space = encoder._search_space
    about = {"config": config, "space": None if space is None else space.definition()}
    program.model.metadata_props[_KEY] = json.dumps(about)
    with atomic_output(path, overwrite) as temporary:
        program.save(str(temporary), external_data=False)
    return path


class OnnxModel:
    """An ONNX file in the place of a `CateModel`, computed by onnxruntime on the CPU.

    Args:
        path: a file that `Encoder.export_onnx` wrote.

    Attributes:
        config: the `CateConfig`.
        space: YAML text of the search space where that is a user's own, else None.

    Raises:
        ValueError: no such file, not such a file, or onnxruntime is not installed.
    """

    def __init__(self, path: str | os.PathLike):
        from cate_hf.modeling.configuration_cate import CateConfig

        runtime = _package("onnxruntime")
        self.path, self.device = Path(path), _Device()
        if not self.path.is_file():
            raise ValueError(f"{path}: no such file")
        check_fetched(path)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = num_threads()
        options.log_severity_level = 3
        try:
            content = self.path.read_bytes()
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            about = json.loads(self._session.get_modelmeta().custom_metadata_map[_KEY])
            self.config, self.space = CateConfig.from_dict(about["config"]), about["space"]
        except Exception as error:  # onnxruntime has errors of its own
            reason = printable(str(error).splitlines()[0])[:200]
            raise ValueError(f"{path}: not an encoder of `Encoder.export_onnx` ({reason})") from None

    def __call__(self, **batch: np.ndarray) -> np.ndarray:
        """What the tokenizer gives as arrays, to encodings (B, E)."""
        given = {entry.name: batch[entry.name] for entry in self._session.get_inputs()}
        return self._session.run(["encoding"], given)[0]

    def eval(self) -> "OnnxModel":
        """Nothing: there is no other mode."""
        return self

    def to(self, device: Any) -> "OnnxModel":
        """Nothing, on the CPU; elsewhere a ValueError."""
        if str(device) != "cpu":
            raise ValueError(f"backend 'onnx' computes on the CPU, not on {device}")
        return self

    def fingerprint(self) -> str:
        """Return a digest of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


class _Device:
    """What is computed by onnxruntime is for none of torch's devices."""

    type = "onnx"

    def __str__(self) -> str:
        return "the CPU by onnxruntime"


def exported(encoder: "Encoder") -> Path:
    """Return the ONNX file of an encoder of torch in the cache folder, written when it is not there."""
    path = cache_folder() / f"onnx-{encoder.fingerprint()[:32]}{SUFFIX}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        export_onnx(encoder, path, overwrite=True)
    return path


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError(f"ONNX needs the package {name}: pip install 'cate_hf[onnx]'") from None
