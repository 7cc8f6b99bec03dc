"""Records of the published NAS-Bench-101 files by array operations, where they are written alike.

Records of one length nearly all have their parts at the same places. A `Layout` is those places, learnt from one record
that has been parsed in full; records that differ from it only where cells and results differ are read as columns of a
matrix of bytes. Everything else is left to the parser of single records.
"""

import base64

import numpy as np

from cate_hf.benchmarks.nasbench101._cells import BenchmarkCells
from cate_hf.benchmarks.nasbench101._records import EVALUATION_NUMBERS, Record, model_metrics
from cate_hf.graphs.table import edge_positions

_DIGITS = np.full(256, 255, dtype=np.uint8)
_DIGITS[np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)] = np.arange(64)


class Layout:
    """Places of the parts of records of one length.

    Attributes:
        epochs: of these records, which is a part of their layout.
    """

    def __init__(self, data: bytes, record: Record, cells: BenchmarkCells):
        """Learn from a record. Raises ValueError when its parts are not where `read` could take them from."""
        self.cells, self.epochs = cells, record.epochs
        self.vertices = record.operations.count(",") + 1
        if self.vertices > cells.table.max_nodes:
            raise ValueError("a drawing with more vertices than its cell has")
        hash_at = _find(data, record.hash, 0)
        adjacency_at = _find(data, record.adjacency, hash_at)
        operations_at = _find(data, record.operations, adjacency_at)
        self.hash = slice(hash_at, hash_at + 32)
        self.operations = slice(operations_at, operations_at + len(record.operations))
        self.edges = adjacency_at + edge_positions(self.vertices)
        self.digits, self.padding = _base64_places(data, data.index(b'"', self.operations.stop + 1) + 1)
        self.template = np.frombuffer(data, dtype=np.uint8)
        self.fixed = np.full(len(data), 255, dtype=np.uint8)  # the bits of each byte that all these records share
        for place in (self.hash, self.operations, self.digits):
            self.fixed[place] = 0
        self.fixed[self.digits[len(self.digits) - self.padding :]] = 255
        self.fixed[self.edges] = 0xFE  # "0" and "1" differ in their last bit
        self._learn_message(record)

    def _learn_message(self, record: Record) -> None:
        message = model_metrics().FromString(record.metrics)
        if message.SerializeToString(deterministic=True) != record.metrics:
            raise ValueError("the message is not written in the order of its fields")
        places, at = {}, 0
        for position, evaluation in enumerate(message.evaluation_data):
            if evaluation.HasField("checkpoint_path") or evaluation.ByteSize() != 9 * len(evaluation.ListFields()):
                raise ValueError("an evaluation holds more than the numbers")
            at += 2  # the tag and one byte of length
            for descriptor, _ in evaluation.ListFields():
                places[position, descriptor.number] = at + 1
                at += 9
        self.doubles = [places[position, number] for position in (1, 2) for number in EVALUATION_NUMBERS]
        size = (message.trainable_parameters.bit_length() + 6) // 7
        self.parameters = np.arange(at + 1, at + 1 + size)
        if size > 4 or at + 1 + size + 9 * message.HasField("total_time") != len(record.metrics):
            raise ValueError("the message holds more than its numbers")
        self.message = np.frombuffer(record.metrics, dtype=np.uint8)
        self.message_fixed = np.full(len(record.metrics), 255, dtype=np.uint8)
        for place in places.values():
            self.message_fixed[place : place + 8] = 0
        if message.HasField("total_time"):
            self.message_fixed[-8:] = 0
        self.message_fixed[self.parameters] = 0x80

    def read(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Parts of n records of this layout's length.

        Args:
            matrix: (n, length) uint8.

        Returns:
            fits (n,) bool: whether a record has this layout and draws its cell as the enumeration does; what follows
                holds for those only.
            rows (n,) of the cells, values (n, 8) float64, parameters (n,) int64.
        """
        fits = ~((matrix ^ self.template) & self.fixed).any(axis=1)
        rows, known = self.cells.find(np.ascontiguousarray(matrix[:, self.hash]).view("S32").ravel())
        fits &= known & (self.cells.num_nodes[rows] == self.vertices)
        edges = np.packbits(matrix[:, self.edges] & 1, axis=1, bitorder="little")
        fits &= (self.cells.edge_bits[rows, : edges.shape[1]] == edges).all(axis=1)
        kinds = self.cells.operations[rows]
        width = self.operations.stop - self.operations.start
        texts = self.cells.operation_texts[kinds, :width]
        fits &= (self.cells.operation_lengths[kinds] == width) & (matrix[:, self.operations] == texts).all(axis=1)
        message, decoded = self._decode(matrix)
        fits &= decoded & ~((message ^ self.message) & self.message_fixed).any(axis=1)
        values = np.stack([message[:, place : place + 8] for place in self.doubles], axis=1)
        parameters = np.zeros(len(matrix), dtype=np.int64)
        for shift, place in enumerate(self.parameters.tolist()):
            parameters |= (message[:, place] & 0x7F).astype(np.int64) << (7 * shift)
        fits &= parameters > 0
        return fits, rows, values.view("<f8")[..., 0].astype(np.float64, copy=False), parameters

    def _decode(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The messages (n, size) uint8, and whether their base64 text holds nothing else (n,) bool."""
        sixes = _DIGITS[matrix[:, self.digits]]
        if self.padding:
            sixes[:, -self.padding :] = 0  # the padding is a part of the layout
        valid = (sixes != 255).all(axis=1)
        a, b, c, d = (sixes[:, place::4] for place in range(4))
        message = np.empty((len(matrix), 3 * a.shape[1]), dtype=np.uint8)
        message[:, 0::3] = a << 2 | b >> 4
        message[:, 1::3] = b << 4 | c >> 2
        message[:, 2::3] = c << 6 | d
        return message[:, : len(self.message)], valid


def _find(data: bytes, text: str, start: int) -> int:
    return data.index(b'"' + text.encode() + b'"', start) + 1


def _base64_places(data: bytes, start: int) -> tuple[np.ndarray, int]:
    """Where the characters of a base64 text lie, those of escaped line ends left out, and how many are padding."""
    end = data.index(b'"', start)
    text = np.frombuffer(data[start:end].replace(b"\\n", b"\n\n"), dtype=np.uint8)
    places = start + np.flatnonzero(text != ord("\n"))
    characters = data[start:end].replace(b"\\n", b"")
    base64.b64decode(characters, validate=True)
    return places, len(characters) - len(characters.rstrip(b"="))
