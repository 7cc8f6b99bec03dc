"""Configuration of CATE (Yan et al., "CATE: Computation-aware Neural Architecture Encoding with Transformers", 2021).

Every difference between the paper's model and the default design is a field of its own, so that each can be ablated.
"""

import difflib
import functools
import importlib
import os
import warnings
from collections.abc import Iterable
from typing import Any

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers import GenerationConfig, PreTrainedConfig

ATTENTION_DIRECTIONS = ("descendants", "ancestors", "split", "all")
FORMAT_VERSION = 3  # of checkpoints: the newest that this code reads, and writes
WIRING_DIM, MOST_DEPTHS = 128, 24  # of the default design
POOLINGS = ("mean", "last", "mean_output_sum")
LABEL_TRANSFORMS = ("log-error", "log", "identity")
_NEAR = 0.9  # of two names, from which on the one is the other misspelled


def _raises_value_error(config_class: type) -> type:
    """Strict dataclasses raise an error of their own over several lines; make it a ValueError of one line."""
    construct = config_class.__init__  # type: ignore[misc]  # of the class itself, not of an instance

    @functools.wraps(construct)
    def __init__(self, *args: Any, **kwargs: Any):
        try:
            construct(self, *args, **kwargs)
        except StrictDataclassError as error:
            reason = error.__cause__ if isinstance(error.__cause__, ValueError) else error
            raise ValueError(" ".join(str(reason).split())) from error

    config_class.__init__ = __init__  # type: ignore[misc]
    return config_class


