"""Several search spaces as one, over the union of their operations: what one encoder of all of them is trained on."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.graphs.table import PADDING, ArchitectureTable
from cate_hf.spaces.base import Space

if TYPE_CHECKING:
    import torch

    from cate_hf.graphs.architecture import Architecture

SEPARATOR = "+"
"""Between the names of the members in the name of a mixed space."""


class MixedSpace(Space):
    """The architectures of two spaces or more. An architecture is of the first member that has its inputs and all its
    operations, and takes it where several do; its hash and costs are those that it has there.

    Args:
        members: spaces of different names.

    Raises:
        ValueError: fewer than two members, or one twice.
    """

    def __init__(self, members: Sequence[Space]):
        self.members = tuple(members)
        names = [member.name for member in self.members]
        if len(names) < 2 or len({*names}) < len(names):
            raise ValueError(f"a mixed space needs two spaces or more, each once, not {', '.join(names) or 'none'}")
        self.name = SEPARATOR.join(names)
        self.version = SEPARATOR.join(member.version for member in self.members)
        self.vocabulary = tuple(dict.fromkeys(name for member in self.members for name in member.vocabulary))
        self.max_nodes = max(member.max_nodes for member in self.members)
        self.max_edges = max(member.max_edges for member in self.members)
        self.pool_size = sum(member.size or member.pool_size for member in self.members)
        common = [name for name in self.members[0].cost_names if all(name in m.cost_names for m in self.members)]
        self.cost_names = tuple(common)

    @property
    def distribution(self) -> str:
        """Those of the members, which `sample` draws from in turn."""
        return "; ".join(f"{member.name}: {member.distribution}" for member in self.members)

    def member(self, name: str) -> Space:
        """Raises ValueError where none has that name."""
        for member in self.members:
            if member.name == name:
                return member
        raise ValueError(f"{self.name} has no member {name!r}")

    def member_of(self, table: ArchitectureTable, source: str = "architectures") -> np.ndarray:
        """(N,) numbers of the members that the architectures of a table are of.

        Raises:
            ValueError: naming the first row that is of none.
        """
        table = self.table(table, source)
        fits_all = np.zeros((len(self.members), len(table)), dtype=bool)
        for number, member in enumerate(self.members):
            known = np.zeros(256, dtype=bool)
            known[[self.vocabulary.index(name) for name in member.vocabulary] + [PADDING]] = True
            fits = known[table.operation_codes].all(axis=1)
            for node, name in enumerate(member.vocabulary[: member.num_inputs]):
                fits &= table.operation_codes[:, node] == self.vocabulary.index(name)
            fits_all[number] = fits
        found = np.where(fits_all.any(axis=0), fits_all.argmax(axis=0), -1)
        for row in np.flatnonzero(
            fits_all.sum(axis=0) > 1
        ).tolist():  # those of inputs and outputs, where spaces are known ones
            one, fitting = table[row], np.flatnonzero(fits_all[:, row])
            found[row] = next((int(n) for n in fitting if self.members[n].is_valid(one)), fitting[0])
        if (found < 0).any():
            row = int(np.argmax(found < 0))
            raise ValueError(f"{source}, row {row}: its inputs and operations are not of one of {self._listed()}")
        return found

    def _inputs_of(self, table: ArchitectureTable) -> np.ndarray:
        """(N,) by the names of the first nodes: as many as of the member with the most inputs that has them all."""
        inputs = np.ones(len(table), dtype=np.int64)
        for member in sorted(self.members, key=lambda member: member.num_inputs):
            fits = table.num_nodes > member.num_inputs
            for node, name in enumerate(member.vocabulary[: member.num_inputs]):
                known = name in table.vocabulary and node < table.max_nodes
                fits &= table.operation_codes[:, node] == table.vocabulary.index(name) if known else False
            inputs[fits] = member.num_inputs
        return inputs

    def hash_many(self, table: ArchitectureTable) -> np.ndarray:
        """(N,) text (<U32): each member's own hashes."""
        return self._by_member(table, lambda member, part: member.hash_many(part))

    def _cost(self, table: ArchitectureTable, name: str) -> np.ndarray:
        return self._by_member(table, lambda member, part: member.costs(part, name))

    def _by_member(self, table: ArchitectureTable, function: Callable[[Space, ArchitectureTable], np.ndarray]):
        """(N,) what each member gives of its architectures."""
        table = self.table(table)
        numbers = self.member_of(table)
        result = None
        for number, member in enumerate(self.members):
            rows = np.flatnonzero(numbers == number)
            values = function(member, table[rows].recode(member.vocabulary))
            result = np.zeros(len(table), values.dtype) if result is None else result
            if result.dtype != values.dtype:
                result = result.astype(np.result_type(result, values))
            result[rows] = values
        return result

    def validate(self, architecture: "Architecture") -> "Architecture":
        """Return what the member that the architecture is of makes of it. Raises ValueError as that does."""
        return self._member_of_one(architecture).validate(architecture)

    def _member_of_one(self, architecture: "Architecture") -> Space:
        operations = getattr(architecture, "operations", None)
        if operations is None:
            raise ValueError(f"expected an Architecture of {self.name}, got {architecture!r:.80}")
        fitting = [
            member
            for member in self.members
            if {*operations} <= {*member.vocabulary}
            and (*operations[: member.num_inputs],) == member.vocabulary[: member.num_inputs]
        ]
        if not fitting:
            raise ValueError(f"its inputs and operations are not of one of {self._listed()}")
        return next((member for member in fitting if len(fitting) == 1 or member.is_valid(architecture)), fitting[0])

    def _listed(self) -> str:
        return ", ".join(member.name for member in self.members)

    def validate_many(self, table: ArchitectureTable, source: str = "architectures") -> ArchitectureTable:
        """Apply `validate` to every row. Raises ValueError naming the first row that fails."""
        table = self.table(table, source)
        numbers, parts, order = self.member_of(table, source), [], []
        for number, member in enumerate(self.members):
            rows = np.flatnonzero(numbers == number)
            part = table[rows].replace_columns({}).recode(member.vocabulary)
            try:
                parts.append(member.validate_many(part, source))
            except ValueError as error:  # its rows are numbered by the part
                place = re.match(rf"({re.escape(source)},? row )(\d+)", message := str(error))
                raise ValueError(
                    f"{place[1]}{rows[int(place[2])]}{message[place.end() :]}" if place else message
                ) from None
            order.append(rows)
        checked = ArchitectureTable.concatenate(parts)[np.argsort(np.concatenate(order))]
        return checked.recode(self.vocabulary).replace_columns(table.columns)

    def pool(self, use_cache: bool = True, progress: bool = False) -> ArchitectureTable:
        """Return the members' pools as one table, sorted by hash."""
        return self._joined([member.pool(use_cache, progress) for member in self.members])

    def sample(self, n: int, seed: int, progress: bool = False) -> ArchitectureTable:
        """About as many of each member, as it samples them."""
        counts = [len(part) for part in np.array_split(np.empty(max(n, 0)), len(self.members))]
        if n < 0:
            raise ValueError(f"sample: n must be 0 or more, not {n}")
        return self._joined([m.sample(count, seed, progress) for m, count in zip(self.members, counts, strict=True)])

    def _joined(self, tables: Sequence[ArchitectureTable]) -> ArchitectureTable:
        """Tables of the members, sorted by hash, with columns hash and the costs that all have."""
        kept = [m.with_costs(table) for m, table in zip(self.members, tables, strict=True)]
        names = ("hash", *self.cost_names)
        table = ArchitectureTable.concatenate(
            [t.replace_columns({name: t.columns[name] for name in names}) for t in kept]
        )
        return table[np.argsort(table.columns["hash"], kind="stable")].recode(self.vocabulary)

    def neighbours(self, architecture: "Architecture") -> ArchitectureTable:
        """Return the neighbours in the member that the architecture is of."""
        return self._member_of_one(architecture).neighbours(architecture).recode(self.vocabulary)

    def example(self) -> "Architecture":
        """Return the example of the first member."""
        return self.members[0].example()

    def native(self, architecture: "Architecture") -> str | None:
        """Return the notation of the member that the architecture is of."""
        return self._member_of_one(architecture).native(architecture)

    def build(self, architecture: "Architecture", **settings: Any) -> "torch.nn.Module":
        """Return the network that the member builds."""
        return self._member_of_one(architecture).build(architecture, **settings)
