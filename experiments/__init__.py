"""One module, one result: each runs as `python -m experiments.NAME` from the root of the repository."""
