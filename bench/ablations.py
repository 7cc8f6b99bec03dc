"""What each choice of the default design does to frozen encodings: short trainings that differ in one choice, each
measured on development cells, which no final figure uses.

    python bench/ablations.py --benchmark cells.parquet [--space nasbench101] [--variants base split ...]
        [--steps 600] [--seeds 2] [--cells 24000] [--initialisations 2] [--labels 50 150 424] [--output F.jsonl]

A variant is a list of choices, `name=value` in `CHOICES`, that differ from the base; "base" is the base. Training is on
the statistics of `cate_hf.training._statistics_targets`, on computation-aware pairs too where masked operations have a
weight, on one process, in the main loop's order of batches. What is printed is the mean over seeds, of weights and of
batches, of the best of ridge, Gaussian process and extra trees, as `cate evaluate` measures it, each on three draws of
labelled cells; and its spread over the seeds. One line of JSON a training goes to the output, which is added to.
"""

import argparse
import json
import os
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cate_hf.benchmarks import find_benchmark
from cate_hf.data.pairs import build_pairs
from cate_hf.experiments._prediction import TEST_SIZE, predict, split, to_target
from cate_hf.kernels import use_kernels
from cate_hf.modeling import CateConfig, CateForPreTraining
from cate_hf.spaces import get_space
from cate_hf.tokenization import CateTokenizer
from cate_hf.training import _batches as pair_batches
from cate_hf.training import _statistics_targets as statistics_module
from cate_hf.training._batches import IdRange, TokenArrays, training_batches
from cate_hf.training._setup import parameter_groups, set_encoding_scale
from cate_hf.training._statistics_targets import MOST, StatisticsTargets, statistics_batch, statistics_targets

PREDICTORS = ("ridge", "gp", "trees")
DRAWS = 3
LEARNING_RATE, WARMUP = 2e-3, 50
# Of training, not of the model: masked, the pairs a step; batch, the architectures with statistics a step; targets,
# which statistics there are; form, what of the encoding is measured; scaling, of the targets: cut at ±4 (clipped), not
# cut (plain) or by rank; pooled, what the encoding is projected from; masking, the share of masked operations;
# contrast, the weight of a contrastive term over `contrast_pairs` pairs of about equal cost.
CHOICES = {
    "masked": 0,
    "batch": 1024,
    "targets": "all",
    "form": "both",
    "cells": None,
    "rate": LEARNING_RATE,
    "scaling": "clipped",
    "pooled": "all",
    "masking": pair_batches.MASK_PROBABILITY,
    "contrast": 0.0,
    "contrast_pairs": 128,
}
POOLED = ("mean", "output", "sum")
TEMPERATURE = 0.1  # of the contrastive term


