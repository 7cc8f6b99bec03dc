"""The search spaces, one module each, named like the space; each defines `SPACE`, a subclass of `Space`."""
