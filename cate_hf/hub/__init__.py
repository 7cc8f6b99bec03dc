"""Checkpoints and cards: what goes to the Hub and what comes from it, or from the folders bundled with the package."""