class Bench:
    """What all trainings share."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.space = get_space(options.space)
        self.table, self.pairs, _ = build_pairs(self.space)
        self.tokenizer = CateTokenizer.from_config(CateConfig.for_space(self.space))
        self.tokens = TokenArrays.from_table(self.tokenizer, self.table)
        self.all_targets = {}  # by their scaling
        benchmark = find_benchmark(options.space, options.benchmark)
        cells = self.space.pool()
        target = to_target(benchmark.query_many(cells, benchmark.default_field), benchmark.default_field)
        # Only what is measured is encoded.
        test, rest = split(len(cells), True)
        drawn = [
            np.random.default_rng([seed, n]).choice(rest, n, replace=False)
            for n in options.labels
            for seed in range(DRAWS)
        ]
        self.wanted = np.unique(np.concatenate([test, *drawn]))
        self.target, self.cells = target, cells

    def scaled(self, scaling: str) -> StatisticsTargets:
        """The statistics standardised and cut (clipped), standardised (plain), or as normal scores of their ranks."""
        if scaling not in self.all_targets:
            with no_cut() if scaling == "plain" else nullcontext():
                found = statistics_targets(
                    self.space, self.table, self.options.cells, self.options.initialisations, progress=True
                )
            if scaling == "rank":
                found = replace(
                    found, structure=normal_scores(found.structure), initialisation=normal_scores(found.initialisation)
                )
            self.all_targets[scaling] = found
        return self.all_targets[scaling]

    def targets(self, choice: str, cells: int | None, scaling: str = "clipped"):
        """The statistics of a choice: all, structure or initialisation; the latter of the first `cells` measured."""
        found = self.scaled(scaling)
        if cells is not None:
            found = replace(found, measured=found.measured[:cells], initialisation=found.initialisation[:cells])
        if choice == "structure":
            kept = slice(0, found.num_structure)
            none = {"measured": found.measured[:0], "initialisation": found.initialisation[:0, :0]}
            return replace(found, names=found.names[kept], held_out=found.held_out[:0], **none)
        return found

    def train(self, choices: dict, seed: int) -> tuple[CateForPreTraining, dict]:
        """One training; the model, and facts about it."""
        training = {name: choices.get(name, default) for name, default in CHOICES.items()}
        fields = {name: value for name, value in choices.items() if name not in CHOICES}
        targets = self.targets(training["targets"], training["cells"], training["scaling"])
        if not training["masked"]:
            fields |= {"masked_loss_weight": 0.0}
        config = CateConfig.for_space(self.space, statistics=list(targets.names), **fields)
        torch.manual_seed(seed)
        model = CateForPreTraining._from_config(config).train()
        use_kernels(model)
        pool_only(model, training["pooled"])
        optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=training["rate"], fused=True)
        ranges = IdRange(config.num_special_ids, config.vocab_size, config.mask_token_id, config.pad_token_id)
        steps = self.options.steps
        pairs = max(training["masked"], 1)
        pair_batches.MASK_PROBABILITY = training["masking"]
        batches = training_batches(self.tokens, self.pairs["train"], ranges, pairs, seed, 0, steps)
        start, losses = time.process_time(), []
        for step, batch in enumerate(batches):
            rng = np.random.default_rng([seed, 6, step])
            batch |= statistics_batch(self.tokens, targets, training["batch"], rng)
            for group in optimizer.param_groups:
                group["lr"] = training["rate"] * min((step + 1) / WARMUP, (steps - step) / (steps - WARMUP))
            with torch.autocast("cpu", torch.bfloat16):
                output = model(**{name: torch.from_numpy(value) for name, value in batch.items()})
                if training["contrast"]:
                    rows = self.pairs["train"][rng.integers(0, len(self.pairs["train"]), training["contrast_pairs"])]
                    output.loss = output.loss + training["contrast"] * self.contrast(model, rows)
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(output.statistics_loss.item())
        set_encoding_scale(model, self.tokens)
        facts = {
            "loss": float(np.mean(losses[-50:])),
            "seconds": round(time.process_time() - start, 1),
            "parameters": sum(p.numel() for p in model.cate.parameters()),
        }
        return model.eval(), facts

    def contrast(self, model: CateForPreTraining, rows: np.ndarray) -> torch.Tensor:
        """Of pairs (P, 2) of rows: each one's partner has to be told from the other pairs' by the learned part of the
        encodings (the loss of SimCLR, Chen et al. 2020)."""
        rows = rows.T.ravel()
        inputs = (self.tokens.input_ids[rows].astype(np.int64), self.tokens.attention_mask[rows])
        inputs = [torch.from_numpy(array) for array in (*inputs, self.tokens.adjacency[rows])]
        learnt = model.cate(*inputs).pooler_output[:, : model.config.learnt_size].float()
        learnt = torch.nn.functional.normalize(learnt - learnt.mean(0), dim=-1)
        scores = (learnt @ learnt.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        return torch.nn.functional.cross_entropy(scores, torch.arange(len(rows)).roll(len(rows) // 2))

    def encode(self, model: CateForPreTraining, form: str) -> np.ndarray:
        """(N, E) encodings of the cells, 0 where they are not measured."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(self.wanted), 1024):
                rows = self.wanted[start : start + 1024]
                batch = self.tokenizer(self.cells[rows], return_tensors="pt")
                parts.append(model.cate(**batch).pooler_output.float().numpy())
        found = np.concatenate(parts)
        learnt = model.config.learnt_size
        found = {"both": found, "learnt": found[:, :learnt], "statistics": found[:, learnt:]}[form]
        encodings = np.zeros((len(self.cells), found.shape[1]), np.float32)
        encodings[self.wanted] = found
        return encodings

    def tau(self, encodings: np.ndarray) -> dict[int, dict[str, float]]:
        found = predict(encodings, self.target, self.options.labels, DRAWS, True, PREDICTORS)
        return {n: {p: float(np.mean(of["kendall_tau"])) for p, of in by.items()} for n, by in found.items()}


