"""The tokenizer of CATE: architectures in; operation ids, attention mask and adjacency out.

B architectures, L positions: nodes in topological order, then padding.
"""

import importlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchEncoding, PreTrainedTokenizer

from .graph_inputs_cate import as_items, check_graph, let_pipelines_pad_graphs

__all__ = ["CateTokenizer"]

VOCAB_FILES_NAMES = {"vocab_file": "vocab.json"}
PAD_TOKEN, MASK_TOKEN = "[PAD]", "[MASK]"
IGNORED_LABEL = -100
_UNUSED_CODE = 255  # an ArchitectureTable's operation code after the last node


class CateTokenizer(PreTrainedTokenizer):
    """Operation names to ids, architectures to padded arrays. There is no [UNK]: an unknown operation is an error.

    Args:
        vocab_file: a `vocab.json` that maps every token to its id; `from_pretrained` passes it.
        operations: names of the operations in the order of the space's vocabulary, instead of a file.
        alias_special_ids: False: [PAD] is 0, [MASK] 1, operations follow from 2. True (the paper): an operation's id is
            its position, and ids 0 and 1 stand for padding and masking as well as for operations 0 and 1.
        pad_to: None pads to the longest architecture of a batch; a number pads always to it (the paper: 7 or 15).
        model_max_length: a longer architecture is an error.

    Raises ValueError for a vocabulary that is not one, in any call for a graph that is not valid, naming item and edge.
    """

    vocab_files_names = VOCAB_FILES_NAMES
    model_input_names = ["input_ids", "attention_mask", "adjacency"]
    _auto_class = "AutoTokenizer"  # save_pretrained always stores this file and its auto_map

    def __init__(
        self,
        vocab_file: str | None = None,
        operations: Sequence[str] | None = None,
        alias_special_ids: bool = False,
        pad_to: int | None = None,
        **kwargs,
    ):
        if (vocab_file is None) == (operations is None):
            raise ValueError("CateTokenizer needs either operations (a list of names) or a vocab_file")
        specials = [] if alias_special_ids else [PAD_TOKEN, MASK_TOKEN]
        if vocab_file is not None:
            tokens = _read_vocabulary(vocab_file)
            if tokens[: len(specials)] != specials or (alias_special_ids and {PAD_TOKEN, MASK_TOKEN} & set(tokens)):
                expected = "no [PAD] and no [MASK]" if alias_special_ids else "[PAD] with id 0 and [MASK] with id 1"
                raise ValueError(f"{vocab_file}: expected {expected} (alias_special_ids={alias_special_ids})")
            operations = tokens[len(specials) :]
        self.operations = _check_names(operations or ())
        self.encoder = {token: i for i, token in enumerate([*specials, *self.operations])}
        self.decoder = list(self.encoder)
        self.alias_special_ids = alias_special_ids
        self.pad_to = pad_to
        if pad_to is not None and (isinstance(pad_to, bool) or not isinstance(pad_to, int) or pad_to < 2):
            raise ValueError(f"pad_to must be None or a number of positions, at least 2, not {pad_to!r}")
        if kwargs.get("padding_side", "right") != "right":
            raise ValueError("padding_side must be 'right': the first nodes are the inputs")
        kwargs |= {"pad_token": self.decoder[0], "mask_token": self.decoder[1]}
        super().__init__(alias_special_ids=alias_special_ids, pad_to=pad_to, **kwargs)

    @classmethod
    def from_config(cls, config: Any, **kwargs) -> "CateTokenizer":
        """The tokenizer that belongs to a `CateConfig`, either preset."""
        if not config.operations:
            raise ValueError("the configuration has no operations, expected their names in the order of the vocabulary")
        kwargs.setdefault("model_max_length", config.max_nodes)
        pad_to = config.max_nodes if config.padding_is_visible else None
        aliased = config.num_special_ids == 0
        return cls(operations=config.operations, alias_special_ids=aliased, pad_to=pad_to, **kwargs)

    def __call__(
        self,
        architectures: Any = None,
        padding: bool | str | None = None,
        max_length: int | None = None,
        return_tensors: str | None = None,
        pad_to_multiple_of: int | None = None,
        truncation: bool = False,
        operations: Sequence[str] | None = None,
        adjacency: Any = None,
        **kwargs,
    ) -> BatchEncoding:
        """Graphs are taken as drawn: nodes on no path to the output count. `cate_hf.Encoder` leaves them out first.

        Args:
            architectures: one `cate_hf.Architecture`; a dict of `operations` (L names) and `adjacency` (L, L) of 0/1,
                upper triangular; a list of them; a dict of lists (a batch of a `datasets.Dataset`); or an
                `ArchitectureTable` (no loop over its rows). A node called [MASK] is a masked one.
            padding: None or True: to the longest of the batch, or to `pad_to` where that is set; "max_length": to
                `max_length`; False: not at all.
            max_length: the most nodes allowed.
            return_tensors: "pt", "np", or None for Python lists.
            operations, adjacency: of one architecture, in place of `architectures`; other keywords are then columns
                of its row, and not looked at. So pipelines pass what is a dict.

        Returns:
            `input_ids` (B, L) int64, `attention_mask` (B, L) int64, 1 on nodes, `adjacency` (B, L, L) uint8. One
            architecture gives B = 1 with `return_tensors`; without it lists that have no batch axis, as `pad` takes
            them. The model derives its attention masks from the last two.

        Raises:
            ValueError: an unknown operation, a graph that is not valid (item, node or edge named), too many nodes.
        """
        if truncation:
            raise ValueError("an architecture cannot be truncated: leave truncation=False")
        if architectures is None and operations is not None:
            architectures, kwargs = {"operations": operations, "adjacency": adjacency}, {}
            if not as_items(architectures)[1]:
                raise ValueError("operations and adjacency as keywords are one architecture's; give many as a list")
        if unknown := set(kwargs) - {"verbose", "add_special_tokens", "return_attention_mask", "return_token_type_ids"}:
            raise TypeError(f"CateTokenizer got an unexpected argument {sorted(unknown)[0]!r}")
        single = False
        if hasattr(architectures, "operation_codes"):
            ids, adjacency, lengths = self._from_table(architectures)
        else:
            items, single = as_items(architectures)
            ids, adjacency, lengths = self._from_items(items, single)
            if single and return_tensors == "pt":
                let_pipelines_pad_graphs()
        if unpadded := padding is False or padding == "do_not_pad":
            padding = True
            if return_tensors is not None and len(set(lengths.tolist())) > 1:
                raise ValueError("architectures of several lengths need padding=True to become tensors")
        size = self._target_length(lengths, padding, max_length, pad_to_multiple_of)
        widths = lengths if unpadded else np.full(len(lengths), size)
        batch = self._batch(ids, adjacency, lengths, int(lengths.max(initial=0)) if unpadded else size)
        if return_tensors is not None:
            return _tensors(batch, return_tensors)
        lists = {
            key: [value[(slice(width),) * value.ndim].tolist() for value, width in zip(rows, widths, strict=True)]
            for key, rows in batch.items()
        }
        return BatchEncoding({key: rows[0] for key, rows in lists.items()} if single else lists)

    def _from_table(self, table: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids (N, L), adjacency (N, L, L) and lengths (N,) of an ArchitectureTable, by array operations alone."""
        codes = table.operation_codes
        lookup = np.full(256, -1, dtype=np.int64)
        known = self.get_vocab()
        lookup[: len(table.vocabulary)] = [known.get(name, -1) for name in table.vocabulary]
        lookup[_UNUSED_CODE] = self.pad_token_id
        ids = lookup[codes]
        if ids.size and ids.min() < 0:
            row, node = np.argwhere(ids < 0)[0]
            raise ValueError(f"row {row}: node {node} has {self._unknown(table.vocabulary[codes[row, node]])}")
        return ids, table.adjacency(), (codes != _UNUSED_CODE).sum(axis=1)

    def _from_items(self, items: list, single: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of architectures and dicts."""
        known = self.get_vocab()
        names = ["architecture"] if single else [f"architecture {i}" for i in range(len(items))]
        graphs = [check_graph(item, name) for item, name in zip(items, names, strict=True)]
        lengths = np.array([len(operations) for operations, _ in graphs], dtype=np.int64)
        size = int(lengths.max(initial=0))
        ids = np.full((len(items), size), self.pad_token_id, dtype=np.int64)
        adjacency = np.zeros((len(items), size, size), dtype=np.uint8)
        for i, (operations, matrix) in enumerate(graphs):
            n = len(operations)
            for node, name in enumerate(operations):
                if not isinstance(name, str) or name not in known or name == PAD_TOKEN:
                    raise ValueError(f"{names[i]}: node {node} has {self._unknown(name)}")
                ids[i, node] = known[name]
            adjacency[i, :n, :n] = matrix
        return ids, adjacency, lengths

    def _unknown(self, name: Any) -> str:
        return f"unknown operation {name!r}; known: {', '.join(self.operations)}"

    def _target_length(
        self, lengths: np.ndarray, padding: bool | str | None, max_length: int | None, multiple: int | None
    ) -> int:
        """Number of positions to pad to; refuses architectures that do not fit."""
        limits = {"max_length": max_length, "pad_to": self.pad_to, "model_max_length": self.model_max_length}
        for name, limit in limits.items():
            if limit is not None and lengths.size and lengths.max() > limit:
                i = int(lengths.argmax())
                raise ValueError(f"architecture {i} has {lengths[i]} nodes, more than {name} = {limit}")
        if padding not in (None, True, False, "longest", "max_length"):
            raise ValueError(f"padding must be True, False, 'longest' or 'max_length', not {padding!r}")
        size = self.pad_to or int(lengths.max(initial=0))
        if padding == "max_length":
            size = max_length or self.pad_to or self.model_max_length
            if size > 1_000_000:  # transformers' stand-in for "no limit"
                raise ValueError("padding='max_length' needs max_length")
        return size + (-size % multiple if multiple else 0)

    def _batch(self, ids: np.ndarray, adjacency: np.ndarray, lengths: np.ndarray, size: int) -> dict[str, np.ndarray]:
        """Cut or pad (B, L') arrays to (B, size)."""
        old = ids.shape[1]
        if size < old:
            ids, adjacency = ids[:, :size], adjacency[:, :size, :size]
        elif size > old:
            ids = np.pad(ids, ((0, 0), (0, size - old)), constant_values=self.pad_token_id)
            adjacency = np.pad(adjacency, ((0, 0), (0, size - old), (0, size - old)))
        mask = (np.arange(size) < lengths[:, None]).astype(np.int64)
        return {"input_ids": ids, "attention_mask": mask, "adjacency": np.ascontiguousarray(adjacency)}

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = None,
        **kwargs,
    ) -> BatchEncoding:
        """A batch from a list of what this tokenizer gave for one architecture each (or from a dict of lists), as
        collators do. `labels` of a node each (whole numbers) are padded with -100; those of an architecture (fractions)
        and any other key are stacked as they are.
        """
        if not isinstance(encoded_inputs, Mapping):
            features = [dict(feature) for feature in encoded_inputs]
        elif len(encoded_inputs.get("input_ids", ())) and np.ndim(encoded_inputs["input_ids"][0]) == 0:
            features = [dict(encoded_inputs)]
        else:
            each = zip(*encoded_inputs.values(), strict=True)
            features = [dict(zip(encoded_inputs, row, strict=True)) for row in each]
        if not features or any(key not in feature for feature in features for key in ("input_ids", "adjacency")):
            raise ValueError("pad needs a list of dicts with input_ids (L,) and adjacency (L, L), one an architecture")
        if return_tensors is None and hasattr(features[0]["input_ids"], "shape"):
            return_tensors = "np" if isinstance(features[0]["input_ids"], np.ndarray) else "pt"
        columns = {key: [np.asarray(feature[key]) for feature in features] for key in features[0]}
        lengths = np.array([len(row) for row in columns["input_ids"]], dtype=np.int64)
        size = self._target_length(lengths, padding, max_length, pad_to_multiple_of)
        columns.setdefault("attention_mask", [np.ones(n, dtype=np.int64) for n in lengths])
        fill = {"input_ids": self.pad_token_id, "attention_mask": 0, "adjacency": 0, "labels": IGNORED_LABEL}
        batch = {}
        for key, rows in columns.items():
            if key in fill and rows[0].ndim and rows[0].dtype.kind != "f":
                rows = [
                    np.pad(row, [(0, size - n)] * row.ndim, constant_values=fill[key])
                    for row, n in zip(rows, lengths.tolist(), strict=True)
                ]
            batch[key] = np.stack(rows)
        batch["adjacency"] = batch["adjacency"].astype(np.uint8)
        if return_tensors is None:
            return BatchEncoding({key: value.tolist() for key, value in batch.items()})
        return _tensors(batch, return_tensors)

    def decode(
        self,
        token_ids: Any,
        adjacency: Any = None,
        attention_mask: Any = None,
        skip_special_tokens: bool = False,
        **kwargs,
    ) -> Any:
        """With `adjacency`, back to an architecture: ids (L,) with (L, L), or a list of them for (B, L) with (B, L, L).

        The result is a `cate_hf.Architecture` where cate_hf is installed, else a dict of `operations` and `adjacency`,
        from which `Architecture.from_dict` makes one. Padding is recognised by `attention_mask`; without it, by its id
        after the last node. Without `adjacency`: the names as one string, as tokenizers do.

        Raises:
            ValueError: an id that is none, shapes that do not fit, or padding before a node.
        """
        if adjacency is None:
            return super().decode(token_ids, skip_special_tokens=skip_special_tokens, **kwargs)
        ids, matrix = np.asarray(token_ids), np.asarray(adjacency)
        if ids.ndim not in (1, 2) or matrix.shape != (*ids.shape, ids.shape[-1]):
            raise ValueError(f"ids {ids.shape} need adjacency {(*ids.shape, ids.shape[-1])}, got {matrix.shape}")
        masks = None if attention_mask is None else np.asarray(attention_mask)
        if masks is not None and masks.shape != ids.shape:
            raise ValueError(f"ids {ids.shape} need an attention_mask of that shape, got {masks.shape}")
        if ids.ndim == 1:
            return self._decode_one(ids, matrix, masks)
        return [self._decode_one(ids[i], matrix[i], None if masks is None else masks[i]) for i in range(len(ids))]

    def _decode_one(self, ids: np.ndarray, matrix: np.ndarray, mask: np.ndarray | None) -> Any:
        # An aliased padding id is also the input's, which has edges.
        used = mask > 0 if mask is not None else (ids != self.pad_token_id) | matrix.any(axis=0) | matrix.any(axis=1)
        n = int(np.flatnonzero(used).max(initial=-1)) + 1
        operations = self.convert_ids_to_tokens(ids[:n].tolist())
        if PAD_TOKEN in operations:
            raise ValueError(f"position {operations.index(PAD_TOKEN)} is padding, but nodes follow or edges touch it")
        graph = {"operations": operations, "adjacency": matrix[:n, :n].astype(np.uint8).tolist()}
        try:
            architecture = importlib.import_module("cate_hf.graphs.architecture").Architecture
        except ImportError:  # the tokenizer was loaded as remote code, without the package
            return graph
        return architecture.from_dict(graph)

    # What the base class asks of a tokenizer.

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return len(self.encoder)

    def get_vocab(self) -> dict[str, int]:
        """Token -> id, added tokens included."""
        return {**self.encoder, **self._added_tokens_encoder}

    def tokenize(self, text: str, **kwargs) -> list[str]:
        """Names of operations, separated by white space."""
        return text.split()

    def encode(self, architecture: Any, **kwargs) -> list[int]:
        """The ids of one architecture, without padding."""
        return self(architecture, padding=False)["input_ids"]

    def _convert_token_to_id(self, token: str) -> int:
        if token not in self.encoder:
            raise ValueError(self._unknown(token))
        return self.encoder[token]

    def _convert_id_to_token(self, index: int) -> str:
        if not 0 <= index < len(self.decoder):
            raise ValueError(f"id {index} is not one of the vocabulary's, 0 to {len(self.decoder) - 1}")
        return self.decoder[index]

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        """Write `vocab.json`: token to id, in the order of the ids."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        path = os.path.join(save_directory, prefix + VOCAB_FILES_NAMES["vocab_file"])
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.encoder, file, indent=2, ensure_ascii=False)
            file.write("\n")
        return (path,)


def _tensors(batch: dict[str, np.ndarray], return_tensors: str) -> BatchEncoding:
    if return_tensors != "pt":
        return BatchEncoding(batch, tensor_type=return_tensors)
    import torch

    tensors = {key: torch.from_numpy(np.require(value, requirements=["C", "W"])) for key, value in batch.items()}
    return BatchEncoding({key: t.float() if t.is_floating_point() else t for key, t in tensors.items()})


def _read_vocabulary(path: str) -> list[str]:
    """The tokens of a vocab.json in the order of their ids."""
    try:
        with open(path, encoding="utf-8") as file:
            vocabulary = json.load(file)
    except ValueError as error:  # not JSON, or not UTF-8
        raise ValueError(f"{path}: not a vocabulary in JSON ({error})") from None
    if not isinstance(vocabulary, dict) or sorted(map(str, vocabulary.values())) != sorted(
        map(str, range(len(vocabulary)))
    ):
        raise ValueError(
            f"{path}: expected an object that maps each token to its id, ids 0 to the number of tokens - 1"
        )
    return sorted(vocabulary, key=vocabulary.__getitem__)


def _check_names(operations: Iterable[str]) -> list[str]:
    names = [operations] if isinstance(operations, str) else list(operations)
    for name in names:
        if not isinstance(name, str) or not name or name.split() != [name] or name in (PAD_TOKEN, MASK_TOKEN):
            raise ValueError(f"operation {name!r} must be a name without spaces, and not {PAD_TOKEN} or {MASK_TOKEN}")
    if len(names) < 2 or len(set(names)) != len(names):
        raise ValueError(f"the vocabulary needs at least 2 operations, each once, got {names}")
    return names
