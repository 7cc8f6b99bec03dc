"""A finished pre-training run as a checkpoint that can be given away: the model, and a card with its measured τ.

    python -m cate_hf.training.bundle RUN OUTPUT --tau tau.json [more.json ...]

tau.json is what `bench/frozen_tau.py --output` wrote; its first encoding is the run's. More files of the same seeds and
test cells add encodings to compare with.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cate_hf.training.pretrain import TRAINING_FOLDER


def bundle(run: Path, output: Path, tau_files: Sequence[Path] = (), overwrite: bool = False) -> Path:
    """Save the model of `run` with its facts, and the τ of `tau_files` where given, as the checkpoint `output`.

    Raises:
        ValueError: `run` is not a finished run, or a file of τ was measured otherwise than the first.
    """
    from cate_hf.hub.checkpoints import SPACE_FILE, load_model, load_tokenizer, save_checkpoint
    from cate_hf.modeling import CateForPreTraining

    facts_file = run / TRAINING_FOLDER / "facts.json"
    if not facts_file.is_file():
        raise ValueError(f"{run}: not a finished pre-training run: {TRAINING_FOLDER}/facts.json is missing")
    facts = json.loads(facts_file.read_text())
    if tau_files:
        facts |= _tau_facts(tau_files)
    model = load_model(run, CateForPreTraining)
    described = run / SPACE_FILE
    definition = described.read_text(encoding="utf-8") if described.is_file() else None
    return save_checkpoint(output, model, load_tokenizer(run), facts, overwrite, space_definition=definition)


def _tau_facts(files: Sequence[Path]) -> dict:
    """The best of the predictors for each encoding and number of labels, and how they were measured."""
    reports = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    first = reports[0]
    for file, report in zip(files, reports, strict=True):
        for name in ("split", "seeds", "space", "test_size", "oracle"):
            if report[name] != first[name]:
                raise ValueError(f"{file}: {name} is {report[name]!r}, and {first[name]!r} in {files[0]}")
    taus: dict[str, dict[int, float]] = {}
    for report in reports:
        for name, by_labels in report["tau"].items():
            best = {int(n): max(float(np.mean(values)) for values in by.values()) for n, by in by_labels.items()}
            taus.setdefault(name, best)
    protocol = (
        f"The best of ridge, Gaussian process and extra trees, mean of {first['seeds']} seeds, "
        f"{first['test_size']:,} test cells, oracle: {first['oracle']} (`bench/frozen_tau.py`)."
    )
    return {"kendall_tau": taus, "tau_protocol": protocol}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--tau", type=Path, nargs="+", default=[])
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    try:
        print(f"checkpoint in {bundle(options.run, options.output, options.tau, options.overwrite)}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
