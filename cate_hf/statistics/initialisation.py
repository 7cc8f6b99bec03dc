"""Statistics of an architecture's own network at initialisation: label-free, after a few passes of one batch.

Such numbers are known as zero-cost proxies (Abdelfattah, Mehrotra, Dudziak, Lane, "Zero-Cost Proxies for Lightweight
NAS", ICLR 2021). Measured here, on a small network with random images and labels:

- relu_log_determinant: of the kernel whose entry for two images is the number of ReLUs that are both active or both
  inactive (NASWOT: Mellor, Turner, Storkey, Crowley, "Neural Architecture Search without Training", ICML 2021), and
  relu_log_determinant_normalised: of the kernel over the number of ReLUs; log_relus: log(1 + their number);
  relus_active: the share that are active.
- log_gradient_norm: of all weights; log_snip: of the sum of |weight · gradient| (SNIP: Lee, Ajanthan, Torr, ICLR 2019);
  layer_log_gradient_mean, _spread and _first: mean and standard deviation over the layers of log(gradient norm), and
  that of the first layer.
- jacobian_covariance: Mellor et al. 2020 (the first version of NASWOT): of the eigenvalues v of the correlations of
  images' input gradients, -log mean(log(v + 1e-5) + 1 / (v + 1e-5)), their score on a scale that is bounded;
  jacobian_log_determinant: of the normalised Gram matrix of the input gradients; log_jacobian_norm.
- at the outputs of the first, middle and last cell: cosine, the mean between images; log_std; entropy of the singular
  values (the logarithm of the effective rank, Roy and Vetterli 2007, over its largest); roughness, the mean squared
  difference of neighbouring pixels over twice the variance: 0 of a constant, about 1 of white noise.
- log_synflow: of the sum of weight · gradient of the network without batch norm whose weights are their absolute
  values, for an image of ones, in float64 (SynFlow: Tanaka, Kunin, Yamins, Ganguli, NeurIPS 2020).

All are finite. A logarithm is of no less than 1e-12, an eigenvalue of a determinant no less than 1e-6, and what
overflows is cut at ±1e6. Where nothing tells images apart, as in a cell that gives zeros, they count as equal: cosine
1, entropy and roughness 0, kernels of ones. A network without ReLUs has the kernel of ones too.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cate_hf.core._progress import progress_bar
from cate_hf.graphs._cache import cache_folder
from cate_hf.statistics._shards import Shards

if TYPE_CHECKING:
    from cate_hf.graphs.table import ArchitectureTable
    from cate_hf.spaces.base import Space

_VERSION = 1
"""Of the numbers: caches are keyed by it."""
_SHARD_ROWS = 512
_SHARD_SECONDS = 30.0  # at most between two writes
_TASK = 8  # architectures that a process measures at a time


@dataclass(frozen=True)
class InitialisationSettings:
    """How networks are measured.

    Attributes:
        seed, initialisations: the numbers are means over the seeds seed, seed + 1, .. of weights, images and labels.
        batch, image_size: of the images, which are square.
        network: settings of `space.build`; `space.small_network` when None.
    """

    seed: int = 0
    initialisations: int = 1
    batch: int = 32
    image_size: int = 16
    network: Mapping[str, Any] | None = None

    def __post_init__(self):
        """Raises ValueError for a setting below its least."""
        for name, least in (("seed", 0), ("initialisations", 1), ("batch", 2), ("image_size", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
                raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")

    @property
    def seeds(self) -> range:
        """One seed for each initialisation."""
        return range(self.seed, self.seed + self.initialisations)

    def build_settings(self, space: "Space") -> dict[str, Any]:
        """Settings of the space's `build` for the network to measure."""
        return dict(space.small_network if self.network is None else self.network)


def initialisation_names() -> list[str]:
    """The T names of the statistics."""
    from cate_hf.statistics._network_measures import NAMES

    return list(NAMES)


