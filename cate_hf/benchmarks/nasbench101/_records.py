"""Records of the published NAS-Bench-101 files (Ying et al., ICML 2019), without TensorFlow.

A file is a sequence of TFRecord frames: the length of the data as a little-endian uint64, a masked CRC32C of those
eight bytes, the data, and a masked CRC32C of the data. The data of one frame is JSON [hash, epochs, adjacency,
operations, metrics]: the adjacency matrix as digits row by row, the operations separated by commas, and the metrics of
one training run as base64 of a ModelMetrics message (google-research/nasbench, model_metrics.proto), whose three
evaluations were made before, half-way through and after the training.
"""

import base64
import json
import struct
from collections.abc import Iterator
from functools import lru_cache
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

EPOCHS = (4, 12, 36, 108)
RUNS = 3
# Half-way through the training, then after it: the order of every array of metrics.
FIELDS = (
    "halfway_training_seconds",
    "halfway_train_accuracy",
    "halfway_validation_accuracy",
    "halfway_test_accuracy",
    "training_seconds",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
)
IS_ACCURACY = np.array(["accuracy" in name for name in FIELDS])
# An evaluation's fields in the message, by number, and those that FIELDS takes, in its order.
_EVALUATION_FIELDS = {
    1: "current_epoch",
    2: "training_time",
    3: "train_accuracy",
    4: "validation_accuracy",
    5: "test_accuracy",
}
EVALUATION_NUMBERS = (2, 3, 4, 5)
EVALUATIONS = 3

_MASK = 0xA282EAD8
_MOST_BYTES = 1 << 20  # a record has about 400
_BLOCK_BYTES = 1 << 23


class Block(NamedTuple):
    """Whole records that lie end to end in a file, their checksums right.

    Attributes:
        first: number of the first record, from 0.
        offset: where `data` starts in the file.
        data: bytes of the file.
        starts, ends: (n,) int64, where each record's JSON lies in `data`.
    """

    first: int
    offset: int
    data: bytes
    starts: np.ndarray
    ends: np.ndarray

    def fault(self, path: Path, position: int, reason: str) -> ValueError:
        """The error that names a record of this block."""
        return _fault(path, self.first + position, self.offset + int(self.starts[position]) - 12, reason)


class Record(NamedTuple):
    """One training run, as its record says: `values` in the order of FIELDS."""

    hash: str
    epochs: int
    adjacency: str
    operations: str
    metrics: bytes
    values: list[float]
    parameters: int


def _fault(path: Path, number: int, offset: int, reason: str) -> ValueError:
    return ValueError(f"{path}: record {number} (counted from 0, at byte {offset}): {reason}")


def _unmasked(stored: np.ndarray) -> np.ndarray:
    """Checksums (n,) uint32 from their masked form: a constant added to a rotation by 15 bits."""
    rotated = stored - np.uint32(_MASK)
    return rotated << np.uint32(15) | rotated >> np.uint32(17)


def read_blocks(path: Path, block_bytes: int = _BLOCK_BYTES) -> Iterator[Block]:
    """The records of a file, a few megabytes at a time, lengths and checksums checked.

    Raises:
        ValueError: not a TFRecord file, or one that is truncated or corrupt; names the record and its byte. The records
            before it have been given out.
            Or the packages that read it are not installed.
        OSError: the file cannot be read.
    """
    try:
        import google.protobuf  # noqa: F401
        import google_crc32c  # noqa: F401
    except ImportError:
        raise ValueError(
            f"{path}: needs the packages google-crc32c and protobuf: pip install 'cate_hf[nb101]'"
        ) from None
    number = offset = 0
    rest = b""
    lengths: dict[bytes, int] = {}  # of headers whose checksum is right
    with open(path, "rb") as file:
        while True:
            new = file.read(block_bytes)
            data = rest + new
            if not data and not number:
                raise ValueError(f"{path}: the file is empty")
            starts, ends, problem = _walk(data, lengths)
            good = _first_wrong_checksum(data, starts, ends)
            if good:
                yield Block(number, offset, data, starts[:good], ends[:good])
            at = int(ends[good - 1]) + 4 if good else 0
            if good < len(starts):
                problem = "its checksum does not fit its data; the file is corrupt"
            elif not new and at < len(data):
                problem = problem or f"the file ends inside it, after {len(data) - at} bytes; it is truncated"
            number, offset, rest = number + good, offset + at, data[at:]
            if problem:
                foreign = "; not a file of TFRecords" if number == 0 and "length" in problem else ""
                raise _fault(path, number, offset, problem + foreign)
            if not new:
                return


