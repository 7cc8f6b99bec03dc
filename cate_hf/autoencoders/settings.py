"""What a training of D-VAE or arch2vec is, apart from where it runs."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from cate_hf.spaces import Space

__all__ = ["EncodingSettings"]


@dataclass(frozen=True)
class Recipe:
    """How an encoding is trained by default.

    Attributes:
        steps: of a training whose epochs are not given.
        epochs: passes over the training architectures, in place of steps.
        decay: whether the learning rate warms up over 5 % of the steps and then falls linearly to 0.
        model: fields of the model's configuration that differ from their defaults.
    """

    batch_size: int
    learning_rate: float
    steps: int | None = None
    epochs: float | None = None
    decay: bool = True
    model: dict[str, Any] = field(default_factory=dict)


RECIPES = {
    "arch2vec": {
        "default": Recipe(batch_size=64, learning_rate=5e-3, steps=32_000),
        "paper": Recipe(batch_size=32, learning_rate=1e-3, epochs=8, decay=False),
    },
    "d-vae": {
        "default": Recipe(batch_size=64, learning_rate=4e-3, steps=10_000),
        "paper": Recipe(
            batch_size=32,
            learning_rate=1e-4,
            epochs=300,
            decay=False,
            model={"hidden_size": 501, "edge_size": 2004, "vertex_ids": True},
        ),
    },
}


@dataclass(frozen=True)
class EncodingSettings:
    """What decides the weights, beside the architectures; a resumed run must have the same.

    Attributes:
        encoding: name of the encoding, a key of `RECIPES`.
        space: name of the search space.
        preset: "default" (minutes on a CPU) or "paper" (sizes and hyper-parameters of the paper: hours for D-VAE).
        epochs: passes over the training architectures; without it the preset's number of steps.
        max_steps: end after this many steps at the latest; the learning rate falls to this end.
        batch_size: architectures a step; the preset's where None.
        train_size: architectures to train on; all but the tenth that is held out where None.
    """

    encoding: str
    space: str
    preset: str = "default"
    epochs: float | None = None
    max_steps: int | None = None
    batch_size: int | None = None
    train_size: int | None = None
    seed: int = 0

    def __post_init__(self):
        if self.encoding not in RECIPES:
            raise ValueError(f"encoding must be one of {', '.join(RECIPES)}, not {self.encoding!r}")
        if self.preset not in RECIPES[self.encoding]:
            raise ValueError(f"preset must be one of {', '.join(RECIPES[self.encoding])}, not {self.preset!r}")
        for name in ("max_steps", "batch_size", "train_size"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise ValueError(f"{name} must be at least 1, not {value!r}")
        if self.epochs is not None and not 0 < self.epochs < math.inf:
            raise ValueError(f"epochs must be above 0, not {self.epochs!r}")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed!r}")

    @classmethod
    def of(cls, encoding: str, space: Space, **settings: Any) -> "EncodingSettings":
        """Settings by name. Raises ValueError for one that there is not."""
        known = [item.name for item in fields(cls) if item.name not in ("encoding", "space")]
        for name in settings:
            if name not in known:
                raise ValueError(f"encoding {encoding!r}: unknown setting {name!r}; known: {', '.join(known)}")
        return cls(encoding, space.name, **settings)

    @property
    def recipe(self) -> Recipe:
        """The preset's recipe, with the batch size of these settings."""
        recipe = RECIPES[self.encoding][self.preset]
        return recipe if self.batch_size is None else replace(recipe, batch_size=self.batch_size)

    def model_config(self) -> Any:
        """The configuration of the model that is trained."""
        return encoding_class(self.encoding).model_class.config_class(**self.recipe.model)

    def steps(self, train_count: int) -> int:
        """Optimiser steps of a training on so many architectures."""
        recipe, in_epoch = self.recipe, max(1, train_count // self.recipe.batch_size)
        epochs = self.epochs or recipe.epochs
        steps = max(1, round(epochs * in_epoch)) if epochs else recipe.steps or 0
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def learning_rate_at(self, step: int, total_steps: int) -> float:
        """The learning rate of a step, by the recipe."""
        recipe = self.recipe
        if not recipe.decay:
            return recipe.learning_rate
        warmup = max(1, total_steps // 20)
        return recipe.learning_rate * min((step + 1) / warmup, (total_steps - step) / max(total_steps - warmup, 1))

    def digest(self) -> str:
        """8 hexadecimal characters of all that decides the weights, recipe and model sizes included."""
        everything = [asdict(self), asdict(self.recipe), asdict(self.model_config())]
        return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:8]


def encoding_class(encoding: str) -> Any:
    """The class of an encoding by name, whose `model_class` is trained."""
    from cate_hf.encodings.registry import CATALOG

    return CATALOG.get(encoding)
