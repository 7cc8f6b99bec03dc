"""The package at work in a few minutes: `make demo`, or `python -m cate_hf.demo`."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cate_hf.core._console import any_console
from cate_hf.encodings.cate import load_encoder
from cate_hf.encodings.files import encode_to_parquet, read_encodings
from cate_hf.encodings.neighbours import neighbours_in, print_neighbours
from cate_hf.experiments.maps import principal_map
from cate_hf.graphs import draw
from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space, get_space

__all__ = ["main"]

QUERIES, TRIALS = 100, 10  # of each search
PREDICTOR = "nasbench101-accuracy"
# A residual block as in ResNet: two 3x3 convolutions, and the input added to what they give.
RESNET_LIKE = Architecture(
    ["input", "conv3x3-bn-relu", "conv3x3-bn-relu", "output"], [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
)


def say(text: str) -> None:
    print(text, flush=True)


def encode_all(model: str, table: ArchitectureTable, output: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """Encode a space, or read what a run with the same weights wrote: the file, (N, D), and the famous cell's (D,)."""
    encoder = load_encoder(model)
    file = output / f"encodings-{encoder.fingerprint()[:12]}.parquet"
    if not file.exists():
        encode_to_parquet(model, file, encoder.space, progress=True)
    return file, read_encodings(file, table), encoder.encode(RESNET_LIKE)[0]


def draw_map(encodings: np.ndarray, parameters: np.ndarray, marked: np.ndarray, famous: int, file: Path) -> float:
    """Scatter two principal components of (N, D), coloured by parameters; returns their share of the variance."""
    from matplotlib.figure import Figure

    points, share = principal_map(encodings)
    order = np.random.default_rng(0).permutation(len(points))  # so that no colour lies on top
    figure = Figure(figsize=(9, 7), layout="constrained")
    axis = figure.add_subplot()
    dots = axis.scatter(
        points[order, 0], points[order, 1], c=np.log10(parameters[order]), s=0.4, linewidths=0, cmap="viridis"
    )
    near = axis.scatter(
        points[marked, 0],
        points[marked, 1],
        s=36,
        facecolors="none",
        edgecolors="black",
        label="its nearest neighbours",
    )
    star = axis.scatter(
        points[famous, 0],
        points[famous, 1],
        marker="*",
        s=220,
        color="red",
        edgecolors="black",
        label="ResNet-like cell",
    )
    axis.legend(handles=[star, near], loc="best")
    axis.set_xlabel("first principal component")
    axis.set_ylabel("second principal component")
    axis.set_title(f"Encodings of {len(points):,} cells ({100 * share:.0f} % of their variance)")
    bar = figure.colorbar(dots, label="trainable parameters")
    ticks = [value for value in (3e5, 1e6, 3e6, 1e7, 3e7) if parameters.min() <= value <= parameters.max()]
    bar.set_ticks(np.log10(ticks).tolist(), labels=[f"{value / 1e6:g} M" for value in ticks])
    figure.savefig(file, dpi=140)
    return share


def pretrain(space: str, output: Path, steps: int) -> str:
    """A short pre-training by a real `accelerate launch`; returns the command. Raises OSError when it fails."""
    beside = Path(sys.executable).with_name("accelerate")
    launcher = str(beside) if beside.exists() else shutil.which("accelerate") or "accelerate"
    launch = "launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no".split()
    command = ["-m", "cate_hf.training.pretrain", "--space", space, "--output-dir", str(output), "--overwrite"]
    command += ["--max-steps", str(steps), "--batch-size", "256", "--evaluate-pairs", "2048", "--save-every", "0"]
    shown = " ".join(["accelerate", "launch", *command])
    say(f"   {shown}")
    done = subprocess.run([launcher, *launch, *command])
    if done.returncode:
        raise OSError(f"pre-training ended with exit code {done.returncode}")
    return shown


