"""Model and dataset cards: facts in, Markdown with valid Hub metadata out. The texts are templates, in hub_cards/."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TypeVar

from cate_hf.core._names import unknown
from cate_hf.hub._card_templates import render_template

__all__ = ["CARD_DIGEST", "PARAMETERS", "ModelCardFacts", "card_digest", "render_dataset_card", "render_model_card"]

# What of the pairs' facts a model's card shows.
PAIR_FACTS = ("cost", "window", "partners", "seed", "validation_pairs")
PAPER_URL = "https://arxiv.org/abs/2102.07108"
ON_SPACE = " on "
"""In `kendall_tau` of an encoder of several spaces, between an encoding's name and that of a space."""
PARAMETERS, CARD_DIGEST = "num_parameters", "card_sha256"
"""Beside the facts in card.json: parameters of the model, and the digest of the card as it was rendered."""
_Facts = TypeVar("_Facts")
_BAR = 24  # characters of the longest bar of a histogram


@dataclass(frozen=True)
class ModelCardFacts:
    """What is known of how a checkpoint came to be. A fact that is None is left out of the card; nothing is invented.

    Attributes:
        space: name of the search space, such as "nasbench101".
        preset: "default" or "paper".
        command: the exact command that made the checkpoint.
        converted_from: for weights of the reference code, the file that they were read from.
        steps, epochs: optimiser updates, and passes over the training pairs.
        batch_size: pairs an update, over all processes.
        train_pairs: number of pairs trained on.
        pairs: facts about the pairs: cost, window, partners, seed, train_pairs, validation_pairs.
        masked_weight, statistics_weight: of the two parts of the loss.
        statistics: number of statistics of the computation that the encoding predicts; statistics_cells: architectures
            whose networks were measured for them, over so many initialisations.
        validation_r2_structure, validation_r2_initialisation: coefficients of determination of predicted statistics on
            held-out architectures, means over the statistics.
        losses: the last entries of the training log, each with step and loss (per masked node).
        validation_loss, validation_accuracy: per masked node of the validation pairs, accuracy in [0, 1]; `_x` and `_y`
            for the first and the second architecture of the pairs apart.
        processor_seconds: processor time of the training, of all its processes and runs; workers that measure networks
            are not in it. machine: where it ran, such as "2-core CPU".
        kendall_tau: {encoding: {number of labelled cells: tau}} of frozen encodings on unseen cells; the first encoding
            is this checkpoint's. tau_protocol: one sentence on how they were measured.
        probes: {encoding: {figure: value}} of made-up labels and linear probes, this one's first; probe_protocol:
            one sentence on how they were measured.
        example: an architecture of the space as JSON of operations and adjacency.
        datasets: Hub ids of the datasets used.
        title: of the card, and the model's name in its metadata.
    """

    space: str
    preset: str = "default"
    command: str | None = None
    converted_from: str | None = None
    steps: int | None = None
    epochs: float | None = None
    batch_size: int | None = None
    train_pairs: int | None = None
    learning_rate: float | None = None
    mixed_precision: str | None = None
    processes: int | None = None
    seed: int | None = None
    pairs: Mapping | None = None
    masked_weight: float | None = None
    statistics_weight: float | None = None
    statistics: int | None = None
    statistics_cells: int | None = None
    initialisations: int | None = None
    validation_r2_structure: float | None = None
    validation_r2_initialisation: float | None = None
    losses: Sequence[Mapping] = ()
    validation_loss: float | None = None
    validation_loss_x: float | None = None
    validation_loss_y: float | None = None
    validation_accuracy: float | None = None
    validation_accuracy_x: float | None = None
    validation_accuracy_y: float | None = None
    processor_seconds: float | None = None
    machine: str | None = None
    kendall_tau: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    tau_protocol: str | None = None
    probes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    probe_protocol: str | None = None
    example: str | None = None
    datasets: Sequence[str] = ()
    title: str | None = None


