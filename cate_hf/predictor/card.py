"""The card of a predictor, and the picture of its residuals."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cate_hf.predictor._combine import NORMAL

if TYPE_CHECKING:
    from cate_hf.predictor.model import Predictor

__all__ = ["render_card"]

_TEMPLATE = "predictor_card.md.jinja"
_BINS = 16  # along either axis


def render_card(predictor: "Predictor", repository: str | None = None, picture: bool = True) -> str:
    """The README.md of a predictor's folder, from its facts; what is not known is left out.

    Args:
        picture: whether the folder has one of the residuals.
        repository: what the card's examples load, such as "owner/name"; a path to fill in by default.
    """
    from huggingface_hub import EvalResult, ModelCardData

    from cate_hf.hub._card_templates import render_template

    facts, space = predictor.facts, predictor.space
    report = facts.get("report") or {}
    title = facts.get("title") or f"{', '.join(predictor.target_names)} of {space.name} architectures, predicted"
    results = [
        EvalResult(
            task_type="graph-ml",
            dataset_type=space.name,
            dataset_name=f"{space.name}, {measured['rows']:,} architectures that were not trained on",
            metric_type="kendall_tau",
            metric_name=f"Kendall tau of {name}",
            metric_value=round(measured["kendall_tau"], 4),
        )
        for name, measured in report.items()
    ]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="graph-ml",
        license="apache-2.0",
        tags=["cate", "neural-architecture-search", "performance-prediction", space.name],
        metrics=["kendall_tau", "rmse"],
        model_name=title if results else None,
        eval_results=results or None,
    )
    return render_template(
        _TEMPLATE,
        metadata=data.to_yaml(),
        title=title,
        repository=repository,
        space=space.name,
        targets=predictor.targets,
        members=len(predictor.models),
        trees=0 if predictor.trees is None else len(predictor.trees.roots),
        statistics=predictor.features.statistics,
        has_encoder=predictor.features.encoder is not None,
        weights=[combination.weights.tolist() for combination in predictor.combinations],
        example=json.dumps(space.example().to_dict()),
        facts={"command": None, "oracle": None, "note": None, "encoder": None} | facts,
        report=report,
        picture=picture,
    )


def draw_residuals(predictor: "Predictor", file: Path, single: bool = True) -> None:
    """What labels held out of the fit turned out to be, by what was predicted; of a predictor that does not know them,
    nothing is drawn. Without `single` points the picture shows how many fall where, from which no label can be read.
    """
    if not predictor.facts.get("residual_points"):
        return
    from matplotlib.figure import Figure

    points = predictor.facts["residual_points"]
    names = [name for name in predictor.target_names if name in points]
    figure = Figure(figsize=(5.2 * max(len(names), 1), 4.4), layout="constrained")
    for axis, name in zip(figure.subplots(1, max(len(names), 1), squeeze=False)[0], names, strict=False):
        predicted, true, deviation = (np.array(column) for column in points[name])
        low, high = np.quantile(np.concatenate([predicted, true]), [0.01, 0.99])
        margin = 0.08 * max(high - low, 1e-9)
        limits = (low - margin, high + margin)
        if single:
            axis.errorbar(predicted, true, xerr=deviation, fmt=".", markersize=3, elinewidth=0.4, alpha=0.6)
        else:
            bins = min(_BINS, max(2, round(len(true) ** 0.5)))
            axis.hist2d(predicted, true, bins, range=[limits, limits], cmap="Blues", cmin=1)
        axis.plot(limits, limits, color="#888888", linewidth=0.8)
        holds = f", ± what holds {100 * NORMAL:.0f} %" if single else ""
        axis.set(xlim=limits, ylim=limits, xlabel=f"predicted {name}{holds}", ylabel=name)
        axis.set_title(f"{len(true)} labels that were not trained on", fontsize=9)
    figure.savefig(file, dpi=110)
