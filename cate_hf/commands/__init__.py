"""The verbs of the `cate` command: thin, each calls a function that is importable elsewhere."""
