"""What is fuzzed: for each reader of files that others make, sound files, a way to damage them and what must hold then.

A reader may accept an input, or refuse it by a ValueError whose message is one printable line. Anything else is a find:
another error, several lines, an input that takes seconds or gigabytes, a crash.
"""

import base64
import json
import random
import shutil
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz import mutation


@dataclass
class Target:
    """`read` gets a file with an input in it. `seeds`: sound inputs."""

    name: str
    suffix: str
    seeds: list[bytes]
    mutate: mutation.Mutator
    read: Callable[[Path], Any]


MAKERS: dict[str, Callable[[Path], Target]] = {}


def target(suffix: str):
    """Register a function that makes a target in a scratch folder of its own."""

    def register(make: Callable[[Path], tuple]) -> Callable:
        name = make.__name__.strip("_")

        def made(scratch: Path) -> Target:
            scratch.mkdir(parents=True, exist_ok=True)
            return Target(name, suffix, *make(scratch))

        MAKERS[name] = made
        return make

    return register


def outcome(target: Target, path: Path) -> str | None:
    """Read one input: None where it was accepted, else what the refusal says. Raises for anything that is a find."""
    try:
        target.read(path)
    except ValueError as error:
        if type(error) not in _REFUSALS and type(error).__name__ not in ("CheckpointError",):
            raise AssertionError(f"refused by {type(error).__name__}: {error}") from error
        message = str(error)
        if not message.isprintable() or not message:
            raise AssertionError(f"a message that is not one printable line: {message!r:.400}") from error
        return message
    return None


_REFUSALS = (ValueError,)


def _checkpoint(scratch: Path) -> Path:
    from tests.tiny import save_tiny

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    folder = scratch / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    return save_tiny(folder, cross_intermediate_size=8, **sizes)


def _check_and_load(folder: Path) -> None:
    """What passes the checks also loads, and encodes to finite numbers."""
    import numpy as np

    from cate_hf.hub.checkpoints import load_encoder
    from cate_hf.hub.checks import check_checkpoint_folder
    from tests.tiny import CELLS

    config = check_checkpoint_folder(folder).config
    encoder = load_encoder(folder)
    known = [cell for cell in CELLS if set(cell.operations) <= set(config.operations)]
    known = [cell for cell in known if len(cell.operations) <= config.max_nodes]
    if known and config.hidden_size <= 64:
        vectors = encoder.encode(known)
        assert vectors.shape[0] == len(known)
        assert np.isfinite(vectors).all() or _overflows(folder), "encodings are not finite"


def _overflows(folder: Path) -> bool:
    """Finite weights may still be so large that products of them are not."""
    import numpy as np
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors").values()
    return any(np.abs(tensor.astype(np.float64)).max(initial=0) > 1e6 for tensor in tensors)


def _replace(folder: Path, name: str, path: Path, read: Callable[[Path], Any]) -> Any:
    original = (folder / name).read_bytes() if (folder / name).exists() else None
    try:
        (folder / name).write_bytes(path.read_bytes())
        return read(folder)
    finally:
        if original is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(original)