@contextmanager
def no_cut():
    """Statistics are standardised only."""
    statistics_module.MOST = np.inf
    try:
        yield
    finally:
        statistics_module.MOST = MOST


def normal_scores(values: np.ndarray) -> np.ndarray:
    """(N, S) each column's ranks, ties at their mean, as quantiles of the normal distribution, of deviation 1."""
    from scipy.stats import norm, rankdata

    scores = np.empty_like(values)
    for column in range(values.shape[1]):
        found = norm.ppf((rankdata(values[:, column].astype(np.float32)) - 0.5) / len(values))
        scores[:, column] = (found - found.mean()) / found.std()
    return scores


def pool_only(model: CateForPreTraining, pooled: str) -> None:
    """The encoding is projected from the mean, the output's state or the sum of the nodes alone, or from all."""
    if pooled == "all":
        return
    size = model.config.hidden_size
    kept = torch.zeros(3, size)
    kept[POOLED.index(pooled)] = 1
    model.cate.pooler.projection.register_forward_pre_hook(lambda _, inputs: (inputs[0] * kept.ravel(),))


def parse_variant(text: str) -> dict:
    """Choices of a variant: "relation_buckets=1,node_features=false"."""
    if text == "base":
        return {}
    pairs = [part.split("=", 1) for part in text.split(",")]
    return {name: _value(value) for name, value in pairs}


def _value(text: str):
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="nasbench101")
    parser.add_argument("--benchmark")
    parser.add_argument("--variants", nargs="+", default=["base"])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cells", type=int, default=24_000)
    parser.add_argument("--initialisations", type=int, default=2)
    parser.add_argument("--labels", nargs="+", type=int, default=[50, 150, 424])
    parser.add_argument("--output", type=Path, help="variants that are in it with these steps are not trained again")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("CATE_HF_THREADS") or os.cpu_count() or 1))
    bench = Bench(options)
    labels = " | ".join(map(str, options.labels))
    print(f"Kendall τ, {TEST_SIZE:,} development cells, {options.seeds} seeds, {options.steps} steps\n")
    print(f"| variant | form | {labels} | loss | seconds |")
    print("|---|---|" + "---|" * (len(options.labels) + 2))
    done = [json.loads(line) for line in open(options.output)] if options.output and options.output.exists() else []
    for variant in options.variants:
        if any((row["variant"], row["steps"]) == (variant, options.steps) for row in done):
            continue
        choices = parse_variant(variant)
        trained = [bench.train(choices, seed) for seed in range(options.seeds)]
        # What of the encoding is measured needs no other training.
        for form in [choices["form"]] if "form" in choices else ["both", "learnt", "statistics"]:
            taus = [bench.tau(bench.encode(model, form)) for model, _ in trained]
            cells = []
            for n in options.labels:
                best = max(PREDICTORS, key=lambda p, n=n: np.mean([tau[n][p] for tau in taus]))
                values = [tau[n][best] for tau in taus]
                cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f} ({best})")
            loss, seconds = (np.mean([facts[name] for _, facts in trained]) for name in ("loss", "seconds"))
            print(f"| {variant} | {form} | {' | '.join(cells)} | {loss:.4f} | {seconds:.0f} |", flush=True)
            if options.output:
                row = {"variant": variant, "form": form, "steps": options.steps, "tau": taus}
                row["facts"] = [facts for _, facts in trained]
                with open(options.output, "a") as file:
                    file.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
