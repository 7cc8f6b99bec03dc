"""A user's own table of results."""
