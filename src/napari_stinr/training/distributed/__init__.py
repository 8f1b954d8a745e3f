"""Several processes that share a run: each holds a band of rows, the first one leads."""