@dataclass(frozen=True)
class DatasetCardFacts:
    """What a set of computation-aware pairs holds, as `cate_hf.data._facts` computes it. What is None or empty is left
    out of the card.

    Attributes:
        cost, window, partners, validation_fraction, seed: how pairs were made; the window is in units of the cost.
        cost_gap_quantiles: {"0.5": ...}: quantiles of the difference in cost of the two architectures of a pair.
        cost_quantiles: {cost: {"0.5": ...}} of the architectures.
        cost_histogram: of the cost that they are paired by: [{"from": ..., "to": ..., "count": ...}], ascending.
        where: which architectures of the space, where not all.
        without_partner: architectures that found no partner; in_no_pair: those that are nobody's partner either.
        vocabulary: names of the operations in the order of their class labels.
        nodes: {"7": architectures of 7 nodes}.
        sampled: whether the architectures are a sample of the space, not all of it; distribution: drawn from what.
        license: a Hub licence id.
    """

    space: str
    architectures: int
    pairs: int
    train_pairs: int
    validation_pairs: int
    cost: str
    window: float | int
    partners: int
    seed: int
    without_partner: int
    in_no_pair: int | None = None
    space_version: str | None = None
    validation_fraction: float | None = None
    cost_gap_quantiles: Mapping[str, float] = field(default_factory=dict)
    cost_quantiles: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    cost_histogram: Sequence[Mapping[str, float]] = ()
    vocabulary: Sequence[str] = ()
    nodes: Mapping[str, int] = field(default_factory=dict)
    max_nodes: int | None = None
    max_edges: int | None = None
    sampled: bool | None = None
    distribution: str | None = None
    license: str | None = None
    command: str | None = None
    title: str | None = None
    where: str | None = None


def _facts(cls: type[_Facts], facts: "_Facts | Mapping") -> _Facts:
    if not isinstance(facts, Mapping):
        return facts
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    for name in facts:
        if name not in known:
            raise ValueError(f"card facts: {unknown('fact', name, known)}")
    return cls(**facts)


def _eval_results(facts: ModelCardFacts) -> list:
    from huggingface_hub import EvalResult

    if not facts.kendall_tau:
        return []
    own, *_ = next(iter(facts.kendall_tau)).rpartition(ON_SPACE)
    measured = {facts.space: next(iter(facts.kendall_tau.values()))}
    if own:
        known = {name.rpartition(ON_SPACE)[::2]: taus for name, taus in facts.kendall_tau.items()}
        measured = {space: taus for (name, space), taus in known.items() if name == own}
    return [
        EvalResult(
            task_type="feature-extraction",
            dataset_type=space,
            dataset_name=f"{space} (accuracy of unseen architectures)",
            metric_type="kendall_tau",
            metric_name=f"Kendall tau, frozen encoding, {labelled} labelled architectures",
            metric_value=round(float(tau), 4),
        )
        for space, taus in measured.items()
        for labelled, tau in taus.items()
    ]


def render_model_card(
    facts: ModelCardFacts | Mapping, config, num_parameters: int, repository: str | None = None
) -> str:
    """The README.md of a checkpoint.

    Args:
        facts: a `ModelCardFacts`, or a mapping with its fields.
        config: the checkpoint's `CateConfig`.
        num_parameters: parameters of the saved model, head included.
        repository: what the card's example loads, such as "owner/name"; a path to fill in by default.

    Raises:
        ValueError: a fact with an unknown name.
    """
    from huggingface_hub import ModelCardData

    facts = _facts(ModelCardFacts, facts)
    title = facts.title or f"CATE encoder of {facts.space} architectures"
    results = _eval_results(facts)
    card_data = ModelCardData(
        library_name="transformers",
        pipeline_tag="feature-extraction",
        license="apache-2.0",
        tags=["cate", "neural-architecture-search", "architecture-encoding", facts.space],
        datasets=list(facts.datasets) or None,
        metrics=["accuracy", *(["kendall_tau"] if results else [])],
        model_name=title if results else None,
        eval_results=results or None,
    )
    values = {name: getattr(config, name) for name in type(config).__annotations__ if name != "model_type"}
    shown = {name: value for name, value in values.items() if value is not None}
    return render_template(
        "model_card.md.jinja",
        metadata=card_data.to_yaml(),
        facts=facts,
        title=title,
        repository=repository,
        config=shown,
        encoding_size=config.encoding_size,
        parts={name: (part.start, part.stop) for name, part in config.encoding_parts.items()},
        num_parameters=int(num_parameters),
        pairs={name: (facts.pairs or {})[name] for name in PAIR_FACTS if name in (facts.pairs or {})},
        labelled=sorted({n for taus in facts.kendall_tau.values() for n in taus}),
        paper_url=PAPER_URL,
    )


