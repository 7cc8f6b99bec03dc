"""The loop that pre-trains CATE: on masked operations of computation-aware pairs (Yan et al. 2021, sections 3 and 4.1),
and, in the default design, on statistics of each architecture's computation, which the encoding predicts.

Every step is a function of (settings, step): the global batch, its masks and each process's dropout are seeded by them.
So one process and several train on the same batches, and a run that was killed resumes to the same weights.
"""

import sys
import time
from contextlib import nullcontext
from dataclasses import asdict

import numpy as np
import torch
from accelerate import Accelerator

from cate_hf.core._files import check_run_folder, clear_folder, digest_of
from cate_hf.core._interruption import Interrupted, StopRequest
from cate_hf.core._launching import lost_processes_told, main_process_first, on_main_process, wait_for_all
from cate_hf.core._run_state import latest_state, load_state, save_state, state_to_resume
from cate_hf.hub._layout import OWN_FILES
from cate_hf.kernels import use_kernels
from cate_hf.modeling import CateForPreTraining
from cate_hf.spaces import get_space
from cate_hf.tokenization import CateTokenizer
from cate_hf.training import _trackers as trackers
from cate_hf.training._batches import IGNORED_LABEL, IdRange, TokenArrays, steps_in_epoch
from cate_hf.training._data import training_pairs, training_statistics
from cate_hf.training._evaluation import evaluate, evaluate_statistics
from cate_hf.training._finished import write_checkpoint
from cate_hf.training._global_batches import global_batches
from cate_hf.training._log import RunLog
from cate_hf.training._setup import adamw, freeze_unused, pretraining_config
from cate_hf.training.settings import TRAINING_FOLDER, PretrainSettings, RunOptions

__all__ = ["pretrain"]

_NEVER = 1 << 62
_DATA = "data"  # a state's digest of what is trained on
_OWN = (*OWN_FILES, TRAINING_FOLDER, *trackers.FOLDERS)


