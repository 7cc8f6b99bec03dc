"""Label-free numbers about an architecture: its structure, and its network at initialisation."""
