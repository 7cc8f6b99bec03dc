"""What may be told of weights before they are loaded: the header of each safetensors file against its size, its tensors
against the shapes that the model of the configuration has, and that the values are finite. Nothing is allocated.
"""

import math
import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cate_hf.core._files import check_fetched
from cate_hf.hub._checks_files import CheckpointError, parse_json, read_object, shown
from cate_hf.hub._layout import WEIGHTS

INDEX = f"{WEIGHTS}.index.json"
MAX_HEADER_BYTES = 10_000_000
_MOST_DIMENSIONS = 8
# Bytes of a value, the unsigned number of that size, and the bits that are all set in infinities and NaN (IEEE 754).
DTYPES = {
    "F64": (8, "<u8", 0x7FF0_0000_0000_0000),
    "F32": (4, "<u4", 0x7F80_0000),
    "F16": (2, "<u2", 0x7C00),
    "BF16": (2, "<u2", 0x7F80),
}
_BLOCK = 1 << 20  # values that are looked at together


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies. `start` and `stop` are bytes from the beginning of the file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors that a safetensors file declares, all of them inside the file, none over another.

    Raises:
        CheckpointError: no such file, a damaged one, or a header that does not describe it.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    check_fetched(path, CheckpointError)
    size = path.stat().st_size
    with open(path, "rb") as file:
        first = file.read(8)
        if len(first) < 8:
            raise CheckpointError(f"{path}: damaged or truncated ({size} bytes are no safetensors file)")
        length = struct.unpack("<Q", first)[0]
        if length > MAX_HEADER_BYTES:
            raise CheckpointError(f"{path}: damaged: it declares a header of {length:,} bytes, and is not read")
        if 8 + length > size:
            raise CheckpointError(f"{path}: damaged or truncated (its header ends beyond the file)")
        content = file.read(length)
    header = parse_json(content, f"{path}: header")
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: header: expected an object, found {shown(header)}")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or any(not isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path}: header: __metadata__ must map names to texts")
    data = size - 8 - length
    tensors = {name: _tensor(path, name, entry, 8 + length, data) for name, entry in header.items()}
    _check_cover(path, tensors, 8 + length, size)
    return tensors


def _tensor(path: Path, name: str, entry: object, origin: int, data: int) -> StoredTensor:
    where = f"{path}: tensor {shown(name)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where} must have dtype, shape and data_offsets, found {shown(entry)}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(f"{where} is of type {shown(dtype)}; weights are {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(_is_count(n) for n in shape) or len(shape) > _MOST_DIMENSIONS:
        raise CheckpointError(f"{where} has the shape {shown(shape)}, expected a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_count(n) for n in offsets):
        raise CheckpointError(f"{where} has the data_offsets {shown(offsets)}, expected first and last byte")
    start, stop = offsets
    declared = math.prod(shape) * DTYPES[dtype][0]
    if not start <= stop <= data:
        raise CheckpointError(
            f"{path}: damaged or truncated: tensor {shown(name)} of {declared:,} bytes ends at {stop:,} of {data:,}"
        )
    if stop - start != declared:
        raise CheckpointError(f"{where} declares {declared:,} bytes for its shape, but lies in {stop - start:,}")
    return StoredTensor(path, dtype, tuple(shape), origin + start, origin + stop)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_cover(path: Path, tensors: Mapping[str, StoredTensor], origin: int, size: int) -> None:
    """The tensors one after another fill the file: no byte twice, none unused."""
    last, at = None, origin
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if tensor.start < at:
            raise CheckpointError(f"{path}: tensors {shown(last)} and {shown(name)} lie over each other")
        if tensor.start > at:
            raise CheckpointError(f"{path}: {tensor.start - at:,} bytes before tensor {shown(name)} belong to none")
        last, at = name, tensor.stop
    if at != size:
        raise CheckpointError(f"{path}: {size - at:,} bytes after the last tensor belong to none")


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The tensors of model.safetensors, or of the files that its index names.

    Raises:
        CheckpointError: as `read_header`; an index that leads out of the folder or does not fit its files.
    """
    if (folder / WEIGHTS).is_file():
        return read_header(folder / WEIGHTS)
    path = folder / INDEX
    weight_map = read_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path}: weight_map must map tensors to files, found {shown(weight_map)}")
    for name, file in weight_map.items():
        if not isinstance(file, str) or not re.fullmatch(r"\w[\w.-]*\.safetensors", file):
            raise CheckpointError(f"{path}: tensor {shown(name)} is put in {shown(file)}, no file of this folder")
    tensors: dict[str, StoredTensor] = {}
    for file in sorted(set(weight_map.values())):
        for name, tensor in read_header(folder / file).items():
            if weight_map.get(name) != file:
                raise CheckpointError(f"{folder / file}: tensor {shown(name)} is not where the index says")
            tensors[name] = tensor
    for name in weight_map:
        if name not in tensors:
            raise CheckpointError(f"{path}: tensor {shown(name)} is in none of the files")
    return tensors


def check_shapes(folder: Path, tensors: Mapping[str, StoredTensor], model) -> None:
    """Compare the stored tensors with those of a model that was built on the meta device.

    Raises:
        CheckpointError: a tensor is missing, has no place in the model, or has another shape than there.
    """
    kind = type(model).__name__
    expected = model.state_dict(keep_vars=True)
    for name, tensor in tensors.items():
        if name not in expected:
            raise CheckpointError(f"{tensor.file}: tensor {shown(name)} has no place in a {kind} of config.json")
        shape = tuple(expected[name].shape)
        if tensor.shape != shape:
            raise CheckpointError(
                f"{tensor.file}: tensor {shown(name)} has the shape {tensor.shape}, config.json makes it {shape}"
            )
    present = {id(expected[name]) for name in tensors}  # tied weights are one object under several names
    optional = getattr(model, "_keys_to_ignore_on_load_missing", None) or ()
    missing = [
        name
        for name, value in expected.items()
        if id(value) not in present and not any(re.search(pattern, name) for pattern in optional)
    ]
    if missing:
        source = folder / (WEIGHTS if (folder / WEIGHTS).is_file() else INDEX)
        raise CheckpointError(f"{source}: {len(missing)} weights of {kind} are missing, such as {missing[0]!r}")


def check_values(tensors: Mapping[str, StoredTensor]) -> None:
    """Look at every value, through a memory map. Raises CheckpointError for one that is infinite or not a number."""
    by_file: dict[Path, list[tuple[str, StoredTensor]]] = {}
    for name, tensor in tensors.items():
        by_file.setdefault(tensor.file, []).append((name, tensor))
    for path, entries in by_file.items():
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for name, tensor in entries:
                size, kind, special = DTYPES[tensor.dtype]
                for start in range(tensor.start, tensor.stop, _BLOCK * size):
                    count = min(_BLOCK, (tensor.stop - start) // size)
                    bits = np.frombuffer(content, kind, count, start) & np.array(special, kind)
                    broken = int(np.count_nonzero(bits == special))
                    if broken:
                        raise CheckpointError(f"{path}: tensor {shown(name)} holds values that are infinite or NaN")
