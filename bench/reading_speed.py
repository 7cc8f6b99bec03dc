"""Speed of reading what others write: the public CATE code's preprocessing (one-hot rows and hashes), records of
pandas, CSV of lists, and NAS-Bench-201's text.

Files are written for sampled cells of NAS-Bench-101; reading ends with architectures whose hashes are checked. Times
are of the processor, of this process; all 423,624 cells take the time of the sample times the ratio of their sizes.

Usage: python bench/reading_speed.py [--rows N]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from cate_hf import ArchitectureTable, get_space
from cate_hf.spaces.rows import read_table

ALL = 423_624


def one_hot(cells: ArchitectureTable) -> dict:
    found = {}
    for row, cell in enumerate(cells):
        codes, adjacency = np.zeros((7, 5), int), np.zeros((7, 7), int)
        codes[np.arange(cell.num_nodes), [cells.vocabulary.index(name) for name in cell.operations]] = 1
        adjacency[: cell.num_nodes, : cell.num_nodes] = cell.adjacency
        found[str(row)] = {
            "hash": str(cells.columns["hash"][row]),
            "module_adjacency": adjacency.tolist(),
            "module_operations": codes.tolist(),
            "parameters": int(cells.columns["parameters"][row]),
            "validation_accuracy": 0.9,
            "test_accuracy": 0.9,
            "training_time": 1000.5,
        }
    return found


def timed(function, *arguments) -> float:
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30_000)
    rows = parser.parse_args().rows
    space = get_space("nasbench101")
    cells = space.sample(rows, seed=1)
    frame = pd.DataFrame([cell.to_dict() | {"accuracy": 0.9} for cell in cells])
    hashing = timed(space.hash_many, cells.replace_columns({}))
    print(f"{'hashes alone':<28} {hashing:6.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "one-hot, by index": ("preprocessed.json", lambda path: path.write_text(json.dumps(one_hot(cells)))),
            "records": ("records.json", lambda path: frame.to_json(path, orient="records")),
            "JSON Lines": ("lines.jsonl", lambda path: frame.to_json(path, orient="records", lines=True)),
            "CSV of lists": ("lists.csv", lambda path: frame.to_csv(path, index=False)),
            "Parquet": ("table.parquet", frame.to_parquet),
        }
        for name, (file, write) in files.items():
            path = Path(folder) / file
            write(path)
            seconds = timed(read_table, path, space)
            print(f"{name:<28} {seconds:6.2f} s of {rows:,} rows; of {ALL:,} {seconds * ALL / rows:5.1f} s")
    space = get_space("nasbench201")
    texts = [space.native(cell) for cell in space.enumerate()]
    print(f"{'NAS-Bench-201 text':<28} {timed(space.parse_many, texts):6.2f} s of {len(texts):,} texts")


if __name__ == "__main__":
    main()