# Names of the Hub for numbers of rows, each with the number that it stays below.
_SIZES = {
    "n<1K": 1_000,
    "1K<n<10K": 10_000,
    "10K<n<100K": 100_000,
    "100K<n<1M": 1_000_000,
    "1M<n<10M": 10_000_000,
    "10M<n<100M": 100_000_000,
}


def render_dataset_card(facts: DatasetCardFacts | Mapping, repository: str | None = None) -> str:
    """The README.md of a folder of pairs; its metadata names the files of the configurations pairs and architectures.

    Args:
        repository: what the card's example loads, such as "owner/name"; a path to fill in by default.

    Raises:
        ValueError: a fact with an unknown name.
    """
    from huggingface_hub import DatasetCardData

    facts = _facts(DatasetCardFacts, facts)
    title = facts.title or f"Computation-aware pairs of {facts.space} architectures"
    numbers = {"train": facts.train_pairs, "validation": facts.validation_pairs}
    # The library datasets has no splits without rows.
    splits = {"pairs": {s: s for s, n in numbers.items() if n}, "architectures": {"train": "architectures"}}
    card_data = DatasetCardData(
        license=facts.license,
        pretty_name=title,
        size_categories=[next((name for name, limit in _SIZES.items() if facts.pairs < limit), "100M<n<1B")],
        tags=["cate", "neural-architecture-search", facts.space],
        configs=[
            {
                "config_name": name,
                **({"default": True} if name == "pairs" else {}),
                "data_files": [{"split": split, "path": f"{file}.parquet"} for split, file in files.items()],
            }
            for name, files in splits.items()
        ],
    )
    largest = max((row["count"] for row in facts.cost_histogram), default=1)
    return render_template(
        "dataset_card.md.jinja",
        metadata=card_data.to_yaml(),
        facts=facts,
        title=title,
        repository=repository,
        nodes=_few_rows(facts.nodes),
        bars=["█" * round(_BAR * row["count"] / largest) for row in facts.cost_histogram],
        paper_url=PAPER_URL,
    )


def _few_rows(nodes: Mapping[str, int], most: int = 16) -> dict[str, int]:
    """Counts by number of nodes; of many numbers, in ranges of equal length."""
    numbers = sorted(map(int, nodes))
    if len(numbers) <= most:
        return {str(n): nodes[str(n)] for n in numbers}
    step = -(-(numbers[-1] - numbers[0] + 1) // most)
    rows: dict[str, int] = {}
    for n in numbers:
        low = numbers[0] + (n - numbers[0]) // step * step
        key = f"{low}–{min(low + step - 1, numbers[-1])}"
        rows[key] = rows.get(key, 0) + nodes[str(n)]
    return rows


def facts_text(facts: ModelCardFacts | Mapping, num_parameters: int, card: str) -> str:
    """Facts of a card as the JSON that card.json holds. What is None is left out."""
    content = asdict(facts) if isinstance(facts, ModelCardFacts) else dict(facts)
    content |= {PARAMETERS: num_parameters, CARD_DIGEST: card_digest(card)}
    return json.dumps({k: v for k, v in content.items() if v is not None}, indent=2, ensure_ascii=False) + "\n"


def card_digest(card: str) -> str:
    """SHA-256 of a card's text."""
    return hashlib.sha256(card.encode()).hexdigest()
