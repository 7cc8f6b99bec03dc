"""The comparisons of the paper: encodings under searches, as a grid of trials that can be interrupted."""
