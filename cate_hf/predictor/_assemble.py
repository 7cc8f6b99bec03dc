"""K single models as the one that `AutoModelForSequenceClassification` loads, and back."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from cate_hf.predictor.targets import Target


def assemble(
    models: "Sequence[nn.Module]", targets: "Sequence[Target]", lines: Sequence[tuple[float, float]]
) -> "nn.Module":
    """A `CateForSequenceClassification` of K members whose logits are labels in their units: the members' mean, on the
    line (slope, shift) of each target, mapped back from the target's standardised form."""
    import torch

    from cate_hf.modeling.modeling_cate import CateForSequenceClassification

    config = copy.deepcopy(models[0].config)
    config.num_members = len(models)
    config.id2label = {i: target.name for i, target in enumerate(targets)}
    config.label2id = {target.name: i for i, target in enumerate(targets)}
    config.label_transforms = [target.transform for target in targets]
    numbers = [[line[0] * t.scale for line, t in zip(lines, targets, strict=True)]]
    numbers += [[line[1] * t.scale + t.centre for line, t in zip(lines, targets, strict=True)]]
    numbers += [[target.unit for target in targets]]
    assembled = CateForSequenceClassification(config)
    state = models[0].state_dict() | {"label_numbers": torch.tensor(numbers)}
    for k, model in enumerate(models[1:]):
        state |= {f"members.{k}.{name}": value for name, value in model.state_dict().items()}
    assembled.load_state_dict(state)
    return assembled.eval()


def take_apart(assembled: "nn.Module") -> "list[nn.Module]":
    """The K single models, whose logits are standardised scores."""
    from cate_hf.modeling.modeling_cate import CateForSequenceClassification

    config = copy.deepcopy(assembled.config)
    count = config.num_members
    config.num_members = 1
    config.label_transforms = None
    state = assembled.state_dict()
    models = []
    for k in range(count):
        model = CateForSequenceClassification(config)
        prefix = f"members.{k - 1}." if k else ""
        model.load_state_dict({name: state[prefix + name] for name in model.state_dict()})
        models.append(model.eval())
    return models