@target(".safetensors")
def safetensors(scratch: Path):
    folder = _checkpoint(scratch)
    sound = (folder / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", sound[:8])[0]

    def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
        if rng.random() < 0.5:
            return mutation.mutate_bytes(rng, corpus, within=(0, 8 + length))
        content = mutation.pick(rng, corpus)
        size = struct.unpack("<Q", content[:8].ljust(8, b"\0"))[0]
        size = size if size < len(content) else length
        header = mutation.mutate_json(rng, [content[8 : 8 + size]])
        return struct.pack("<Q", len(header)) + header + content[8 + size :]

    def read(path: Path) -> None:
        _replace(folder, "model.safetensors", path, _check_and_load)

    return [sound], mutate, read


@target(".json")
def config(scratch: Path):
    folder = _checkpoint(scratch)
    return (
        [(folder / "config.json").read_bytes()],
        mutation.mutate_json,
        lambda path: _replace(folder, "config.json", path, _check_and_load),
    )


@target(".json")
def tokenizer(scratch: Path):
    """The first line names the file that the rest is of."""
    folder = _checkpoint(scratch)
    names = ["tokenizer_config.json", "vocab.json", "added_tokens.json", "special_tokens_map.json"]
    contents = [(folder / name).read_bytes() for name in names[:2]]
    contents += [b'{"[PAD]": 0, "output": 6}', b'{"pad_token": "[PAD]", "mask_token": {"content": "[MASK]"}}']
    seeds = [name.encode() + b"\n" + content for name, content in zip(names, contents, strict=True)]

    def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
        name, _, content = mutation.pick(rng, corpus).partition(b"\n")
        return name + b"\n" + mutation.mutate_json(rng, [content])

    def load(folder: Path) -> None:
        from cate_hf.hub.checkpoints import load_tokenizer
        from tests.tiny import CELLS

        tokenizer = load_tokenizer(folder)
        assert tokenizer.vocab_size == 7
        assert tokenizer(CELLS, return_tensors="np")["input_ids"].max() == 6

    def read(path: Path) -> None:
        name, _, content = path.read_bytes().partition(b"\n")
        part = path.with_suffix(".part")
        part.write_bytes(content)
        _replace(folder, name.decode(), part, load)

    return seeds, mutate, read


def _cells(space: str, count: int = 6):
    from cate_hf import get_space

    return get_space(space).sample(count, seed=0)


@target(".parquet")
def parquet(scratch: Path):
    from cate_hf.table_io import read_architectures

    table, seeds = _cells("nasbench201"), []
    table.to_parquet(scratch / "packed.parquet", overwrite=True, packed=True)
    seeds.append((scratch / "packed.parquet").read_bytes())
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [architecture.to_dict() for architecture in table]
    plain = pa.Table.from_pylist([{**row, "accuracy": 0.5} for row in rows])
    for compression in ("none", "zstd"):
        pq.write_table(plain, scratch / "plain.parquet", compression=compression)
        seeds.append((scratch / "plain.parquet").read_bytes())
    return seeds, mutation.mutate_bytes, read_architectures


@target(".jsonl")
def json_lines(scratch: Path):
    from cate_hf.table_io import read_architectures

    rows = [architecture.to_dict() for architecture in _cells("nasbench201")]
    lines = [json.dumps(row | {"accuracy": 0.25 * i, "name": f"cell {i}"}).encode() for i, row in enumerate(rows)]
    return [b"\n".join(lines), lines[0]], mutation.mutate_json_lines, read_architectures


@target(".yaml")
def space(scratch: Path):
    from cate_hf.spaces import Space
    from cate_hf.spaces.custom import CustomSpace

    root = Path(__file__).parents[2]
    seeds = [(root / "docs" / "enas_like.yaml").read_bytes()]
    seeds.append(
        b"name: small\ninput: [a, b]\noutput: out\noperations:\n  conv: {parameters: 10, flops: 1e6}\n"
        b"  pool: {parameters: 0, flops: 3}\nnodes: [5, 6]\nedges: [4, 9]\nin_degree: [1, 2]\nout_degree: [1, 3]\n"
        b"skeleton: chain\nfixed_operations: {3: pool}\nedge_costs: {parameters: 2}\n"
        b"pairing: {cost: parameters, window: 5}\n"
    )
    words = ["name:", "nodes:", "&a", "*a", "!!python/object:x", "<<:", "- ", "? ", "| ", "> ", "[", "{", "~", ".inf"]
    words += [".nan", "0x10", "1_000", "1:30", "2001-01-01", "!!binary", "!!set", "---", "%YAML 1.1", "#", "\t"]

    def read(path: Path) -> None:
        found = Space.from_file(path)
        again = CustomSpace.from_definition(found.definition())
        assert again.version == found.version
        assert again.vocabulary == found.vocabulary

    return seeds, lambda rng, corpus: mutation.mutate_text(rng, corpus, words), read


@target(".tfrecord")
def tfrecord(scratch: Path):
    from cate_hf.benchmarks.nasbench101_runs import read_runs
    from tests import nasbench101_file as file

    table = file.made_up_table(_cells("nasbench101", 4), seed=3)
    runs = {epochs: file.make_runs(table, epochs, seed=1) for epochs in (36, 108)}
    file.write_file(scratch / "sound.tfrecord", table, runs, seed=2)
    sound = (scratch / "sound.tfrecord").read_bytes()

    def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
        if rng.random() < 0.2:
            return mutation.mutate_bytes(rng, corpus)
        records = file.frames_of(sound)  # framed with sound checksums, so that what is inside is looked at
        at = rng.randrange(len(records))
        if rng.random() < 0.5:
            fields = json.loads(records[at])
            metrics = mutation.mutate_bytes(rng, [base64.b64decode(fields[4])])
            records[at] = json.dumps([*fields[:4], base64.encodebytes(metrics).decode()]).encode()
        else:
            damage = mutation.mutate_json if rng.random() < 0.7 else mutation.mutate_bytes
            records[at] = damage(rng, [records[at]])
        return b"".join(map(file.frame, records))

    return [sound], mutate, read_runs


@target(".dot")
def dot(scratch: Path):
    from cate_hf import Architecture

    seeds = [
        b'strict digraph "a cell" {\n  node [operation=conv];\n  a [operation="in put"]; a -> b -> c [label="x"];\n'
        b"  subgraph s { b -> { d; e } -> c }\n  // comment\n  /* more */\n# line\n}\n",
        b"digraph { a; node [label=x]; a -> b; { node [label=y]; b -> c }; c -> d; d [label=z] d [shape=box] }",
        b'digraph { rankdir=LR; in:p -> x:q:ne; x -> out; x [label=<<b>conv</b>>]; "a\\"b" -> out; in -> "a\\"b" }',
    ]
    words = [
        "strict",
        "digraph",
        "graph",
        "subgraph",
        "node",
        "edge",
        "->",
        "--",
        "{",
        "}",
        "[",
        "]",
        "=",
        ";",
        ",",
        "+",
    ]
    words += ['"', "<", ">", "/*", "*/", "//", "\\", "label", "operation", ":"]
    return seeds, lambda rng, corpus: mutation.mutate_text(rng, corpus, words), Architecture.from_dot


@target(".txt")
def genotype(scratch: Path):
    from cate_hf import get_space
    from cate_hf.spaces import darts_genotypes

    space = get_space("darts")
    seeds = [
        b"Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        b"('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
        b"normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
        b"('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
        b"reduce_concat=range(2, 6))",
        b"DARTS = [('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        b"('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)]",
    ]
    words = [
        "Genotype(",
        "normal=",
        "reduce",
        "range(",
        "(",
        ")",
        "[",
        "]",
        ",",
        "'",
        "**",
        "*",
        "lambda",
        "1j",
        "-",
        "+",
    ]
    words += [
        "None",
        "True",
        "b'x'",
        "f'{1}'",
        "...",
        "not ",
        "if",
        "none",
        "sep_conv_5x5",
        "__import__('os')",
        "{",
        "}",
    ]

    def read(path: Path) -> None:
        text = path.read_bytes().decode("utf-8", "replace")
        darts_genotypes.parse(text)
        space.parse_pair(text)

    return seeds, lambda rng, corpus: mutation.mutate_text(rng, corpus, words), read


@target(".txt")
def notation(scratch: Path):
    """What `cate show` is given beside files: JSON, hashes, a space's notation. The first line names the space."""
    from cate_hf import get_space
    from cate_hf.graph_formats.read import read_architecture

    spaces = {b"": None} | {name.encode(): get_space(name) for name in ("nasbench201", "nasbench101")}
    cell = b"|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    json_cell = json.dumps(_cells("nasbench101", 1)[0].to_dict()).encode()
    words = ["|", "+", "~", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "skip_connect", "0", "1", "2", "3"]

    def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
        name, _, text = mutation.pick(rng, corpus).partition(b"\n")
        if text.startswith(b"{") and rng.random() < 0.8:
            return name + b"\n" + mutation.mutate_json(rng, [text])
        return name + b"\n" + mutation.mutate_text(rng, [text], words)

    def read(path: Path) -> None:
        name, _, text = path.read_bytes().partition(b"\n")
        try:
            read_architecture(text.decode("utf-8", "replace").replace("\x00", ""), spaces.get(name))
        except FileNotFoundError:
            pass  # a text that ends as the name of a file does

    return [b"nasbench201\n" + cell, b"nasbench101\n" + json_cell, b"\n" + json_cell], mutate, read


@target(".pth.tar")
def reference(scratch: Path):
    """Checkpoints of the reference code, the only torch files that are read."""
    import argparse

    import torch

    from cate_hf.hub.convert import read_reference

    content = {
        "epoch": 3,
        "config": argparse.Namespace(n_head=8, bert=argparse.Namespace(d_model=8)),
        "state_dict": {"module.opEmb.w2e.weight": torch.zeros(5, 2), "x": torch.ones(1)},
    }
    seeds = []
    for new in (True, False):
        torch.save(content, scratch / "sound.pth.tar", _use_new_zipfile_serialization=new)
        seeds.append((scratch / "sound.pth.tar").read_bytes())
    return seeds, mutation.mutate_bytes, read_reference


@target(".json")
def learned_encoding(scratch: Path):
    """config.json of a folder of D-VAE or arch2vec."""
    from cate_hf import get_space
    from cate_hf.encodings.registry import get_encoding
    from cate_hf.encodings.vae_files import bundled_model

    space, cells = get_space("nasbench201"), _cells("nasbench201", 3)
    folder = scratch / "arch2vec"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundled_model("arch2vec", space), folder)

    def load(folder: Path) -> None:
        assert get_encoding(folder, space).transform(cells).shape[0] == 3

    return (
        [(folder / "config.json").read_bytes()],
        mutation.mutate_json,
        lambda path: _replace(folder, "config.json", path, load),
    )


def make(name: str, scratch: Path | None = None) -> Target:
    """The target of a name, in a scratch folder."""
    return MAKERS[name](Path(tempfile.mkdtemp()) if scratch is None else scratch / name)
