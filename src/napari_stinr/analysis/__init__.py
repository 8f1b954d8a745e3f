"""How good a volume is: error, resolution, contamination left, atoms."""
