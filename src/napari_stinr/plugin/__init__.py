"""The napari plugin: the only place that imports Qt and napari. Nothing is imported before napari asks for it."""
