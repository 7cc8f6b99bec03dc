"""DARTS, the space of NAS-Bench-301."""
