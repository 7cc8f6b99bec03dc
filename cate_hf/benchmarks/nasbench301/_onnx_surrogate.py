"""The ONNX surrogate of NAS-Bench-301: any genotype and epoch to validation accuracy and runtime.

It is the surrogate of YAHPO Gym (Pfisterer et al., AutoML-Conf 2022), a wide-and-deep network fitted to the training
data of NAS-Bench-301 (Siems et al. 2020). Published for one architecture at a time; its graph has nothing that depends
on that, so the batch dimension is set free in memory and many go through at once. A check when it is loaded makes sure
that a batch gives what its rows give alone.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.benchmarks.nasbench301._base import LAST_EPOCH, WORDS, Surrogate
from cate_hf.benchmarks.nasbench301._features import HYPERPARAMETERS, categories, category_codes
from cate_hf.core._progress import progress_bar
from cate_hf.spaces.darts._canonical import wirings
from cate_hf.spaces.darts.genotypes import ENTRIES, OPERATIONS
from cate_hf.spaces.darts.pairs import Cells

if TYPE_CHECKING:
    import onnx

_FIELDS = tuple(WORDS)
_EPOCHS = LAST_EPOCH
_BATCH = 4096
_INPUTS = {"x_cat": (HYPERPARAMETERS, "int32"), "x_cont": (1, "float")}
_MOST_BYTES = 1 << 28  # the published one has 2.6 MB
_PERCENT = 100.0


class OnnxSurrogate:
    """A surrogate.onnx with its encoding beside it.

    Raises:
        ValueError: the file, or its encoding, is not that; or the packages onnx and onnxruntime are not installed.
    """

    def __init__(self, path: Path):
        encoding = path.with_name(f"{path.stem}_encoding.json")
        if not encoding.is_file():
            raise ValueError(f"{path}: needs its encoding beside it, {encoding.name}; no such file")
        self.codes = category_codes(_read_json(encoding), str(encoding))
        self._session, self._output = _session(path)
        self._check(path, encoding)

    def predict(self, cells: Cells, epoch: int, progress: bool = False) -> np.ndarray:
        """(N, 2) float64: validation accuracy in [0, 1], and seconds of training, after `epoch` epochs."""
        result = np.empty((cells.number, len(_FIELDS)))
        with progress_bar("asking the surrogate", cells.number, "architectures", progress) as advance:
            for start in range(0, cells.number, _BATCH):
                part = slice(start, start + _BATCH)
                result[part] = self._run(categories(cells.take(part), self.codes), epoch)
                advance(len(result[part]))
        return result / (_PERCENT, 1.0)

    def _run(self, x_cat: np.ndarray, epoch: int) -> np.ndarray:
        x_cont = np.full((len(x_cat), 1), epoch, dtype=np.float32)
        return self._session.run([self._output], {"x_cat": x_cat, "x_cont": x_cont})[0]

    def _check(self, path: Path, encoding: Path) -> None:
        """Every wiring and every operation on every edge: a batch of them, and a few alone."""
        inputs = wirings().inputs
        operations = (np.arange(len(inputs))[:, None] + np.arange(ENTRIES)) % len(OPERATIONS)
        shifts = np.repeat(np.arange(len(OPERATIONS)), len(inputs))[:, None]
        codes = ((np.tile(operations, (len(OPERATIONS), 1)) + shifts) % len(OPERATIONS)).astype(np.uint8)
        inputs = np.tile(inputs, (len(OPERATIONS), 1))
        x_cat = categories(Cells((codes, inputs), (codes[::-1], inputs[::-1])), self.codes)
        try:
            together = self._run(x_cat, _EPOCHS)
            alone = np.vstack([self._run(x_cat[row : row + 1], _EPOCHS) for row in (0, len(x_cat) // 2)])
        except Exception as error:  # whatever ONNX Runtime raises
            reason = f"cannot be run with the codes of {encoding.name} ({_first_line(error)})"
            raise ValueError(f"{path}: {reason}") from None
        if together.shape != (len(x_cat), len(_FIELDS)) or not np.isfinite(together).all():
            raise ValueError(
                f"{path}: not the NAS-Bench-301 surrogate: its output is not two finite numbers a genotype"
            )
        if not np.allclose(together[[0, len(x_cat) // 2]], alone, rtol=1e-4, atol=1e-3):
            raise ValueError(f"{path}: not the NAS-Bench-301 surrogate: in a batch, a genotype scores another value")
        accuracies = together[:, 0]
        if accuracies.min() < 0 or accuracies.max() > _PERCENT or np.ptp(accuracies) == 0:
            raise ValueError(f"{path}: not the NAS-Bench-301 surrogate: its first output is not accuracies in percent")


class Onnx(Surrogate):
    """The ONNX surrogate, any epoch."""

    def __init__(self, path: Path):
        self._model = OnnxSurrogate(path)
        source = "as YAHPO Gym's surrogate of the NAS-Bench-301 data predicts them"
        super().__init__(path, {name: f"{text}, {source}" for name, text in WORDS.items()})

    def _predict(self, cells: Cells, fields: list[str], epoch: int, progress: bool) -> dict[str, np.ndarray]:
        return dict(zip(self.oracles, self._model.predict(cells, epoch, progress).T, strict=True))

    def _check_epoch(self, epoch: int) -> None:
        if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or not 1 <= epoch <= LAST_EPOCH:
            raise ValueError(f"epoch must be 1 to {LAST_EPOCH}, not {epoch!r}")

    def __repr__(self) -> str:
        return f"<benchmark nasbench301: ONNX surrogate ({self.path.name}), 1 to 98 epochs; {', '.join(self.fields)}>"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{path}: not valid JSON ({_first_line(error)})") from None


def _session(path: Path) -> tuple[Any, str]:
    """An ONNX Runtime session with a free batch dimension, and the name of its output."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise ValueError(f"{path}: needs the packages onnx and onnxruntime: pip install 'cate_hf[nb301]'") from None
    from google.protobuf.message import DecodeError

    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size:,} bytes; the NAS-Bench-301 surrogate has about 2.6 million")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as ONNX ({_first_line(error)})") from None
    output = _free_batch(path, model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to others meanwhile
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime has an exception of its own for each fault, none documented
        raise ValueError(f"{path}: ONNX Runtime cannot load it ({_first_line(error)})") from None
    return session, output


def _free_batch(path: Path, model: "onnx.ModelProto") -> str:
    """Set the first dimension of inputs and output free; gives the output's name."""
    import onnx

    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in constants}
    if not inputs and not graph.node:
        raise ValueError(f"{path}: not an ONNX model, or one without a graph")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        raise ValueError(f"{path}: keeps its weights in other files; the NAS-Bench-301 surrogate is one file")
    found = {name: _shape(value) for name, value in inputs.items()}
    if found != _INPUTS or len(graph.output) != 1 or _shape(graph.output[0]) != (len(_FIELDS), "float"):
        expected = ", ".join(f"{name} (batch, {size}) {kind}" for name, (size, kind) in _INPUTS.items())
        names = ", ".join(inputs)[:80] or "none"
        raise ValueError(
            f"{path}: not the NAS-Bench-301 surrogate: expected inputs {expected} and an output (batch, 2) float; "
            f"its inputs are {names}"
        )
    for value in (*inputs.values(), *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]  # shapes of a batch of one
    return graph.output[0].name


def _shape(value: "onnx.ValueInfoProto") -> tuple[int, str] | None:
    """Size of the second of two dimensions, and the type of the numbers."""
    import onnx

    tensor = value.type.tensor_type
    if len(tensor.shape.dim) != 2:
        return None
    kinds: dict[int, str] = {onnx.TensorProto.INT32: "int32", onnx.TensorProto.FLOAT: "float"}
    return tensor.shape.dim[1].dim_value, kinds.get(tensor.elem_type, "other")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
