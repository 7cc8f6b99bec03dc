"""Architectures from graphs of other tools: DOT, ONNX, torch.fx, networkx; users import from ``cate_hf.graphs``."""
