"""Where the projector runs: one module for each, all with the same numbers."""
