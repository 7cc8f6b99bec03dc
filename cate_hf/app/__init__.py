"""The app: architectures, encodings, predictors and searches in a browser, by Gradio (extra `app`)."""

from cate_hf.app._serving import launch

__all__ = ["launch"]
