"""Model and dataset cards: facts in, Markdown with valid Hub metadata out. The texts are templates, in hub_cards/."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files

# What of the pairs' facts a model's card shows.
PAIR_FACTS = ("cost", "window", "partners", "seed", "validation_pairs")
PAPER_URL = "https://arxiv.org/abs/2102.07108"


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
        losses: the last entries of the training log, each with step and loss (per masked node).
        validation_loss, validation_accuracy: per masked node of the validation pairs, accuracy in [0, 1]; `_x` and `_y`
            for the first and the second architecture of the pairs apart.
        seconds: duration of the training; machine: where it ran, such as "2-core CPU".
        kendall_tau: {encoding: {number of labelled cells: tau}} of frozen encodings on unseen cells; the first encoding
            is this checkpoint's. tau_protocol: one sentence on how they were measured.
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
    losses: Sequence[Mapping] = ()
    validation_loss: float | None = None
    validation_loss_x: float | None = None
    validation_loss_y: float | None = None
    validation_accuracy: float | None = None
    validation_accuracy_x: float | None = None
    validation_accuracy_y: float | None = None
    seconds: float | None = None
    machine: str | None = None
    kendall_tau: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    tau_protocol: str | None = None
    example: str | None = None
    datasets: Sequence[str] = ()
    title: str | None = None


@dataclass(frozen=True)
class DatasetCardFacts:
    """What a set of computation-aware pairs holds.

    Attributes:
        cost, window, partners, validation_fraction, seed: how pairs were made; the window is in units of the cost.
        cost_gap_quantiles: {"0.5": ...}: quantiles of the difference in cost of the two architectures of a pair.
        without_partner: architectures that found no partner; in_no_pair: those that are nobody's partner either.
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
    command: str | None = None
    title: str | None = None


def _facts(cls, facts):
    if isinstance(facts, cls):
        return facts
    known = [f.name for f in fields(cls)]
    for name in facts:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ValueError(f"card facts: unknown fact {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return cls(**facts)


def _environment():
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["number"] = lambda value: f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    environment.filters["percent"] = lambda value: f"{100 * value:.2f} %"
    return environment


def _render(template: str, **values) -> str:
    text = files("cate_hf.hub_cards").joinpath(template).read_text(encoding="utf-8")
    return _environment().from_string(text).render(**values)


def _eval_results(facts: ModelCardFacts) -> list:
    from huggingface_hub import EvalResult

    if not facts.kendall_tau:
        return []
    taus = next(iter(facts.kendall_tau.values()))
    return [
        EvalResult(
            task_type="feature-extraction",
            dataset_type=facts.space,
            dataset_name=f"{facts.space} (test accuracy of unseen architectures)",
            metric_type="kendall_tau",
            metric_name=f"Kendall tau, frozen encoding, {labelled} labelled architectures",
            metric_value=round(float(tau), 4),
        )
        for labelled, tau in taus.items()
    ]


def render_model_card(facts: ModelCardFacts | Mapping, config, num_parameters: int) -> str:
    """The README.md of a checkpoint.

    Args:
        facts: a `ModelCardFacts`, or a mapping with its fields.
        config: the checkpoint's `CateConfig`.
        num_parameters: parameters of the saved model, head included.

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
    shown = {name: getattr(config, name) for name in type(config).__annotations__ if name != "model_type"}
    return _render(
        "model_card.md.jinja",
        metadata=card_data.to_yaml(),
        facts=facts,
        title=title,
        config=shown,
        hidden_size=config.hidden_size,
        num_parameters=int(num_parameters),
        pairs={name: (facts.pairs or {})[name] for name in PAIR_FACTS if name in (facts.pairs or {})},
        labelled=sorted({n for taus in facts.kendall_tau.values() for n in taus}),
        paper_url=PAPER_URL,
    )


def render_dataset_card(facts: DatasetCardFacts | Mapping) -> str:
    """The README.md of a set of pairs. Raises ValueError for a fact with an unknown name."""
    from huggingface_hub import DatasetCardData

    facts = _facts(DatasetCardFacts, facts)
    title = facts.title or f"Computation-aware pairs of {facts.space} architectures"
    sizes = [
        (1_000, "n<1K"),
        (10_000, "1K<n<10K"),
        (100_000, "10K<n<100K"),
        (1_000_000, "100K<n<1M"),
        (10_000_000, "1M<n<10M"),
    ]
    card_data = DatasetCardData(
        license="apache-2.0",
        pretty_name=title,
        size_categories=[next((name for limit, name in sizes if facts.pairs < limit), "10M<n<100M")],
        tags=["cate", "neural-architecture-search", facts.space],
    )
    return _render("dataset_card.md.jinja", metadata=card_data.to_yaml(), facts=facts, title=title, paper_url=PAPER_URL)