@_raises_value_error
@strict
class CateConfig(PreTrainedConfig):
    r"""
    Args:
        space: name of the search space that `operations` belongs to, e.g. "nasbench101".
        operations: names of the operations in the order of the space's vocabulary.
        vocab_size: number of token ids: the operations, and [PAD] and [MASK] where they have ids of their own.
        pad_token_id, mask_token_id: ids of padding and of a masked operation; the paper's alias operations 0 and 1.
        max_nodes: the most nodes an architecture may have; the paper preset pads to it.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size: sizes of the encoder.
        num_cross_layers, cross_intermediate_size, segment_vocab_size: sizes of the cross encoder of a pair.
        hidden_act: activation of the feed-forward blocks.
        hidden_dropout_prob, attention_probs_dropout_prob: dropout of hidden states and of attention weights. None by
            default: a pair is seen about once, and there is nothing to overfit; the paper's is 0.1.
        attention_direction: what a node attends to: its "descendants" (the paper), its "ancestors", "split": half of
            the heads look at ancestors, the others at descendants, or "all" nodes.
        attend_to_self: whether a node also attends to itself.
        edge_bias: a learned bias per head and layer on the attention between nodes joined by a direct edge.
        relation_buckets: 0, or a learned bias per head and layer on the attention for each relation between two nodes:
            the same node, unrelated, or that one is reached from the other, either way, by a shortest path of so many
            edges, told apart in this many buckets: 1, 2, 3 to 4, 5 to 8 and so on, the last for all that are longer.
        node_features: whether a node also starts from where it is in the graph: degrees, numbers of ancestors and
            descendants, numbers of paths from the inputs and to the output, their shortest, mean and longest length.
        pooling: "mean" over real nodes, the hidden state at the "last" position (the paper), or "mean_output_sum":
            a learned projection of mean, sum and the output node's state.
        encoding_dim: length of the learned part of the encoding, that of the projection; hidden_size when None.
        statistics: names of the statistics of the computation that the encoding predicts, standardised; see
            `cate_hf.training._statistics_targets`. None without them.
        statistics_in_encoding: whether the predicted statistics follow the learned part in the encoding.
        learnt_in_encoding: whether the learned part itself is in the encoding; without, the statistics are.
        wiring_dim: length of the encoding's wiring part, 0 without it: computed from counts of nodes and edges by
            operation and depth (see `wiring_cate.py`), through a linear map that is fitted without labels.
        wiring_depths: how many depths these counts tell apart; what is deeper counts as the deepest.
        padding_is_visible: the paper's convention. Padding counts as real in the cross encoder, and a node with nothing
            to attend to attends uniformly to all positions. False: padding is invisible everywhere, and such a node
            attends to itself.
        embedding_scale: operation and segment embeddings are multiplied by sqrt(hidden_size).
        tie_word_embeddings: the head's output matrix is the operation embedding.
        label_smoothing: probability spread over the other operations in the pre-training target.
        masked_loss_weight, statistics_loss_weight: weights of the two parts of the pre-training loss. Without masked
            operations, weight 0, the cross encoder is not run.
        ranking_loss_weight: weight of the pairwise logistic ranking loss of `CateForSequenceClassification` beside its
            regression loss.
        num_members: encoders, each with a head, whose mean `CateForSequenceClassification` predicts.
        label_transforms: of each label, how the members' mean m becomes it: x = factor · m + offset and then
            unit · f(x), with f "log-error", 1 - exp(-x) and not below 0, "log", exp(x), or "identity", x; the numbers
            are among the weights. None: m itself.
        format_version: version of the checkpoint format.

    Raises ValueError on an unknown keyword, or on values that do not fit together. What `from_pretrained` reads from a
    file, or `to_dict` gave, may have fields of other programs: one warning names those that transformers does not know.
    """

    model_type = "cate"

    space: str = "nasbench101"
    operations: list[str] | None = None
    vocab_size: int = 7
    pad_token_id: int | None = 0
    mask_token_id: int = 1
    max_nodes: int = 7
    hidden_size: int = 64
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    intermediate_size: int = 128
    num_cross_layers: int = 24
    cross_intermediate_size: int = 256
    segment_vocab_size: int = 2
    hidden_act: str = "relu"
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0
    layer_norm_eps: float = 1e-5
    attention_direction: str = "split"
    attend_to_self: bool = True
    edge_bias: bool = True
    relation_buckets: int = 0
    node_features: bool = False
    pooling: str = "mean"
    encoding_dim: int | None = None
    statistics: list[str] | None = None
    statistics_in_encoding: bool = True
    learnt_in_encoding: bool = True
    wiring_dim: int = 0
    wiring_depths: int = 0
    padding_is_visible: bool = False
    embedding_scale: bool = True
    tie_word_embeddings: bool = False
    label_smoothing: float | int = 0.1
    masked_loss_weight: float | int = 1.0
    statistics_loss_weight: float | int = 1.0
    ranking_loss_weight: float | int = 0.0
    num_members: int = 1
    label_transforms: list[str] | None = None
    format_version: int = 1

    def __post_init__(self, **kwargs: Any):
        if isinstance(self.format_version, int) and self.format_version > FORMAT_VERSION:
            raise ValueError(
                f"made by a newer version of cate_hf: format_version is {self.format_version}, this one reads up to "
                f"{FORMAT_VERSION}; upgrade cate_hf"
            )
        stored = "model_type" in kwargs  # as in every file, and in what to_dict gives
        foreign = self.foreign_fields(kwargs, stored)
        if foreign and stored:
            message = (
                f"a stored configuration has fields that CATE does not know and does not use: {', '.join(foreign)}"
            )
            warnings.warn(message, stacklevel=2)
        if self.id2label is None:
            kwargs.setdefault("num_labels", 1)  # an accuracy, not a class
        super().__post_init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As the base class; a misspelled override, which that would drop without a word, is a ValueError."""
        cls.foreign_fields(kwargs)
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def foreign_fields(cls, names: Iterable[str], stored: bool = True) -> list[str]:
        """Return the names that are fields neither of CATE nor of transformers: a stored configuration may have them.

        Args:
            stored: whether they are from a file, and not from a call.

        Raises:
            ValueError: a name that is a field of CATE misspelled; from a call, any that is not known.
        """
        generation = vars(GenerationConfig())
        foreign = []
        for name in names:
            if name == "auto_map" or name.startswith("_") or name in generation:
                continue
            if hasattr(cls, name) or hasattr(cls, f"_{name}"):  # a field or a property of the base class
                continue
            known, cutoff = (cls.__annotations__, _NEAR) if stored else (cls.__dataclass_fields__, 0.6)
            near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
            if near or not stored:
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"CateConfig has no field {name!r}{hint}")
            foreign.append(name)
        return foreign

    def validate_architecture(self):
        """Checks across fields; called by the base class after each construction."""
        sizes = ("vocab_size", "hidden_size", "learnt_size", "num_hidden_layers", "num_attention_heads", "max_nodes")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of "
                f"num_attention_heads ({self.num_attention_heads})"
            )
        if self.attention_direction not in ATTENTION_DIRECTIONS:
            raise ValueError(
                f"attention_direction must be one of {ATTENTION_DIRECTIONS}, not {self.attention_direction!r}"
            )
        if self.attention_direction == "split" and self.num_attention_heads % 2:
            raise ValueError(
                f"attention_direction 'split' needs an even num_attention_heads, not {self.num_attention_heads}"
            )
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {POOLINGS}, not {self.pooling!r}")
        if self.encoding_dim is not None and self.pooling != "mean_output_sum":
            raise ValueError(f"encoding_dim is of the projection of pooling 'mean_output_sum', not of {self.pooling!r}")
        if self.statistics and self.pooling != "mean_output_sum":
            raise ValueError(f"statistics are predicted by pooling 'mean_output_sum', not by {self.pooling!r}")
        if not self.learnt_in_encoding and not (self.statistics and self.statistics_in_encoding):
            raise ValueError("learnt_in_encoding: without the learned part an encoding needs the statistics")
        if self.wiring_dim and self.wiring_depths < 1:
            raise ValueError(f"wiring_dim needs wiring_depths of at least 1, not {self.wiring_depths}")
        for name in (
            "relation_buckets",
            "num_cross_layers",
            "masked_loss_weight",
            "statistics_loss_weight",
            "wiring_dim",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if self.num_members < 1:
            raise ValueError(f"num_members must be at least 1, not {self.num_members}")
        if self.label_transforms is not None:
            if len(self.label_transforms) != self.num_labels:
                raise ValueError(f"label_transforms must have one entry for each of the {self.num_labels} labels")
            for transform in self.label_transforms:
                if transform not in LABEL_TRANSFORMS:
                    raise ValueError(f"label_transforms must be of {LABEL_TRANSFORMS}, not {transform!r}")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        for name in ("pad_token_id", "mask_token_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise ValueError(f"{name} ({getattr(self, name)}) is not an id below vocab_size ({self.vocab_size})")
        if self.operations is not None and len(self.operations) + self.num_special_ids > self.vocab_size:
            raise ValueError(
                f"vocab_size ({self.vocab_size}) is too small for {len(self.operations)} operations"
                f" and {self.num_special_ids} special ids"
            )

    @property
    def learnt_size(self) -> int:
        """Length of the encoding's learned part, which the statistics are predicted from."""
        return self.hidden_size if self.encoding_dim is None else self.encoding_dim

    @property
    def encoding_parts(self) -> dict[str, slice]:
        """Where each part of an encoding is, in this order: "learned" numbers; "computation", the predicted statistics;
        and "wiring". Parts that the encoding does not have are left out.
        """
        sizes = {
            "learned": self.learnt_size if self.learnt_in_encoding else 0,
            "computation": len(self.statistics or ()) if self.statistics_in_encoding else 0,
            "wiring": self.wiring_dim,
        }
        parts, start = {}, 0
        for name, size in sizes.items():
            if size:
                parts[name] = slice(start, start + size)
                start += size
        return parts

    @property
    def encoding_size(self) -> int:
        """Length of an encoding, all its parts."""
        return max(part.stop for part in self.encoding_parts.values())

    @property
    def num_special_ids(self) -> int:
        """Ids below the first operation's: 2 with [PAD] and [MASK] of their own, 0 where they alias operations."""
        if self.operations is None:
            return 0
        return 0 if self.vocab_size == len(self.operations) else 2

    @classmethod
    def for_space(cls, space: Any, **overrides: Any) -> "CateConfig":
        """The default design for a search space (a `cate_hf` space, or its name or file where cate_hf is installed).

        It differs from the class's own defaults, which are those of checkpoints of format version 1.
        """
        space = _resolve_space(space)
        with_statistics = bool(overrides.get("statistics")) and overrides.get("statistics_in_encoding", True)
        fields = {
            "space": space.name,
            "operations": list(space.vocabulary),
            "vocab_size": len(space.vocabulary) + 2,
            "max_nodes": space.max_nodes,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_cross_layers": 4,
            "attention_direction": "all",
            "edge_bias": False,
            "relation_buckets": 4,
            "node_features": True,
            "pooling": "mean_output_sum",
            "learnt_in_encoding": not with_statistics,
            "wiring_dim": WIRING_DIM,
            "wiring_depths": min(space.max_nodes, MOST_DEPTHS),
            "format_version": FORMAT_VERSION,
        }
        return cls(**(fields | overrides))

    @classmethod
    def paper(cls, space: Any, **overrides: Any) -> "CateConfig":
        """The paper's model with its aliased ids, last-position embedding and mask convention (method of Yan et al.,
        sections 3 and 4, sizes of the public reference code).
        """
        space = _resolve_space(space)
        fields = {
            "space": space.name,
            "operations": list(space.vocabulary),
            "vocab_size": len(space.vocabulary),
            "pad_token_id": 0,
            "mask_token_id": 1,
            "max_nodes": space.max_nodes,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "attention_direction": "descendants",
            "attend_to_self": False,
            "edge_bias": False,
            "pooling": "last",
            "padding_is_visible": True,
        }
        return cls(**(fields | overrides))


def _resolve_space(space: Any) -> Any:
    if not isinstance(space, (str, os.PathLike)):
        return space
    try:
        spaces = importlib.import_module("cate_hf.spaces")
    except ImportError as error:
        raise ValueError(f"the space {space!r} by name needs cate_hf installed; pass a space object instead") from error
    return spaces.get_space(space)


__all__ = ["CateConfig"]