class Pretraining:
    """One run, in one of its processes.

    Args:
        settings: what is trained.
        options: where the checkpoint, the log and the resumable states go, and how often.
    """

    def __init__(self, settings: PretrainSettings, options: RunOptions, accelerator: Accelerator):
        self.settings, self.options, self.accelerator = settings, options, accelerator
        self.space = get_space(settings.space)
        # The main process first: it fills the caches of the enumeration and of the networks.
        (table, splits, self.pair_facts), self.targets = main_process_first(accelerator, self._data)
        self.config = pretraining_config(settings, self.space, self.targets and self.targets.names)
        self.tokenizer = CateTokenizer.from_config(self.config)
        self.tokens = TokenArrays.from_table(self.tokenizer, table)
        self.train_pairs, self.validation_pairs = splits["train"], splits["validation"]
        self._data_digest = digest_of(*self.tokens.arrays, self.train_pairs, self.validation_pairs)
        config = self.config
        self.ranges = IdRange(config.num_special_ids, config.vocab_size, config.mask_token_id, config.pad_token_id or 0)
        torch.manual_seed(settings.seed)
        self.model = CateForPreTraining._from_config(self.config, attn_implementation="sdpa")
        if accelerator.device.type == "cpu":
            use_kernels(self.model)
        freeze_unused(self.model)
        self.total_steps = settings.total_steps(steps_in_epoch(len(self.train_pairs), settings.batch_size))
        optimizer = adamw(self.model, settings, fused=accelerator.device.type in ("cpu", "cuda"))
        self.wrapped, self.optimizer = accelerator.prepare(
            self.model, optimizer
        )  # DDP where there are several processes
        self.step = 0
        self.spent_before = 0.0  # seconds of processor time, of the run that this one goes on from
        self.first_bad = torch.full((), _NEVER, device=accelerator.device)  # step of the first loss that is not finite
        self.log = RunLog(options.work / "log.jsonl" if accelerator.is_main_process else None)
        self.stop = StopRequest()

    def _data(self):
        pairs = training_pairs(self.settings, self.space)
        progress = self.accelerator.is_main_process
        return pairs, training_statistics(self.settings, self.space, pairs[0], progress)

    def resume(self) -> None:
        """Continue from the newest state. Raises ValueError when there is none, or it is of another run."""
        folder, progress = state_to_resume(self.options.work, asdict(self.settings))
        if progress["settings"].get(_DATA, self._data_digest) != self._data_digest:
            raise ValueError(f"{folder} is of another run: the architectures or their pairs have changed since")
        self.step = progress["step"]
        load_state(folder, self.model, self.optimizer)
        self.log.rewind(self.step, evaluated=self.step < self.total_steps)
        self.spent_before = self.log.last("processor_seconds") or 0.0

    def run(self) -> dict[str, float]:
        """Train to the end of the schedule; returns the last evaluation.

        Raises:
            Interrupted: after SIGINT or SIGTERM, with the state saved.
            ValueError: a loss or a weight is not finite.
        """
        settings, options, accelerator = self.settings, self.options, self.accelerator
        held_out = self.validation_pairs[
            np.random.default_rng([settings.seed, 3]).permutation(len(self.validation_pairs))[: options.evaluate_pairs]
        ]
        batches = global_batches(
            settings,
            self.tokens,
            self.train_pairs,
            self.ranges,
            self.targets,
            self.step,
            self.total_steps,
            settings.length_multiple_of(self.config),
        )
        self._report(
            f"{self.total_steps:,} steps of {settings.batch_size} pairs on {accelerator.num_processes} process(es), "
            f"{accelerator.device.type}, {accelerator.mixed_precision}"
            + (f", resumed at step {self.step:,}" if self.step else "")
        )
        self.wrapped.train()
        clock, counted = time.perf_counter(), self.step
        results: dict[str, float] = {}
        for batch in batches:
            loss = self._train_step(batch)
            self.step += 1
            last = self.step == self.total_steps
            if self.step % options.log_every == 0 or last:
                numbers = torch.cat([loss, loss.new_tensor([time.process_time()])])
                loss, *parts, spent = accelerator.reduce(numbers, "sum").tolist()
                self._check_finite()
                speed = (self.step - counted) * settings.batch_size / (time.perf_counter() - clock)
                clock, counted = time.perf_counter(), self.step
                both = {"masked_loss": parts[0], "statistics_loss": parts[1]} if all(parts) else {}
                entry = {"step": self.step, "loss": loss, **both, "pairs_per_second": speed}
                self._log(entry | {"processor_seconds": self.spent_before + spent})
            stop = self._agree_to_stop()
            if (options.save_every and self.step % options.save_every == 0) or last or stop:
                self._check_finite(weights=True)
                self._save_state()
                if not stop or last:
                    results = self._evaluate(held_out)
                clock, counted = time.perf_counter(), self.step
            if stop and not last:
                raise Interrupted(
                    f"continue with the same command and --resume (state in {options.output_dir}, "
                    f"step {self.step:,} of {self.total_steps:,})"
                )
        return results or self._evaluate(held_out)  # a resumed run may have had no step left

    def _save_state(self) -> None:
        parts = (self.model, self.optimizer, asdict(self.settings) | {_DATA: self._data_digest})
        on_main_process(self.accelerator, lambda: save_state(self.options.work, self.step, *parts))

    def _check_finite(self, weights: bool = False) -> None:
        """Raise ValueError where a loss since the last state was not finite, or, with `weights`, where they are not.

        Losses are looked at together, and rarely: each look waits for the device.
        """
        bad = self.first_bad
        if weights:
            finite = torch.stack([parameter.isfinite().all() for parameter in self.model.parameters()]).all()
            bad = torch.where(finite, bad, bad.clamp(max=self.step))
        step = int(self.accelerator.gather(bad.reshape(1)).min())
        if step < _NEVER:
            found = latest_state(self.options.work)
            raise ValueError(
                f"training has diverged: the loss or a weight is not finite at step {step:,}; last good state: "
                f"{found[0] if found else 'none'}; a new run needs a lower learning rate or --max-grad-norm"
            )

    def _evaluate(self, held_out: np.ndarray) -> dict[str, float]:
        results: dict[str, float] = {}
        if self.settings.masked_weight:
            results |= evaluate(self.model, self.tokens, held_out, self.ranges, self.settings.seed, self.accelerator)
        if self.targets is not None:
            results |= evaluate_statistics(self.model, self.tokens, self.targets, self.accelerator)
        self._log({"step": self.step, **results})
        return results

    def _train_step(self, batch: dict[str, np.ndarray]) -> torch.Tensor:
        """One optimiser step on this process's share of the global batch; returns its share of the loss, and of its
        two parts: (3,).
        """
        settings, accelerator = self.settings, self.accelerator
        processes = accelerator.num_processes
        masked = sum(int((batch[key] != IGNORED_LABEL).sum()) for key in ("labels", "pair_labels") if key in batch)
        known = int((~np.isnan(batch["statistics_labels"])).sum()) if "statistics_labels" in batch else 0
        # DDP averages gradients over processes: dividing by the global count / processes makes that the global mean.
        totals = {"num_items_in_batch": masked, "num_statistics_in_batch": known}
        # Tensors: numbers would be constants of a compiled graph, and each step a graph of its own.
        counts = {name: self._to_device(np.float32(max(total, 1)) / processes) for name, total in totals.items()}
        torch.manual_seed((settings.seed * 1_000_003 + self.step) * 4096 + accelerator.process_index)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(self.step, self.total_steps)
        shares = processes * settings.gradient_accumulation_steps
        share = torch.zeros(3, device=accelerator.device)
        for part in range(settings.gradient_accumulation_steps):
            index = accelerator.process_index * settings.gradient_accumulation_steps + part
            inputs = {}
            for name, values in batch.items():
                micro = len(values) // shares
                inputs[name] = self._to_device(values[index * micro : (index + 1) * micro])
            last = part + 1 == settings.gradient_accumulation_steps
            with nullcontext() if last else accelerator.no_sync(self.wrapped):  # gradients are averaged once a step
                outputs = self._forward(inputs, counts)
                accelerator.backward(sum(output.loss for output in outputs))
            for output in outputs:
                for i, loss in enumerate((output.loss, output.masked_loss, output.statistics_loss)):
                    if loss is not None:
                        share[i] += loss.detach() / processes
        bad = ~share[0].isfinite() & (self.first_bad == _NEVER)
        self.first_bad = torch.where(bad, self.step + 1, self.first_bad)
        if settings.max_grad_norm:
            accelerator.clip_grad_norm_(self.wrapped.parameters(), settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if accelerator.device.type == "xla":
            import torch_xla

            torch_xla.sync()  # the end of a step's graph, which a loader of XLA's own would set
        return share

    def _to_device(self, values: np.ndarray | np.floating) -> torch.Tensor:
        """The device's copy, which a GPU makes while the processor goes on to the next batch."""
        tensor = torch.from_numpy(np.asarray(values))
        if self.accelerator.device.type == "cuda":
            return tensor.pin_memory().to(self.accelerator.device, non_blocking=True)
        return tensor.to(self.accelerator.device)

    def _forward(self, inputs: dict[str, torch.Tensor], counts: dict[str, torch.Tensor]) -> list:
        """The model's outputs: one, or one of the pairs and one of the statistics where they differ in length."""
        statistics = {name: values for name, values in inputs.items() if name.startswith("statistics_")}
        pairs = {name: values for name, values in inputs.items() if name not in statistics}
        together = not (pairs and statistics)
        together = together or pairs["input_ids"].shape[1] == statistics["statistics_input_ids"].shape[1]
        return [self.wrapped(**some, **counts) for some in ((inputs,) if together else (pairs, statistics))]

    def _agree_to_stop(self) -> bool:
        if self.accelerator.num_processes == 1:
            return self.stop.made
        flag = torch.tensor(float(self.stop.made), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item())

    def _log(self, entry: dict) -> None:
        self.log.append(entry)
        if not self.accelerator.is_main_process:
            return
        self.accelerator.log({k: v for k, v in entry.items() if k != "step"}, step=entry["step"])
        shown = {k: v for k, v in entry.items() if k not in ("step", "processor_seconds")}
        numbers = "  ".join(f"{k} {v:,.4g}" for k, v in shown.items())
        self._report(f"step {entry['step']:,}/{self.total_steps:,}  {numbers}")

    def _report(self, line: str) -> None:
        if self.accelerator.is_main_process:
            print(line, file=sys.stderr, flush=True)


def pretrain(settings: PretrainSettings, options: RunOptions, accelerator: Accelerator) -> dict[str, float]:
    """Run a pre-training to its end and write the checkpoint; returns the last evaluation.

    Raises:
        ValueError: settings that do not fit, nothing to resume, a loss that is not finite.
        FileExistsError: the output folder holds something, and neither resume nor overwrite was asked for; or
            something that is not of a run, which is never removed.
        Interrupted: after SIGINT or SIGTERM, with the state saved.
    """
    output_dir = options.output_dir
    check_run_folder(output_dir, options.resume, options.overwrite, _OWN)
    run = Pretraining(settings, options, accelerator)  # raises what is wrong with the settings

    def make_folder() -> None:
        if options.overwrite and output_dir.is_dir():
            clear_folder(output_dir, _OWN)
        options.work.mkdir(parents=True, exist_ok=True)

    wait_for_all(accelerator)  # an error of one process comes before anything is removed
    on_main_process(accelerator, make_folder)
    if options.resume:
        run.resume()
    trackers.open_trackers(accelerator, settings, output_dir, options.work, run.step)
    with run.stop.listening():
        with lost_processes_told():
            results = run.run()
        write_checkpoint(run, results)
    return results
