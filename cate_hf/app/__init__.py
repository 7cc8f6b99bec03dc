"""The app: architectures, encodings, predictors and searches in a browser, by Gradio (extra `app`)."""

from cate_hf.app.serving import build_app, launch

__all__ = ["build_app", "launch"]
