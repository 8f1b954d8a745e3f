"""The command ``stinr``."""
