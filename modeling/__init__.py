"""The CATE model: configuration and Transformer. These files also travel with every checkpoint as remote code."""

from .configuration_cate import CateConfig
from .modeling_cate import CateForPreTraining, CateForSequenceClassification, CateModel

__all__ = ["CateConfig", "CateForPreTraining", "CateForSequenceClassification", "CateModel"]
