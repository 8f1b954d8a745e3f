"""Files that others open: written whole or not at all, and never over somebody's data."""
