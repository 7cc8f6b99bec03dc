"""DARTS (Liu et al., ICLR 2019), the space of NAS-Bench-301: cells of four nodes that each add two operations."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from cate_hf.graphs.table import ArchitectureTable
from cate_hf.spaces._validation import check_ends
from cate_hf.spaces.base import Space
from cate_hf.spaces.darts import _canonical as darts_canonical
from cate_hf.spaces.darts import _configurations as darts_configurations
from cate_hf.spaces.darts import _costs as darts_network
from cate_hf.spaces.darts import _layout as darts_layout
from cate_hf.spaces.darts import genotypes as darts_genotypes
from cate_hf.spaces.darts import notation as darts_notation
from cate_hf.spaces.darts.genotypes import CellPair, Genotype
from cate_hf.spaces.darts.pairs import CellPairTable

if TYPE_CHECKING:
    import torch

    from cate_hf.graphs.architecture import Architecture

__all__ = ["SPACE"]

_GENOTYPE = re.compile(r"(\w+\s*=\s*)?((\w+\s*\.\s*)*Genotype\s*\(|[\[(])")


_FIELD = re.compile(r"\{\s*[\"'](normal|reduce)(_concat)?[\"']")


def _is_single_graph(value: Any) -> bool:
    return hasattr(value, "operations") or (isinstance(value, Mapping) and "operations" in value)


class Darts(Space):
    """Cells of DARTS as the 15-node graphs of CATE, with the costs of the CIFAR-10 network (32 channels, 8 cells).

    An `Architecture` is one cell, used as normal and as reduction cell, in the standard layout (see
    `cate_hf.spaces.darts.genotypes`); a `CellPair` is two. There are 180 · 7^8 = 1,037,664,180 genotypes of a cell,
    too many to list; they are 382,128,166 cells up to isomorphism.
    """

    name = "darts"
    version = "1"
    vocabulary = darts_genotypes.VOCABULARY
    num_inputs = 2
    max_nodes = darts_genotypes.CELL_NODES
    max_edges = 20
    pool_size = 1_000_000
    pairing = {"cost": "flops", "window": 5_000_000, "partners": 1}
    free_edges = False
    transparent = ("sum",)
    path_lengths = (1, 4)
    small_network = {"channels": 16, "cells": 3, "classes": 10}
    most_paths = 18
    distribution = "uniform over the 180 · 7^8 genotypes of a cell, duplicates by isomorphism removed"

    def cells(self, table: ArchitectureTable, source: str = "architectures") -> tuple[np.ndarray, np.ndarray]:
        """Operations and inputs (N, 8) uint8 of the cells of a table, drawn in any way.

        Raises:
            ValueError: naming the first row that is not of the space, and why.
        """
        table = self.table(table, source)
        operations, inputs, is_cell, _ = darts_layout.read_cells(table)
        for row in np.flatnonzero(~is_cell).tolist():
            try:
                cell = self.validate(table[row])
            except ValueError as error:
                raise ValueError(f"{source}, row {row}: {error}") from None
            operations[row : row + 1], inputs[row : row + 1] = darts_genotypes.from_table(self.table([cell]))
        return operations, inputs

    def hash_many(self, table: ArchitectureTable | CellPairTable) -> np.ndarray:
        parts = [table] if isinstance(table, ArchitectureTable) else table.parts
        return darts_canonical.cell_hashes(*(darts_canonical.canonical_keys(*self.cells(part)) for part in parts))

    def _cost(self, table: ArchitectureTable, name: str) -> np.ndarray:
        return self.costs_of(table)[self.cost_names.index(name)]

    def costs_of(
        self, normal: ArchitectureTable, reduction: ArchitectureTable | None = None, **settings: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parameters and multiply-adds (N,) int64 of networks of any size.

        Args:
            normal: N cells.
            reduction: the N reduction cells; those of `normal` when None.
            settings: channels, cells, classes, image_size, auxiliary, stem of `cate_hf.spaces.darts._costs.costs`.

        Raises:
            ValueError: a row is not of the space, or a setting is wrong.
        """
        cells = self.cells(normal)
        return darts_network.costs(*cells, *(cells if reduction is None else self.cells(reduction)), **settings)

    def hash(self, architecture: "Architecture | CellPair") -> str:
        """The hash of a cell, or of two; a pair of isomorphic cells has the hash of the cell."""
        if not isinstance(architecture, CellPair):
            return super().hash(architecture)
        keys = (darts_canonical.canonical_keys(*part) for part in self._cells_of(architecture))
        return str(darts_canonical.cell_hashes(*keys)[0])

    def parameters(self, architecture: "Architecture | CellPair", **settings: Any) -> int:
        """Trainable parameters of the whole network; settings as of `costs_of`."""
        return int(self._network_costs(architecture, settings)[0][0])

    def flops(self, architecture: "Architecture | CellPair", **settings: Any) -> int:
        """Multiply-adds of the whole network for one input image; settings as of `costs_of`."""
        return int(self._network_costs(architecture, settings)[1][0])

    def _cells_of(self, architecture: "Architecture | CellPair") -> list[tuple[np.ndarray, np.ndarray]]:
        """Operations and inputs (1, 8) of the normal and the reduction cell."""
        pair = self.pair(architecture)
        return [darts_genotypes.from_table(self.table([cell])) for cell in (pair.normal, pair.reduction)]

    def _network_costs(self, architecture: "Architecture | CellPair", settings: dict[str, Any]):
        normal, reduction = self._cells_of(architecture)
        return darts_network.costs(*normal, *reduction, **settings)

    def pair(self, architecture: "Architecture | CellPair") -> CellPair:
        """The normal and the reduction cell, after `validate`; one cell is both."""
        valid = self.validate(architecture)
        return valid if isinstance(valid, CellPair) else CellPair(valid, valid)

    @overload
    def validate(self, architecture: "Architecture") -> "Architecture": ...
    @overload
    def validate(self, architecture: CellPair) -> CellPair: ...
    def validate(self, architecture: "Architecture | CellPair") -> "Architecture | CellPair":
        """The cell (or both) in the standard layout, from a drawing with its nodes in any topological order.

        Raises:
            ValueError: it is not of this space; the message says why.
        """
        if isinstance(architecture, CellPair):
            cells = {}
            for name in ("normal", "reduction"):
                try:
                    cells[name] = self.validate(getattr(architecture, name))
                except ValueError as error:
                    raise ValueError(f"{name} cell: {error}") from None
            return CellPair(**cells)
        check_ends(self, architecture)
        pruned = architecture.prune(self.num_inputs)
        operations, inputs, is_cell, in_layout = darts_layout.read_cells(self.table([pruned]))
        if in_layout[0]:
            return pruned
        if not is_cell[0]:
            raise ValueError(darts_layout.why_not(pruned))
        return darts_genotypes.to_table(operations, inputs)[0]

    def pairs(self, pairs: Sequence[CellPair]) -> CellPairTable:
        """A table of pairs of cells. Raises ValueError where an operation is not of the space."""
        normal, reduction = ([pair.normal for pair in pairs], [pair.reduction for pair in pairs])
        return CellPairTable(self.table(normal), self.table(reduction))

    def validate_many(self, table: Any, source: str = "architectures") -> Any:
        """Return a table in its canonical form, or one of pairs of cells with both cells in theirs."""
        if isinstance(table, CellPairTable):
            normal = self.validate_many(table.normal, f"{source}, normal cells")
            return CellPairTable(
                normal, self.validate_many(table.reduction, f"{source}, reduction cells"), table.columns
            )
        table = self.table(table, source)
        if not self._needs_a_look(table).any():
            return table
        return darts_genotypes.to_table(*self.cells(table, source)).replace_columns(table.columns)

    def _needs_a_look(self, table: ArchitectureTable) -> np.ndarray:
        return ~darts_genotypes.decode(table)[2]

    def _draw(self, n: int, rng: np.random.Generator) -> ArchitectureTable:
        numbers = rng.integers(0, len(darts_canonical.wirings().inputs) * darts_canonical.LABELLINGS, n)
        return darts_genotypes.to_table(*darts_canonical.cells_of_keys(numbers))

    def neighbours(self, architecture: "Architecture") -> ArchitectureTable:
        """All cells with one operation or one input of an entry changed, each once up to isomorphism, with a column
        hash.

        A changed input may be that of any drawing of the cell: an intermediate node may come to read another one that
        has a higher number here. So of two neighbours each is among the other's, however they are drawn.
        """
        if isinstance(architecture, CellPair):
            raise ValueError("neighbours are those of one cell; a pair of cells has none here")
        operations, inputs = self.cells(self.table([architecture]))
        candidates = darts_canonical.one_change(operations[0], inputs[0])
        keys = darts_canonical.canonical_keys(
            *(np.vstack(p) for p in zip((operations, inputs), candidates, strict=True))
        )
        _, first = np.unique(keys, return_index=True)
        kept = np.sort(first[keys[first] != keys[0]])
        table = darts_genotypes.to_table(*(part[kept - 1] for part in candidates))
        return table.with_columns(hash=darts_canonical.cell_hashes(keys[kept]))

    def from_genotype(self, genotype: Any) -> "Architecture | CellPair":
        """A cell from 8 entries (operation, input), two for each intermediate node in order; a `CellPair` from a
        `Genotype` of DARTS (any object or dict with the fields normal and reduce), or from NASLib's compact form, two
        cells of 8 pairs (input, number of the operation).

        Raises:
            ValueError: naming the field and entry that is wrong.
        """
        if hasattr(genotype, "normal") or isinstance(genotype, Mapping) or darts_notation.is_compact(genotype):
            return self._pair_of(darts_notation.as_genotype(genotype))
        return self._cell(genotype)

    def _cell(self, entries: darts_genotypes.Entries) -> "Architecture":
        operations, inputs = darts_genotypes.from_entries(entries)
        return darts_genotypes.to_table(operations[None], inputs[None])[0]

    def _pair_of(self, genotype: Genotype) -> CellPair:
        return CellPair(self._cell(genotype.normal), self._cell(genotype.reduce))

    def genotype(self, architecture: "Architecture") -> list[tuple[str, int]]:
        """The 8 entries (operation, input) of a cell, the inverse of `from_genotype`."""
        operations, inputs = darts_genotypes.from_table(self.table([self.validate(architecture)]))
        return darts_genotypes.entries(operations[0], inputs[0])

    def to_genotype(self, architecture: "Architecture | CellPair") -> Genotype:
        """Both cells as DARTS writes them down."""
        pair = self.pair(architecture)
        concat = darts_genotypes.CONCAT
        return Genotype(self.genotype(pair.normal), concat, self.genotype(pair.reduction), concat)

    def configuration(self, architecture: "Architecture | CellPair") -> dict[str, str]:
        """The hyperparameters of NAS-Bench-301, see `cate_hf.spaces.darts._configurations`."""
        return darts_configurations.configuration(self.to_genotype(architecture))

    def from_configuration(self, settings: Mapping[str, Any]) -> CellPair:
        """The inverse of `configuration`; of each node the entry with the lower input comes first.

        Raises:
            ValueError: naming the hyperparameter that is wrong.
        """
        return self._pair_of(darts_configurations.from_configuration(settings))

    def native(self, architecture: "Architecture | CellPair") -> str:
        """The text `Genotype(normal=[...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))`."""
        return repr(self.to_genotype(architecture))

    def parse_pair(self, text: Any) -> CellPair:
        """Two cells from a genotype's text (see `cate_hf.spaces.darts.notation.parse`) or value, or the JSON of a
        configuration; from anything else that `parse` reads, one cell for both.

        Raises:
            ValueError: none of them, or a cell that is not of the space.
        """
        pair = self._parse_pair(text.strip() if isinstance(text, str) else text)
        return self.pair(self.parse(text)) if pair is None else pair

    def _parse_native(self, text: Any) -> "Architecture | None":
        """A cell from a genotype's text or a configuration. Two cells that differ are refused: see `parse_pair`."""
        pair = self._parse_pair(text)
        if pair is None:
            return None
        if self.hash(pair.normal) != self.hash(pair.reduction):
            raise ValueError(
                "the normal and the reduction cell differ, and a darts architecture is one cell used for both; "
                'get_space("darts").parse_pair reads two'
            )
        return pair.normal

    def _parse_pair(self, text: Any) -> CellPair | None:
        if not isinstance(text, str):
            return None if _is_single_graph(text) else self._pair_of(darts_notation.as_genotype(text))
        if _GENOTYPE.match(text) or _FIELD.match(text) or darts_notation.in_log(text):
            return self._pair_of(darts_notation.parse(text))
        if text.startswith("{") and darts_configurations.PREFIX in text:
            try:
                return self.from_configuration(json.loads(text))
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f"configuration: not valid JSON ({error})") from None
        return None

    def build(self, architecture: "Architecture | CellPair", **settings: Any) -> "torch.nn.Module":
        """The evaluation network, untrained; see `cate_hf.spaces.darts._network.build_darts`."""
        from cate_hf.spaces.darts._network import build_darts

        genotype = self.to_genotype(architecture)
        return build_darts(genotype.normal, genotype.reduce, **settings)


SPACE = Darts
