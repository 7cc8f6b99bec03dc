"""Encodings by graph autoencoders: D-VAE and arch2vec, and their training."""
