"""What one viewer is working on. No Qt and no napari in here."""
