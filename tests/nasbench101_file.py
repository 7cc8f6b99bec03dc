"""Writes files in the format of the published NAS-Bench-101 results, for tests and for the loading benchmark.

The bytes are put together here from the format's description alone, with nothing of the reader: TFRecord frames around
JSON [hash, epochs, adjacency, operations, base64 of a ModelMetrics message in lines of 76 characters]. At full size the
file has as many bytes as the published ones (522,767,376 with 108 epochs only, 2,085,986,016 with 4, 12, 36 and 108).
Accuracies are k / 9984 and times milliseconds, both rounded to float32 and stored as doubles, as published.
"""

import base64
import json
import re
import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

IMAGES = 9984
RUNS = 3
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
# Three EvaluationData (field 1) of five doubles (fields 1 to 5), then trainable_parameters and total_time.
_EVALUATION = struct.Struct("<BB" + "Bd" * 5)
_OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")


def evaluation(epoch: float, seconds: float, train: float, validation: float, test: float) -> bytes:
    """One evaluation_data entry of a ModelMetrics message."""
    return _EVALUATION.pack(0x0A, 45, 0x09, epoch, 0x11, seconds, 0x19, train, 0x21, validation, 0x29, test)


def varint(number: int) -> bytes:
    """A number as the wire format of Protocol Buffers has it: seven bits a byte, the lowest first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def metrics_message(epochs: int, values: list[float], parameters: int) -> bytes:
    """A ModelMetrics message; the eight values are in the order of FIELDS."""
    start = evaluation(0.0, 0.0, 0.1, 0.1, 0.1)
    half = evaluation(epochs / 2, *values[:4])
    end = evaluation(float(epochs), *values[4:])
    return start + half + end + b"\x10" + varint(parameters) + struct.pack("<Bd", 0x19, values[4] + 100)


def record(
    hash_: str, epochs: int, adjacency: str, operations: str, message: bytes, lines: bool = True, compact: bool = False
) -> bytes:
    """The JSON of one record, the base64 text in lines (as published) or in one, with spaces (as published) or none."""
    text = base64.encodebytes(message).decode() if lines else base64.b64encode(message).decode()
    separators = (",", ":") if compact else None
    return json.dumps([hash_, epochs, adjacency, operations, text], separators=separators).encode()


def masked_crc(data: bytes) -> bytes:
    """The checksum of a TFRecord frame: CRC32C, rotated right by 15 bits, plus a constant."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data: bytes) -> bytes:
    """A TFRecord frame."""
    length = struct.pack("<Q", len(data))
    return length + masked_crc(length) + data + masked_crc(data)


