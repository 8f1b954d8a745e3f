"""What is seen on napari's canvas and its time slider, kept in step with the session."""
