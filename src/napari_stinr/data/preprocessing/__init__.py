"""What is done to measured projections before they are reconstructed."""
