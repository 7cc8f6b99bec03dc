"""Targets: tables, descriptions of spaces, graphs and notations, and torch files."""

import base64
import json
import random
from collections.abc import Sequence
from pathlib import Path

from cate_hf.graphs import from_dot, write_parquet
from tests.fuzz import mutation
from tests.fuzz.targets import target


def cells_of(space: str, count: int = 6):
    from cate_hf import get_space

    return get_space(space).sample(count, seed=0)


@target(".parquet")
def parquet(scratch: Path):
    from cate_hf.graphs.io import read_architectures

    table, seeds = cells_of("nasbench201"), []
    write_parquet(table, scratch / "packed.parquet", overwrite=True, packed=True)
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
    from cate_hf.graphs.io import read_architectures

    rows = [architecture.to_dict() for architecture in cells_of("nasbench201")]
    lines = [json.dumps(row | {"accuracy": 0.25 * i, "name": f"cell {i}"}).encode() for i, row in enumerate(rows)]
    return [b"\n".join(lines), lines[0]], mutation.mutate_json_lines, read_architectures


@target(".yaml")
def space(scratch: Path):
    from cate_hf.spaces.custom.custom_space import CustomSpace

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
        found = CustomSpace.from_file(path)
        again = CustomSpace.from_definition(found.definition())
        assert again.version == found.version
        assert again.vocabulary == found.vocabulary

    return seeds, lambda rng, corpus: mutation.mutate_text(rng, corpus, words), read


@target(".tfrecord")
def tfrecord(scratch: Path):
    from cate_hf.benchmarks.nasbench101._run_results import read_runs
    from tests import nasbench101_file as file

    table = file.made_up_table(cells_of("nasbench101", 4), seed=3)
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
    return seeds, lambda rng, corpus: mutation.mutate_text(rng, corpus, words), from_dot


@target(".txt")
def genotype(scratch: Path):
    from cate_hf import get_space
    from cate_hf.spaces.darts import notation as darts_notation

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
        darts_notation.parse(text)
        space.parse_pair(text)

    return seeds, lambda rng, corpus: mutation.mutate_text(rng, corpus, words), read


@target(".txt")
def notation(scratch: Path):
    """What `cate show` is given beside files: JSON, hashes, a space's notation. The first line names the space."""
    from cate_hf import get_space
    from cate_hf.graphs.formats.read import read_architecture

    spaces = {b"": None} | {name.encode(): get_space(name) for name in ("nasbench201", "nasbench101")}
    cell = b"|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    json_cell = json.dumps(cells_of("nasbench101", 1)[0].to_dict()).encode()
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
