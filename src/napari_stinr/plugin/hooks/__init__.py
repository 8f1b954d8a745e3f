"""What napari calls by name (napari.yaml): readers, writers, samples."""