def _walk(data: bytes, lengths: dict[bytes, int]) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Where the data of the whole frames lie, (n,) each, and what is wrong with the next header, if anything."""
    starts, ends, at, problem = [], [], 0, None
    while at + 12 <= len(data):
        header = data[at : at + 12]
        length = lengths.get(header)
        if length is None:
            length, problem = _checked_length(header)
            if problem:
                break
            lengths[header] = length
        end = at + 12 + length
        if end + 4 > len(data):
            break
        starts.append(at + 12)
        ends.append(end)
        at = end + 4
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64), problem


def _checked_length(header: bytes) -> tuple[int, str | None]:
    import google_crc32c

    length, stored = struct.unpack("<QI", header)
    if int(_unmasked(np.array([stored], np.uint32))[0]) != google_crc32c.value(header[:8]):
        return 0, "the checksum of its length is wrong; the file is corrupt"
    if length > _MOST_BYTES:
        return 0, f"a length of {length} bytes, records of NAS-Bench-101 have a few hundred"
    return length, None


def _first_wrong_checksum(data: bytes, starts: np.ndarray, ends: np.ndarray) -> int:
    """How many frames come before the first whose data does not fit its checksum."""
    from google_crc32c import value

    computed = [value(data[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    whole = np.frombuffer(data, dtype=np.uint8)
    stored = np.ascontiguousarray(whole[ends[:, None] + np.arange(4)]).view("<u4").ravel()
    wrong = np.flatnonzero(_unmasked(stored) != np.array(computed, dtype=np.uint32))
    return int(wrong[0]) if len(wrong) else len(starts)


@lru_cache
def model_metrics() -> Any:
    """The class of ModelMetrics messages, from the fields that its .proto file declares."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="cate_hf/model_metrics.proto", package="cate_hf", syntax="proto2")
    evaluation = file.message_type.add(name="EvaluationData")
    for number, name in _EVALUATION_FIELDS.items():
        evaluation.field.add(name=name, number=number, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    evaluation.field.add(name="checkpoint_path", number=6, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    metrics = file.message_type.add(name="ModelMetrics")
    metrics.field.add(
        name="evaluation_data",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".cate_hf.EvaluationData",
        label=field.LABEL_REPEATED,
    )
    metrics.field.add(name="trainable_parameters", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    metrics.field.add(name="total_time", number=3, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("cate_hf.ModelMetrics"))


def parse_record(data: bytes) -> Record:
    """One record from its JSON.

    Raises:
        ValueError: what is wrong with it, in one line that does not name the record.
    """
    try:
        fields = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("not a record of NAS-Bench-101: it is not JSON text") from None
    if not isinstance(fields, list) or len(fields) != 5:
        raise ValueError("not a record of NAS-Bench-101: expected [hash, epochs, adjacency, operations, metrics]")
    hash_, epochs, adjacency, operations, metrics = fields
    for name, text in zip(("hash", "adjacency", "operations", "metrics"), (hash_, *fields[2:]), strict=True):
        if not (isinstance(text, str) and text.isascii()):
            raise ValueError(f"{name} must be ASCII text, got {_short(text)}")
    if type(epochs) is not int or epochs not in EPOCHS:
        raise ValueError(f"epochs must be {', '.join(map(str, EPOCHS))}, got {_short(epochs)}")
    if len(hash_) != 32:
        raise ValueError(f"hash must have 32 characters, got {_short(hash_)}")
    vertices = isqrt(len(adjacency))
    if vertices**2 != len(adjacency) or adjacency.strip("01"):
        raise ValueError(f"adjacency must be the digits 0 and 1 of a square matrix, got {_short(adjacency)}")
    if operations.count(",") + 1 != vertices:
        raise ValueError(f"{operations.count(',') + 1} operations for an adjacency matrix of {vertices} rows")
    try:
        raw = base64.b64decode(metrics.replace("\n", ""), validate=True)
    except ValueError:
        raise ValueError(f"metrics must be base64, got {_short(metrics)}") from None
    return Record(hash_, epochs, adjacency, operations, raw, *_parse_metrics(raw))


def _parse_metrics(raw: bytes) -> tuple[list[float], int]:
    from google.protobuf.message import DecodeError

    try:
        message = model_metrics().FromString(raw)
    except DecodeError:
        raise ValueError("metrics are not a ModelMetrics message") from None
    evaluations = message.evaluation_data
    if len(evaluations) != EVALUATIONS:
        raise ValueError(f"metrics of {len(evaluations)} evaluations, expected {EVALUATIONS}: start, half-way and end")
    values = []
    for position, when in ((1, "half-way"), (2, "final")):
        for number in EVALUATION_NUMBERS:
            name = _EVALUATION_FIELDS[number]
            if not evaluations[position].HasField(name):
                raise ValueError(f"the {when} evaluation lacks {name}")
            values.append(getattr(evaluations[position], name))
    if message.trainable_parameters <= 0:
        raise ValueError(f"trainable_parameters must be above 0, got {message.trainable_parameters}")
    return values, message.trainable_parameters


def first_impossible(values: np.ndarray) -> tuple[int, str] | None:
    """Position and reason of the first of (n, 8) metrics that no training has; None when there is none."""
    with np.errstate(invalid="ignore"):
        possible = (values >= 0) & (values <= np.where(IS_ACCURACY, 1, np.finfo(np.float64).max))  # NaN is neither
    if possible.all():
        return None
    position, field = divmod(int(np.argmin(possible)), len(FIELDS))
    expected = "an accuracy in [0, 1]" if IS_ACCURACY[field] else "seconds, 0 or more"
    return position, f"{FIELDS[field]} is {values[position, field]}, expected {expected}"


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