def initialisation(
    space: "Space",
    table: "ArchitectureTable",
    settings: InitialisationSettings | None = None,
    jobs: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Statistics of the networks of a table at initialisation.

    Of the same drawing they are always the same, up to rounding; of isomorphic drawings those of other random weights.
    They are kept in the cache folder as they come: what was interrupted, or killed, goes on where it was. Those of a
    space that a file describes are not, for its network is a Python function that no version names.

    Args:
        table: N architectures that are of the space.
        jobs: processes, of one thread each; `cate_hf.core._parallel.num_threads()` when None.
        progress: draw a progress bar.

    Returns:
        (N, T) float32, in the order of `initialisation_names`.

    Raises:
        ValueError: the space has no network, or it cannot be built or run with these settings.
    """
    settings = settings or InitialisationSettings()
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, not {jobs}")
    work = _Work(space, table, settings)
    if work.total:
        work.check()
        with progress_bar(f"networks of {space.name}", work.total, "networks", progress) as advance:
            for count in work.run(jobs):
                advance(count)
    return work.means()


def networks_to_measure(space: "Space", table: "ArchitectureTable", settings: InitialisationSettings | None = None):
    """How many networks `initialisation` would measure, as they are not in the cache folder: an int."""
    return _Work(space, table, settings or InitialisationSettings()).total


def seconds_each(space: "Space", table: "ArchitectureTable", settings: InitialisationSettings | None = None) -> float:
    """What a network takes one process here and now, measured on a few of the table's."""
    from cate_hf.statistics._workers import measure_rows

    settings = settings or InitialisationSettings()
    table = space.canonical(space.table(table)).replace_columns({})
    few = table[np.linspace(0, len(table) - 1, min(4, len(table))).astype(int)]
    measure_rows(space, few[:1], settings, [settings.seed])  # the first takes longer
    start = time.perf_counter()
    measure_rows(space, few, settings, [settings.seed])
    return (time.perf_counter() - start) / max(len(few), 1)


class _Work:
    """The different drawings of a table, and which seeds of which of them are still to be measured."""

    def __init__(self, space: "Space", table: "ArchitectureTable", settings: InitialisationSettings):
        self.space, self.settings = space, settings
        table = space.canonical(space.table(table)).replace_columns({})
        table = table.widen(max(space.max_nodes, int(table.num_nodes.max(initial=2))))
        drawings = np.ascontiguousarray(np.column_stack([table.operation_codes, table.edge_bits]))
        keys = drawings.view(f"S{drawings.shape[1]}").ravel()
        self.keys, self.first_rows, self.inverse = np.unique(keys, return_index=True, return_inverse=True)
        self.table = table[self.first_rows]
        names = tuple(initialisation_names())
        self.shards = Shards(_folder(space, settings, names), names, drawings.shape[1])
        self.numbers = np.full((len(self.keys), settings.initialisations, len(names)), np.nan, np.float32)
        self._look_up(*self.shards.read())
        self.missing = np.isnan(self.numbers[..., 0])
        self.total = int(self.missing.sum())

    def _look_up(self, keys: np.ndarray, seeds: np.ndarray, numbers: np.ndarray) -> None:
        if not len(self.keys) or not len(keys):
            return
        rows = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        at = seeds - self.settings.seed
        known = (self.keys[rows] == keys) & (at >= 0) & (at < self.settings.initialisations)
        self.numbers[rows[known], at[known]] = numbers[known]

    def check(self) -> None:
        """Measure one network, so that what is wrong with all is told at once."""
        from cate_hf.statistics._workers import measure_rows

        rows = np.flatnonzero(self.missing.any(axis=1))
        row = rows[np.argmin(self.first_rows[rows])]
        measure_rows(self.space, self.table[[row]], self.settings, [self.settings.seed], self.first_rows[[row]])

    def tasks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows, and the numbers of the initialisations that they all lack."""
        patterns, of_row = np.unique(self.missing, axis=0, return_inverse=True)
        for i, pattern in enumerate(patterns):
            rows = np.flatnonzero(of_row == i) if pattern.any() else np.empty(0, np.int64)
            for start in range(0, len(rows), _TASK):
                yield rows[start : start + _TASK], np.flatnonzero(pattern)

    def run(self, jobs: int | None) -> Iterator[int]:
        """Measure what is missing and keep it; yields how many networks were, as they come."""
        from cate_hf.statistics._workers import run_tasks

        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        written = time.monotonic()
        try:
            tasks = list(self.tasks())
            for task, numbers in run_tasks(self.space, self.table, self.first_rows, self.settings, tasks, jobs):
                rows, at = tasks[task]
                self.numbers[rows[:, None], at] = numbers
                waiting.append((np.repeat(rows, len(at)), np.tile(at, len(rows))))
                yield len(rows) * len(at)
                enough = sum(len(part) for part, _ in waiting) >= _SHARD_ROWS
                if enough or time.monotonic() - written > _SHARD_SECONDS:
                    self._write(waiting)
                    written = time.monotonic()
        finally:  # also what an error or Ctrl-C interrupts
            self._write(waiting)
        self.shards.compact()

    def _write(self, waiting: list[tuple[np.ndarray, np.ndarray]]) -> None:
        if waiting:
            rows, at = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
            waiting.clear()
            self.shards.append(self.keys[rows], at + self.settings.seed, self.numbers[rows, at])

    def means(self) -> np.ndarray:
        return self.numbers.astype(np.float64).mean(axis=1).astype(np.float32)[self.inverse]


def _folder(space: "Space", settings: InitialisationSettings, names: tuple[str, ...]):
    """Where the numbers of a space and of these settings are kept, whatever the seeds; None for those that are not."""
    if space.definition() is not None:
        return None
    told = [_VERSION, names, settings.batch, settings.image_size, settings.build_settings(space)]
    try:
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
    except TypeError:  # a setting of the network that is not JSON
        return None
    return cache_folder() / f"initialisation-{space.name}-{space.version}-{digest}"
