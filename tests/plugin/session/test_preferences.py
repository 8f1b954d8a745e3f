"""Settings in Preferences: one set of defaults, what is set is read, and nothing keeps the plugin from starting."""

from __future__ import annotations

import logging
from dataclasses import asdict

import pytest
from npe2 import PluginManifest

from helpers.places import ROOT
from napari_stinr.config import PRESETS, QUALITIES
from napari_stinr.plugin.session import preferences as settings
from napari_stinr.plugin.session.preferences import GROUPS, PluginSettings

MANIFEST = ROOT / "napari.yaml"
DEFAULTS = PluginSettings()
PROPERTIES = {
    name: (group, entry)
    for group, part in PluginManifest.from_file(MANIFEST).contributions.configurations.items()
    for name, entry in part.properties.items()
}


@pytest.fixture
def stored(plugin_settings, npe2pm):
    """Return the settings as napari keeps them, in a folder of this test."""
    from napari.settings import get_plugin_settings

    npe2pm.register(PluginManifest.from_file(MANIFEST))
    return get_plugin_settings(settings.PLUGIN_NAME)


def test_the_manifest_has_the_same_settings_and_defaults():
    declared = {name: (group, entry.default, entry.python_type) for name, (group, entry) in PROPERTIES.items()}
    own = {name: (GROUPS[name], value, type(value)) for name, value in asdict(DEFAULTS).items()}
    assert declared == own


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_setting_says_what_it_is(name):
    _, entry = PROPERTIES[name]
    assert entry.title
    assert entry.description.endswith(".")
    assert name.partition("_")[2] not in ("seconds", "minutes") or name.partition("_")[2] in entry.description
    if entry.python_type in (int, float):
        assert entry.minimum <= entry.default <= entry.maximum


def test_presets_and_qualities_are_those_of_the_program():
    assert set(PROPERTIES["preset"][1].enum) == set(PRESETS)
    assert tuple(PROPERTIES["quality"][1].enum) == QUALITIES


def test_the_defaults_are_read(stored):
    assert settings.plugin_settings() == DEFAULTS


def test_what_is_set_is_read(stored, tmp_path):
    stored.reconstruct.preset = "static"
    stored.reconstruct.threads = 3
    stored.live.preview_seconds = 5
    stored.live.autosave_folder = str(tmp_path)
    stored.explore.play_frames_per_second = 25.0
    read = settings.plugin_settings()
    assert (read.preset, read.threads, read.autosave_folder) == ("static", 3, str(tmp_path))
    assert (read.preview_seconds, type(read.preview_seconds), read.play_frames_per_second) == (5.0, float, 25.0)
    assert read.quality == DEFAULTS.quality


def test_a_value_that_cannot_be_is_refused(stored):
    with pytest.raises(ValueError, match="not one of the allowed"):
        stored.reconstruct.preset = "magic"
    with pytest.raises(ValueError, match="greater than or equal"):
        stored.live.preview_seconds = 0.0


def test_the_defaults_serve_where_napari_knows_nothing(plugin_settings, npe2pm, caplog):
    with caplog.at_level(logging.WARNING):
        assert settings.plugin_settings() == DEFAULTS
    assert "napari-stinr" in caplog.text
