"""A finished pre-training run as a bundled checkpoint: the model, without code, and a card with its measured τ.

    python bench/bundle_checkpoint.py RUN OUTPUT --tau tau.json [more.json ...]

tau.json is what `bench/frozen_tau.py --output` wrote; its first encoding is the run's. More files of the same seeds and
test cells add encodings to compare with. Of a mixed run there may be files of each of its spaces.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cate_hf.hub.cards import ON_SPACE
from cate_hf.spaces.mixed import SEPARATOR
from cate_hf.training.settings import TRAINING_FOLDER


def bundle(run: Path, output: Path, tau_files: Sequence[Path] = (), overwrite: bool = False) -> Path:
    """Save the model of `run` with its facts, and the τ of `tau_files` where given, as the checkpoint `output`.

    Raises:
        ValueError: `run` is not a finished run, or a file of τ was measured otherwise than the first of its space.
    """
    from cate_hf.hub._layout import SPACE_FILE
    from cate_hf.hub.load import load_model, load_tokenizer
    from cate_hf.hub.save import save_checkpoint
    from cate_hf.modeling import CateForPreTraining

    facts_file = run / TRAINING_FOLDER / "facts.json"
    if not facts_file.is_file():
        raise ValueError(f"{run}: not a finished pre-training run: {TRAINING_FOLDER}/facts.json is missing")
    facts = json.loads(facts_file.read_text())
    if tau_files:
        facts |= tau_facts(tau_files, SEPARATOR in facts["space"])
    model = load_model(run, CateForPreTraining)
    described = run / SPACE_FILE
    definition = described.read_text(encoding="utf-8") if described.is_file() else None
    tokenizer = load_tokenizer(run)
    return save_checkpoint(output, model, tokenizer, facts, overwrite, definition, remote_code=False)


def tau_facts(files: Sequence[Path], mixed: bool) -> dict:
    """The best of the predictors for each encoding and number of labels, and how they were measured; of a mixed run for
    each of the spaces."""
    reports = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    first = reports[0]
    firsts = {}  # by space: the first report, and its file
    for file, report in zip(files, reports, strict=True):
        other, where = firsts.setdefault(report["space"], (report, file)) if mixed else (first, files[0])
        for name in ("split", "seeds", "space", "test_size", "oracle"):
            if report[name] != other[name]:
                raise ValueError(f"{file}: {name} is {report[name]!r}, and {other[name]!r} in {where}")
    taus: dict[str, dict[int, float]] = {}
    for report in reports:
        for name, by_labels in report["tau"].items():
            best = {int(n): max(float(np.mean(values)) for values in by.values()) for n, by in by_labels.items()}
            taus.setdefault(f"{name}{ON_SPACE}{report['space']}" if mixed else name, best)
    protocols = [
        (f"On {report['space']}: " if mixed else "")
        + f"{report['seeds']} seeds, {report['test_size']:,} test cells, oracle: {report['oracle']}"
        for report, _ in (firsts or {"": (first, None)}).values()
    ]
    protocol = f"The best of ridge, Gaussian process and extra trees, mean of {'; '.join(protocols)}"
    if mixed:
        protocol = f"The best of ridge, Gaussian process and extra trees, mean over seeds. {'; '.join(protocols)}"
    return {"kendall_tau": taus, "tau_protocol": f"{protocol} (`bench/frozen_tau.py`)."}


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
