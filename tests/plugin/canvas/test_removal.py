"""Layers are removed while others are shown; in a process of its own, which a driver may end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from helpers.waiting import PATIENCE

pytestmark = pytest.mark.qt

SEED = 2
"""Without SafeRemoval this one ends in a segmentation fault with Mesa's software OpenGL, at the twelfth step."""
CODE = """
import random, sys
import napari, numpy as np
from qtpy.QtWidgets import QApplication
from napari_stinr.plugin.canvas.removal import SafeRemoval

chance = random.Random(int(sys.argv[1]))
viewer = napari.Viewer(show=True)
viewer.window._qt_window.resize(900, 600)
safe = SafeRemoval(viewer) if sys.argv[2] == "safe" else None

def draw():
    for _ in range(4):
        QApplication.processEvents()

def add():
    values, nm = np.random.default_rng(chance.randrange(99)), ("nm",) * 3
    kind = chance.randrange(3)
    if kind == 0:
        viewer.add_image(values.random((9, 1, 20, 20)), scale=(1, 20, 1, 1), units=("", *nm))
    elif kind == 1:
        viewer.add_image(values.random((9, 20, 20, 20)), units=("", *nm))
    else:
        viewer.add_image(values.random((20, 20, 20)), units=nm, blending="additive", colormap="red")

draw()
for _ in range(60):
    what, layers = chance.choice("aarrbhhd"), list(viewer.layers)
    if what == "a" and len(layers) < 6:
        add()
    elif what == "r" and layers:
        viewer.layers.remove(chance.choice(layers))
    elif what == "b" and layers:
        viewer.layers.selection = {chance.choice(layers)}
        viewer.layers.remove_selected()
    elif what == "h" and layers:
        layer = chance.choice(layers)
        layer.visible = not layer.visible
    elif what == "d":
        viewer.dims.ndisplay = 5 - viewer.dims.ndisplay
    if chance.random() < 0.8:
        draw()
viewer.close()
"""


def test_removing_layers_in_any_order_ends_nothing():
    command = [sys.executable, "-c", CODE, str(SEED), "safe"]
    done = subprocess.run(command, timeout=PATIENCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