def run(output: Path, model: str, steps: int) -> None:
    start = time.perf_counter()
    output.mkdir(parents=True, exist_ok=True)
    space = get_space("nasbench101")

    def took() -> str:
        return f"[{time.perf_counter() - start:.0f} s]"

    say("1. All cells of NAS-Bench-101")
    table = space.enumerate(progress=True)
    say(f"   {len(table):,} unique cells, kept in the cache folder for the next time {took()}")

    say(f"\n2. Their encodings by the checkpoint {model}")
    file, encodings, vector = encode_all(model, table, output)
    say(f"   {encodings.shape[0]:,} x {encodings.shape[1]} numbers in {file} {took()}")

    say("\n3. A famous cell, the residual block of ResNet, and the cells whose encodings are nearest to its own")
    query = space.with_costs(space.table([RESNET_LIKE]))
    draw(RESNET_LIKE, output / "cell.png")
    found = neighbours_in(space, table, encodings, query, vector, 10)
    print_neighbours(found)
    say(f"   a picture of the cell is in {output / 'cell.png'}")

    say("\n4. A map of the space")
    hashes = table.columns["hash"]
    famous = int(np.searchsorted(hashes, query.columns["hash"][0]))
    marked = np.searchsorted(hashes, found.found.columns["hash"])
    share = draw_map(encodings, table.columns["parameters"], marked, famous, output / "map.png")
    say(f"   two principal components, {100 * share:.0f} % of the variance, in {output / 'map.png'} {took()}")

    say(f"\n5. The best small cells by the bundled predictor {PREDICTOR}: predictions of a surrogate, not measurements")
    predict_best(space, table)
    say(f"   {took()}")

    say("\n6. A short pre-training from nothing, by accelerate, and what AutoModel makes of it")
    pretrain(space.name, output / "pretrained", steps)
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    own = AutoModel.from_pretrained(output / "pretrained").eval()
    batch = AutoTokenizer.from_pretrained(output / "pretrained")([RESNET_LIKE], return_tensors="pt")
    shape = tuple(own(**batch).pooler_output.shape)
    say(f"   {type(own).__name__} from {output / 'pretrained'}: pooler_output {shape} {took()}")

    say("\n7. Searches on NAS-Bench-201, with the accuracies that its networks really reached")
    search(output)
    say(f"   the regret of each, by number of queries, is in {output / 'regret.png'} {took()}")
    say(f"\ndone in {time.perf_counter() - start:.0f} s; the files are in {output}/")


def predict_best(space: Space, table: ArchitectureTable) -> None:
    """The five cells of the highest predicted accuracy, of all that are no larger than ResNet's block."""
    from cate_hf.predictor import load_predictor

    small = table[table.columns["parameters"] <= space.parameters(RESNET_LIKE)]
    best = load_predictor(PREDICTOR).top_k(5, small, screened=2000, progress=True)
    say(f"   of {len(small):,} cells with no more parameters than the residual block:")
    for row, cell in enumerate(best):
        mean, deviation = best.columns["predicted"][row], best.columns["deviation"][row]
        operations = ", ".join(cell.operations[1:-1])
        say(f"   {best.columns['hash'][row]}  {mean:.4f} ± {deviation:.4f}  {operations}")


def search(output: Path) -> None:
    """Searches on NAS-Bench-201, by vectors and without, a file each and a figure of all."""
    from cate_hf.search._units import in_words, percentage_points
    from cate_hf.search.figure import draw_regret
    from cate_hf.search.run import SearchSettings, search_to_file

    results = {}
    for algorithm in ("random", "regularized-evolution", "cate-dngo-ls", "cate-predictor"):
        file = output / f"search-{algorithm}.json"
        found = search_to_file(SearchSettings("nasbench201", algorithm, QUERIES, TRIALS), file, overwrite=True)
        results[algorithm] = found
        end = found["summary"]["regret"][str(QUERIES)]
        unit = percentage_points(found["report_field"], found["trials"])
        mean = in_words("regret", unit, end["mean"], end["standard_error"])
        say(f"   {algorithm}: mean {mean} after {QUERIES} queries, in {file}")
    say(f"   told and judged by: {found['reported']}")
    draw_regret(results, output / "regret.png", overwrite=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; returns the exit code."""
    any_console()
    parser = argparse.ArgumentParser(prog="python -m cate_hf.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder of the files")
    parser.add_argument("--model", default="nasbench101", help="checkpoint that encodes: a bundled name or a folder")
    parser.add_argument("--steps", type=int, default=60, help="steps of the short pre-training")
    options = parser.parse_args(arguments)
    try:
        run(options.output, options.model, options.steps)
    except (ValueError, OSError) as error:
        if os.environ.get("CATE_DEBUG"):
            raise
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