def drawings(table) -> list[tuple[str, str]]:
    """Adjacency and operations as the file writes them, for rows of the table of published results."""
    codes = table["operation_codes"].combine_chunks().flatten().to_numpy().reshape(-1, 5)
    result = []
    for vertices, bits, labels in zip(
        table["num_vertices"].to_pylist(), table["adjacency_bits"].to_pylist(), codes.tolist(), strict=True
    ):
        edges = [
            str(bits >> (x + y * (y - 1) // 2) & 1) if x < y else "0" for x in range(vertices) for y in range(vertices)
        ]
        names = ["input", *(_OPERATIONS[code] for code in labels[: vertices - 2]), "output"]
        result.append(("".join(edges), ",".join(names)))
    return result


def split_mean(mean: np.ndarray, rng: np.random.Generator, spread: float) -> np.ndarray:
    """(N, 3) counts of right images whose sum is that of the mean accuracy (N,) of three runs, exactly."""
    total = np.rint(mean * RUNS * IMAGES).astype(np.int64)
    third = total // RUNS
    counts = third[:, None] + np.rint(rng.normal(0, spread, (len(mean), RUNS))).astype(np.int64)
    counts[:, 2] = total - counts[:, 0] - counts[:, 1]
    outside = ((counts < 0) | (counts > IMAGES)).any(axis=1)
    counts[outside] = np.stack([third, (total - third) // 2, total - third - (total - third) // 2], axis=1)[outside]
    return counts


def make_runs(table, epochs: int, seed: int = 0) -> np.ndarray:
    """(N, 3 runs, 8) float64 of results for rows of the table of published results, in the order of FIELDS.

    With 108 epochs the runs' mean test accuracy is the table's (to float32's rounding of each run), and where the table
    has one run's validation accuracy and training time, run 0 has those. The rest is made up, with the spread of runs
    that the table shows.
    """
    rng = np.random.default_rng([seed, epochs])
    mean = table["test_accuracy"].to_numpy()
    n = len(mean)
    known = table[f"validation_accuracy_{epochs}"].to_numpy().astype(np.float64)
    if epochs != 108:
        level = {4: 0.25, 12: 0.58, 36: 0.86}[epochs]
        mean = np.clip(level + (mean - 0.91) * 2 + rng.normal(0, 0.06, n), 0.1, 0.94)
    test = split_mean(mean, rng, 25 if epochs == 108 else 250)
    validation = test + np.rint(rng.normal(15, 22, test.shape)).astype(np.int64)
    validation[:, 0] = np.where(np.isnan(known), validation[:, 0], np.rint(np.nan_to_num(known) * IMAGES))
    train = validation + np.rint((IMAGES - validation) * rng.normal(0.95, 0.05, test.shape)).astype(np.int64)
    half_validation = validation - np.rint(rng.gamma(4, 300, test.shape)).astype(np.int64)
    half_test = half_validation + np.rint(rng.normal(-30, 45, test.shape)).astype(np.int64)
    half_train = half_validation + np.rint(rng.gamma(8, 50, test.shape)).astype(np.int64)
    counts = np.stack([half_train, half_validation, half_test, train, validation, test], axis=-1)
    accuracies = np.clip(counts, 0, IMAGES) / IMAGES

    seconds = table["training_seconds_108"].to_numpy().astype(np.float64)
    made_up = 250 + table["parameters"].to_numpy() * 5e-5 + rng.gamma(8, 90, n)
    seconds = np.where(np.isnan(seconds), made_up, seconds)[:, None] * (epochs / 108) * np.ones(RUNS)
    seconds[:, 1:] += rng.normal(0, 0.002, (n, RUNS - 1)) * seconds[:, 1:]
    half = np.float32(np.rint((seconds / 2 + rng.normal(0, 0.8, seconds.shape) * epochs / 108) * 1000) / 1000)
    # Clocks of two parts added in float32: some totals lie a unit in the last place beside whole milliseconds.
    total = half + np.float32(np.rint((seconds - half) * 1000) / 1000)
    if epochs == 108:
        measured = table["training_seconds_108"].to_numpy()
        total[:, 0] = np.where(np.isnan(measured), total[:, 0], measured)
    values = np.empty((n, RUNS, len(FIELDS)))
    values[..., 0], values[..., 4] = half, total
    values[..., [1, 2, 3, 5, 6, 7]] = np.float32(accuracies)
    return values


def made_up_table(cells, seed: int = 0) -> pa.Table:
    """A table in the form of the published results' for architectures of the space, its numbers made up."""
    rng = np.random.default_rng(seed)
    n = len(cells)
    adjacency = cells.adjacency()
    bits = sum(adjacency[:, x, y].astype(np.uint32) << (x + y * (y - 1) // 2) for y in range(7) for x in range(y))
    codes = np.full((n, 5), 255, dtype=np.uint8)
    for row, cell in enumerate(cells):
        codes[row, : len(cell) - 2] = [_OPERATIONS.index(name) for name in cell.operations[1:-1]]
    known = rng.random(n) < 0.3
    columns = {
        "hash": cells.columns["hash"],
        "num_vertices": cells.num_nodes,
        "adjacency_bits": bits,
        "operation_codes": pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), 5),
        "test_accuracy": rng.integers(3 * 8000, 3 * 9400, n) / (RUNS * IMAGES),
        "parameters": cells.columns["parameters"].astype(np.int32),
        "training_seconds_108": np.where(known, np.float32(rng.integers(300_000, 5_000_000, n) / 1000), np.nan),
    }
    for epochs in (4, 12, 36, 108):
        accuracy = np.float32(rng.integers(1000, 9500, n) / IMAGES)
        columns[f"validation_accuracy_{epochs}"] = np.where(known, accuracy, np.nan).astype(np.float32)
    columns["training_seconds_108"] = columns["training_seconds_108"].astype(np.float32)
    return pa.table(columns)


def read_published(path: Path, cells: int | None = None, seed: int = 0):
    """The table of published results, or that many of its cells, drawn at random, in the table's order."""
    table = pq.read_table(path)
    if cells is None:
        return table
    return table.take(np.sort(np.random.default_rng(seed).choice(len(table), cells, replace=False)))


def write_file(
    path: Path, table, runs: dict[int, np.ndarray], seed: int = 0, lines: bool = True, compact: bool = False
) -> int:
    """Write all runs of all cells in an order drawn at random, where each cell's runs keep theirs.

    Args:
        table: rows of the table of published results.
        runs: epochs -> (N, 3, 8) values.

    Returns:
        number of records.
    """
    rng = np.random.default_rng(seed)
    hashes, parameters = table["hash"].to_pylist(), table["parameters"].to_pylist()
    drawn = drawings(table)
    shape = (len(runs), len(hashes), RUNS)
    order = np.argsort(np.sort(rng.random(shape), axis=2), axis=None)
    names = list(runs)
    with open(path, "wb") as file:
        for start in range(0, len(order), 4096):
            kinds, cells, numbers = np.unravel_index(order[start : start + 4096], shape)
            parts = []
            for kind, cell, number in zip(kinds.tolist(), cells.tolist(), numbers.tolist(), strict=True):
                epochs = names[kind]
                message = metrics_message(epochs, runs[epochs][cell, number].tolist(), parameters[cell])
                parts.append(frame(record(hashes[cell], epochs, *drawn[cell], message, lines, compact)))
            file.write(b"".join(parts))
    return len(order)


def frames_of(content: bytes) -> list[bytes]:
    """The data of each frame, by the lengths alone."""
    parts, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        parts.append(content[at + 12 : at + 12 + length])
        at += 16 + length
    return parts


def starts_of(content: bytes) -> list[int]:
    """Where each frame starts."""
    return np.cumsum([0, *(16 + len(part) for part in frames_of(content))])[:-1].tolist()


def column(runs: dict[int, np.ndarray], field: str, epochs: int = 108) -> np.ndarray:
    """(N, 3) of one field."""
    return runs[epochs][..., FIELDS.index(field)]


def refused(path: Path, content: bytes) -> str:
    """The one line that the reader says of a file with this content."""
    import pytest

    from cate_hf.benchmarks.nasbench101._run_results import read_runs

    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read_runs(path)
    assert "\n" not in str(error.value)
    return str(error.value)
