"""Notifications of napari, which shows the first line and the rest after a click: short, whatever the text is."""

from __future__ import annotations

from napari.utils import notifications

from napari_stinr.plugin.session.failures import split_text


def show_info(text: str) -> None:
    """Tell the person something.

    Parameters
    ----------
    text : str
        Sentences, the one that counts first.
    """
    notifications.show_info(split_text(text))


def show_warning(text: str) -> None:
    """Tell the person what may be wrong.

    Parameters
    ----------
    text : str
        As for :func:`show_info`.
    """
    notifications.show_warning(split_text(text))


def show_error(text: str) -> None:
    """Tell the person what went wrong.

    Parameters
    ----------
    text : str
        As for :func:`show_info`.
    """
    notifications.show_error(split_text(text))
