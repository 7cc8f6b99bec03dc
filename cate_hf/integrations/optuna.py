"""Optuna studies that search architectures by their encodings (extra `optuna`; Akiba et al., KDD 2019).

An architecture is one integer parameter of a trial, its row among the candidates; whatever else the objective suggests
is sampled as in any study.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._files import digest_of
from cate_hf.search import parse_algorithm
from cate_hf.search.run import encode_candidates
from cate_hf.spaces import get_space

try:
    import optuna
    from optuna.distributions import IntDistribution
    from optuna.trial import TrialState
except ImportError as error:
    message = "cate_hf.integrations.optuna needs Optuna: pip install 'cate_hf[optuna]'"
    raise ModuleNotFoundError(message, name="optuna") from error

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import BaseTrial, FrozenTrial

    from cate_hf.encodings import Encoding
    from cate_hf.graphs.architecture import Architecture
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.search.base import Optimizer
    from cate_hf.spaces import Space

__all__ = ["ArchitectureSampler"]

_CLAIM = "cate_hf:row"  # system attribute of a trial: the row that it was given
_DIGEST = "cate_hf:candidates"  # system attribute of a study
_MOST_CANDIDATES = 100_000  # of a space that is too large to list, or longer than this


class ArchitectureSampler(optuna.samplers.BaseSampler):
    """Proposes each trial's architecture by a search of this package, and samples other parameters by another sampler.

    All that it knows it reads from the study: after a kill, or in another process or machine on the same storage, a
    study goes on, and no architecture is given out twice, be its trial running, finished or failed. A trial that failed
    teaches nothing; one that was pruned counts as the worst value that any finished trial has.

    Args:
        space: search space, a name, a YAML file or a `Space`.
        algorithm: as `cate search --algorithm` names it. Open steps are not for studies, whose candidates are fixed.
        encoding: as `cate search --encoding` names it, where the algorithm uses one.
        candidates: architectures to search among, in any form that `space.table` takes; isomorphic ones count once.
            When None those of the space; of one that cannot be listed, or has more than 100,000, as many drawn at
            random.
        seed: of the search and of the drawing of candidates.
        independent: sampler of all other parameters; Optuna's TPE when None.
        name: of the architecture's parameter in the study; a second sampler's study may have another.
        settings: of the algorithm.

    Attributes:
        space, candidates: as above, the latter with a hash column.

    Raises:
        ValueError: an unknown space, algorithm, encoding or setting, or a candidate of another space; names the row.
    """

    def __init__(
        self,
        space: "str | Space",
        algorithm: str = "cate-predictor",
        encoding: "str | Encoding" = "cate",
        candidates: Any = None,
        seed: int = 0,
        independent: "BaseSampler | None" = None,
        name: str = "architecture",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.space, self.name, self._seed = get_space(space), name, int(seed)
        self._algorithm, named, looks = parse_algorithm(algorithm)
        self._settings = self._algorithm.checked({**(settings or {}), **named})
        if "open" in self._settings.values():
            raise ValueError(f"{algorithm}: a study has fixed candidates, so steps cannot be open")
        self.candidates: ArchitectureTable = _candidates(self.space, candidates, seed)
        self._encodings = encode_candidates(encoding, self.space, self.candidates) if looks else None
        self._independent = independent or optuna.samplers.TPESampler(seed=seed)
        self._digest = digest_of(np.array(self.candidates.columns["hash"], dtype="S32"))

    def suggest(self, trial: "BaseTrial") -> "Architecture":
        """The architecture of a trial; to be called in the objective.

        The trial gets the user attribute `NAME_hash`, by which it is found in tables and benchmarks.

        Raises:
            ValueError: the trial's study does not sample by this sampler.
        """
        study: Any = getattr(trial, "study", None)  # a FixedTrial has none
        used = getattr(study, "sampler", self)
        used = getattr(used, "_base_sampler", used)  # of Optuna's PartialFixedSampler
        if not isinstance(used, ArchitectureSampler) or (used.name, used._digest) != (self.name, self._digest):
            raise ValueError(
                f"study {getattr(study, 'study_name', None)!r} samples by {type(used).__name__}, not by this sampler; "
                "give it as sampler= to optuna.create_study or load_study"
            )
        row = trial.suggest_int(self.name, 0, len(self.candidates) - 1)
        trial.set_user_attr(f"{self.name}_hash", str(self.candidates.columns["hash"][row]))
        return self.candidates[row]

    def architecture(self, trial: "BaseTrial | FrozenTrial") -> "Architecture":
        """The architecture of a trial that has one, such as `study.best_trial`.

        Raises:
            ValueError: the trial has none.
        """
        if self.name not in trial.params:
            raise ValueError(f"trial {trial.number} has no parameter {self.name!r}")
        return self.candidates[trial.params[self.name]]

    def infer_relative_search_space(self, study: "Study", trial: "FrozenTrial") -> "dict[str, BaseDistribution]":
        """The architecture's parameter alone: Optuna asks this of a sampler.

        Raises:
            ValueError: a study with several objectives, or one of other candidates.
        """
        if len(study.directions) != 1:
            raise ValueError(f"a study with {len(study.directions)} objectives: an architecture is searched by one")
        known = study._storage.get_study_system_attrs(study._study_id).get(_DIGEST)
        if known is None:
            study._storage.set_study_system_attr(study._study_id, _DIGEST, self._digest)
        elif known != self._digest:
            raise ValueError(
                f"study {study.study_name!r} is of other candidates; make the sampler with the same space and "
                "candidates as the first one (of a space too large to be listed, the same seed too)"
            )
        return {self.name: IntDistribution(0, len(self.candidates) - 1)}

    def sample_relative(
        self, study: "Study", trial: "FrozenTrial", search_space: "dict[str, BaseDistribution]"
    ) -> dict[str, Any]:
        """The row of the architecture that the search proposes: Optuna asks this of a sampler.

        Raises:
            ValueError: every candidate has been given out.
        """
        if self.name not in search_space:
            return {}
        taken: set[int] = set()
        while True:
            optimizer = self._optimizer(study, trial, taken)
            rows = optimizer.ask_rows(1)
            if not rows:
                raise ValueError(f"all {len(self.candidates):,} candidates have been given out; stop the study")
            # Another process may have chosen the same meanwhile: whoever sees that chooses anew.
            study._storage.set_trial_system_attr(trial._trial_id, _CLAIM, rows[0])
            if rows[0] not in self._claimed(study, trial):
                return {self.name: rows[0]}
            taken.add(rows[0])

    def sample_independent(
        self, study: "Study", trial: "FrozenTrial", param_name: str, param_distribution: "BaseDistribution"
    ) -> Any:
        """Another parameter, by the other sampler."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Reseed the other sampler; the search is seeded by the number of the trial."""
        self._independent.reseed_rng()

    def _claimed(self, study: "Study", trial: "FrozenTrial") -> set[int]:
        """Rows that other trials have, whatever came of them."""
        others = (other for other in study.get_trials(deepcopy=False) if other.number != trial.number)
        return {row for other in others if (row := self._row_of(other)) is not None}

    def _row_of(self, trial: "FrozenTrial") -> int | None:
        return trial.params.get(self.name, trial.system_attrs.get(_CLAIM))

    def _optimizer(self, study: "Study", trial: "FrozenTrial", taken: set[int]) -> "Optimizer":
        """A search that has been told what the study knows."""
        # Not the sum of the two: studies of neighbouring seeds would draw the same.
        seed = int(np.random.default_rng([self._seed, trial.number]).integers(2**31))
        optimizer = self._algorithm(self.space, self.candidates, seed, self._encodings, **self._settings)
        sign = 1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1.0
        told: dict[int, float] = {}
        pruned: list[int] = []
        asked = set(taken)
        for other in study.get_trials(deepcopy=False):
            row = self._row_of(other)
            if row is None or other.number == trial.number:
                continue
            if not other.state.is_finished():
                asked.add(row)
            elif other.state == TrialState.PRUNED:
                pruned.append(row)
            elif row not in told:  # one that the user enqueued may come twice
                good = other.state == TrialState.COMPLETE and math.isfinite(other.value)
                told[row] = sign * other.value if good else math.nan
        worst = np.nanmin([*told.values(), math.inf])
        for row in pruned:
            told.setdefault(row, float(worst) if math.isfinite(worst) else math.nan)
        for row, value in told.items():
            optimizer.tell_row(row, value)
        optimizer.mark_asked(sorted(asked - set(told)))
        return optimizer


def _candidates(space: "Space", given: Any, seed: int) -> "ArchitectureTable":
    """Unique architectures with a hash column."""
    if given is None:
        listed = space.size is not None and space.size <= _MOST_CANDIDATES
        return space.pool() if listed else space.sample(_MOST_CANDIDATES, seed)
    table = space.validate_many(space.table(given, "candidates"), "candidates")
    hashes = space.hash_many(table)
    unique = np.sort(np.unique(hashes, return_index=True)[1])
    return table.with_columns(hash=hashes)[unique]
