"""Label-free training of the encodings by graph autoencoders: D-VAE and arch2vec.

Every step is a function of (settings, architectures, step): its batch, its noise and its dropout are seeded by them. So
a run that was killed resumes to the same weights, to the bit on the same processor with as many threads.
"""

import json
import math
import shutil
import time
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cate_hf.autoencoders._files import OWN_NAMES, table_digest, write_model
from cate_hf.autoencoders._graphs import GraphBatch, GraphShape
from cate_hf.autoencoders.settings import EncodingSettings, encoding_class
from cate_hf.core._files import check_run_folder, clear_folder
from cate_hf.core._interruption import Interrupted, StopRequest
from cate_hf.core._progress import progress_bar
from cate_hf.core._run_state import load_state, save_state, state_to_resume
from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces import Space, get_space

__all__ = ["train_to_folder"]

STATES = "training"  # under the output folder: log and resumable states
_HELD_OUT = 10  # one in so many architectures is not trained on (both papers)
_MAX_GRAD_NORM = 5.0


class EncodingTraining:
    """One run.

    Args:
        settings: what is trained.
        table: the architectures, of which one in ten is held out.
        folder: where the encoding goes; its folder `training` holds the log and the resumable states.
        device: "cpu", "cuda", ...

    Raises:
        ValueError: no architecture.
    """

    def __init__(self, settings: EncodingSettings, space: Space, table: ArchitectureTable, folder: Path, device: str):
        if not len(table):
            raise ValueError(f"encoding {settings.encoding!r}: there is no architecture to learn from")
        self.settings, self.space, self.folder, self.device = settings, space, folder, device
        self.table, self.digest = space.table(table), table_digest(table)
        order = np.random.default_rng([settings.seed, 1]).permutation(len(table))
        held = len(table) // _HELD_OUT
        self.held_out_rows, self.train_rows = order[:held], order[held:][: settings.train_size]
        self.batch_size = min(settings.recipe.batch_size, len(self.train_rows))
        self.total_steps = settings.steps(len(self.train_rows))
        with torch.random.fork_rng(self._cuda_devices()):
            torch.manual_seed(settings.seed)
            self.model = (
                encoding_class(settings.encoding).model_class(settings.model_config(), GraphShape.of(space)).to(device)
            )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.recipe.learning_rate, fused=True)
        self.step, self.first_step, self.loss, self.seconds = 0, 0, math.nan, 0.0
        self.stop = StopRequest()

    def _cuda_devices(self) -> list[int]:
        device = torch.device(self.device)
        return [device.index or 0] if device.type == "cuda" else []

    @property
    def states(self) -> Path:
        return self.folder / STATES

    def _saved_settings(self) -> dict[str, Any]:
        sizes = {"model": asdict(self.settings.model_config()), "architectures": self.digest}
        return asdict(self.settings) | sizes | {"total_steps": self.total_steps}

    def resume(self) -> None:
        """Continue from the newest state. Raises ValueError when there is none, or it is of another run."""
        folder, progress = state_to_resume(self.states, self._saved_settings())
        load_state(folder, self.model, self.optimizer)
        self.step = self.first_step = progress["step"]

    def rows_of(self, step: int) -> np.ndarray:
        """Rows of the table that a step trains on: an epoch has all of the training's but for a last partial batch."""
        in_epoch = max(1, len(self.train_rows) // self.batch_size)
        epoch, place = divmod(step, in_epoch)
        order = _order(self.settings.seed, epoch, len(self.train_rows))
        return self.train_rows[order[place * self.batch_size : (place + 1) * self.batch_size]]

    def run(self, save_every: int = 500, progress: bool = False) -> None:
        """Train to the end.

        Raises:
            Interrupted: after SIGINT or SIGTERM, with the state saved.
            ValueError: the loss is not finite.
        """
        name = self.settings.encoding
        with (
            torch.random.fork_rng(self._cuda_devices()),
            self.stop.listening(),
            progress_bar(f"training {name} on {self.space.name}", self.total_steps, "steps", progress) as advance,
        ):
            advance(self.step)
            self.model.train()
            self.states.mkdir(parents=True, exist_ok=True)
            clock = time.perf_counter()
            while self.step < self.total_steps:
                loss = self._train_step()
                self.step += 1
                advance(1)
                last = self.step == self.total_steps
                if self.step % save_every == 0 or last or self.stop.made:
                    self.loss = float(loss)
                    if not math.isfinite(self.loss):
                        raise ValueError(f"{name}: the loss is {self.loss} at step {self.step:,}")
                    save_state(self.states, self.step, self.model, self.optimizer, self._saved_settings())
                    self._log()
                if self.stop.made and not last:
                    raise Interrupted(f"stopped at step {self.step:,} of {self.total_steps:,}; continue with --resume")
            self.seconds = time.perf_counter() - clock
        self.model.eval()

    def _train_step(self) -> torch.Tensor:
        settings = self.settings
        torch.manual_seed(settings.seed * 1_000_003 + self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(self.step, self.total_steps)
        graphs = GraphBatch.from_table(self.table[self.rows_of(self.step)], self.model.shape, self.device)
        loss = self.model.loss(graphs)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MAX_GRAD_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def _log(self) -> None:
        with open(self.states / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.step, "loss": self.loss}) + "\n")

    def save(self, measure: bool = True, progress: bool = False, command: str = "") -> dict[str, Any]:
        """Measure what the model reconstructs, and put config.json, weights and facts in the folder; returns the
        facts.
        """
        from cate_hf.autoencoders._figures import measure as measure_figures

        facts = {
            **asdict(self.settings),
            "command": command,
            "architectures": len(self.table),
            "trained_on": len(self.train_rows),
            "steps": self.step,
            "batch_size": self.batch_size,
            "learning_rate": self.settings.recipe.learning_rate,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "seconds": round(self.seconds, 1) if self.first_step == 0 else None,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "device": self.device,
            "published": list(encoding_class(self.settings.encoding).published),
        }
        if measure:
            train, held_out = self.table[self.train_rows], self.table[self.held_out_rows]
            facts["measured"] = measure_figures(
                self.model.eval(), self.space, train, held_out, self.device, self.settings.seed, progress=progress
            )
        write_model(self.folder, self.settings.encoding, self.space, self.model, self.digest, facts)
        return facts


