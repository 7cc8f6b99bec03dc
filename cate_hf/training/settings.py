"""What a pre-training run is, apart from where it runs."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cate_hf.modeling import CateConfig

__all__ = ["PretrainSettings", "RunOptions"]

PRESETS = ("default", "paper")
TRAINING_FOLDER = "training"  # under the output folder: log and resumable states
_LONG, _LENGTH_MULTIPLE = 32, 8  # nodes from which on batches have lengths of their own


@dataclass(frozen=True)
class PretrainSettings:
    """Settings that decide the weights; a resumed run must have the same ones (defaults: Yan et al., 4.1).

    Attributes:
        space: name of the search space, or a YAML file that describes one; of a mixed run, names joined by "+".
        input: file of architectures that stand in the place of the space's pool.
        cost: what pairs are made by: a cost of the space, or a column of `input`; the space's own when None.
        preset: "default" (our design) or "paper".
        pairs: folder of pairs made by `cate pairs`; None makes the space's own.
        epochs: passes over the training pairs; max_steps, where given, ends earlier and shortens the schedule with it.
        length_multiple: 0 gives all batches one shape; else pairs of about one length come together, in batches of as
            many positions as the longest needs, up to a multiple of this. None: 8 where architectures have more than 32
            nodes and the preset does not see padding, else 0.
        batch_size: pairs an optimiser step, over all processes and accumulated micro-batches.
        learning_rate, weight_decay, adam_epsilon, warmup_steps: of AdamW and its linear schedule.
        max_grad_norm: clip gradients to this norm; 0 does not clip.
        dropout: overrides the preset's.
        masked_weight: of the masked operations in the loss; 1 when None. 0 leaves them out, and the cross encoder.
        statistics_weight: of the statistics of the computation; 1 when None, 0 in the paper's preset, which has none.
        statistics_batch_size: architectures a step whose statistics are predicted, over all processes.
        statistics_cells: architectures whose networks are measured at initialisation, at random; 0 leaves their
            statistics out; of a mixed run, of each space, or a list of a number for each.
        initialisations: of each of these networks.
    """

    space: str = "nasbench101"
    input: str | None = None
    cost: str | None = None
    preset: str = "default"
    pairs: str | None = None
    epochs: float = 10.0
    max_steps: int | None = None
    length_multiple: int | None = None
    batch_size: int = 1024
    gradient_accumulation_steps: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    adam_epsilon: float = 1e-8
    warmup_steps: int = 100
    max_grad_norm: float = 0.0
    dropout: float | None = None
    masked_weight: float | None = None
    statistics_weight: float | None = None
    statistics_batch_size: int = 1024
    statistics_cells: int | list[int] = 0
    initialisations: int = 1
    mixed_precision: str = "no"
    processes: int = 1
    seed: int = 0

    def __post_init__(self):
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}")
        if self.pairs is not None and (self.input is not None or self.cost is not None):
            raise ValueError("pairs are given: they have their architectures and their cost; leave input and cost out")
        if self.length_multiple is not None and self.length_multiple < 0:
            raise ValueError(f"length_multiple must be 0 or more, not {self.length_multiple}")
        if self.length_multiple and self.preset == "paper":
            raise ValueError(
                "the paper's preset sees padding: all its batches have one shape, leave length_multiple out"
            )
        for name, default in (("masked_weight", 1.0), ("statistics_weight", float(self.preset != "paper"))):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be 0 or more, not {value}")
            object.__setattr__(self, name, default if value is None else float(value))
        if not (self.masked_weight or self.statistics_weight):
            raise ValueError("masked_weight and statistics_weight are both 0: nothing to train")
        if self.preset == "paper" and self.statistics_weight:
            raise ValueError("the paper's preset predicts no statistics: leave statistics_weight out, or 0")
        if min(self.statistics_cells) < 0 if isinstance(self.statistics_cells, list) else self.statistics_cells < 0:
            raise ValueError(f"statistics_cells must be 0 or more, not {self.statistics_cells}")
        if self.statistics_cells and not self.statistics_weight:
            raise ValueError("statistics_cells are measured for statistics, whose weight is 0")
        sizes = ("batch_size", "gradient_accumulation_steps", "processes", "statistics_batch_size", "initialisations")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, not {self.max_steps}")
        if not self.epochs > 0:
            raise ValueError(f"epochs must be above 0, not {self.epochs}")
        shares = self.processes * self.gradient_accumulation_steps
        for name in ("batch_size", "statistics_batch_size"):
            if getattr(self, name) % shares:
                raise ValueError(
                    f"{name} {getattr(self, name)} must be a multiple of {shares}, "
                    "processes × gradient_accumulation_steps"
                )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Steps of the run. Raises ValueError where an epoch has none."""
        if steps_per_epoch < 1:
            raise ValueError(f"there are fewer training pairs than one batch of {self.batch_size}")
        steps = max(1, round(self.epochs * steps_per_epoch))
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def length_multiple_of(self, config: "CateConfig") -> int:
        """`length_multiple`, or what None stands for with a model."""
        if self.length_multiple is not None:
            return self.length_multiple
        return _LENGTH_MULTIPLE if config.max_nodes > _LONG and not config.padding_is_visible else 0

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """Linear warm-up to `learning_rate`, then linear decay to 0 after the last step."""
        warmup = min(self.warmup_steps, max(total_steps // 2, 1))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (total_steps - step) / max(total_steps - warmup, 1)


@dataclass(frozen=True)
class RunOptions:
    """Where a pre-training runs to, and what it writes on the way; none of it decides the weights.

    Attributes:
        output_dir: folder of the checkpoint; its folder `training` holds the log and the resumable states.
        resume: continue from the last state in the folder; overwrite: replace what the folder holds.
        save_every: steps between states and evaluations; 0: only at the end.
        log_every: steps between lines of the log.
        evaluate_pairs: held-out pairs that an evaluation uses.
        command: that makes the checkpoint, as its card states it.
    """

    output_dir: Path
    resume: bool = False
    overwrite: bool = False
    save_every: int = 200
    log_every: int = 10
    evaluate_pairs: int = 8192
    command: str = ""

    @property
    def work(self) -> Path:
        """Folder of the log and the states."""
        return self.output_dir / TRAINING_FOLDER
