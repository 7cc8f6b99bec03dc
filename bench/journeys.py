"""Which files a journey through the package goes through, in the order in which they are first entered.

    .venv/bin/python bench/journeys.py encode | pretrain | search

Prints a file a line, and how often it was entered from another one. docs/decisions/journeys.md was made of it.
"""

import json
import sys
import tempfile
import threading
from pathlib import Path

CELL = {"operations": ["input", "conv3x3-bn-relu", "output"], "adjacency": [[0, 1, 1], [0, 0, 1], [0, 0, 0]]}
ROOMS = ("/cate_hf/", "/modeling/", "/tokenization/")
_ENTERED: list[str] = []


def _enter(frame, event, argument) -> None:
    code = frame.f_code
    if event != "call" or code.co_name == "<module>" or not code.co_flags & 2:  # neither modules nor bodies of classes
        return
    for room in ROOMS:
        _, found, rest = code.co_filename.rpartition(room)
        if found:
            name = rest if room == "/cate_hf/" else f"{room.strip('/')}/{rest}"
            if not _ENTERED or _ENTERED[-1] != name:
                _ENTERED.append(name)
            return


def walk(journey: str, folder: Path) -> None:
    """Run one journey: 1 cell encoded, 1 step of pre-training, or 20 queries of CATE-DNGO-LS."""
    from cate_hf.cli import main
    from cate_hf.training.pretrain import main as pretrain

    cells = folder / "cells.jsonl"
    cells.write_text(json.dumps(CELL) + "\n", encoding="utf-8")
    small = ["--max-steps", "1", "--batch-size", "8", "--evaluate-pairs", "8", "--statistics-weight", "0"]
    space = ["--space", "nasbench201"]
    search = ["--encoding", "cate", "--algorithm", "cate-dngo-ls", "--queries", "20", "--trials", "1"]
    journeys = {
        "encode": lambda: main(
            ["encode", "--input", str(cells), "--model", "nasbench101", "--output", str(folder / "encodings.parquet")]
        ),
        "pretrain": lambda: pretrain(["--cpu", *space, "--output-dir", str(folder / "run"), *small]),
        "search": lambda: main(["search", *space, *search, "--output", str(folder / "search.json")]),
    }
    journeys[journey]()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.setprofile(_enter)
        threading.setprofile(_enter)
        try:
            walk(sys.argv[1], Path(made))
        finally:
            sys.setprofile(None)
    for entered in dict.fromkeys(_ENTERED):
        print(f"{_ENTERED.count(entered):5}  {entered}")