@lru_cache(maxsize=1)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, 2, epoch]).permutation(count)


def clear_states(folder: Path) -> None:
    """Remove the states of a run that is finished."""
    shutil.rmtree(folder / STATES, ignore_errors=True)


def train_to_folder(
    name: str,
    space: str,
    output_dir: str | Path,
    resume: bool = False,
    overwrite: bool = False,
    save_every: int = 500,
    device: str | None = None,
    progress: bool = False,
    command: str = "",
    **settings,
) -> dict:
    """Train an encoding on a space's pool to the end and write its folder; returns its facts.

    Args:
        settings: see `cate_hf.autoencoders.settings.EncodingSettings`.

    Raises:
        ValueError: settings that do not fit, nothing to resume, or a state of another run.
        FileExistsError: the output folder holds something, and neither resume nor overwrite was asked for; or
            something that is not of a run, which is never removed.
        Interrupted: after Ctrl-C or SIGTERM, with the state saved.
    """
    output_dir = Path(output_dir)
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other")
    search_space = get_space(space)
    chosen = EncodingSettings.of(name, search_space, **settings)
    device = _device(device)
    check_run_folder(output_dir, resume, overwrite, OWN_NAMES)
    if overwrite and output_dir.is_dir():
        clear_folder(output_dir, OWN_NAMES)
    run = EncodingTraining(chosen, search_space, search_space.pool(progress=progress), output_dir, device)
    if resume:
        run.resume()
    run.run(save_every, progress)
    return run.save(progress=progress, command=command)


def _device(name: str | None) -> str:
    """The device of that name, or the best that there is. Raises ValueError where nothing can be put on it."""
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here; expected one such as cpu or cuda ({reason})") from None
    return name
