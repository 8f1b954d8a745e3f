"""The dock `STINR`: the four pages of the workflow above a foot that is the same on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QStackedWidget, QTabBar, QVBoxLayout, QWidget

from napari_stinr.plugin.canvas.binding import binding_of, known_binding
from napari_stinr.plugin.canvas.shortcuts import register_shortcuts
from napari_stinr.plugin.docks.align import AlignPage
from napari_stinr.plugin.docks.base import Page
from napari_stinr.plugin.docks.explore import ExplorePage
from napari_stinr.plugin.docks.foot import Foot
from napari_stinr.plugin.docks.help_button import HelpButton
from napari_stinr.plugin.docks.project_files import ProjectFiles
from napari_stinr.plugin.docks.reconstruct import ReconstructPage
from napari_stinr.plugin.docks.series import SeriesPage
from napari_stinr.plugin.session.findings import Level, most_important
from napari_stinr.plugin.session.states import RunState
from napari_stinr.plugin.widgets.wheel import WheelGuard

if TYPE_CHECKING:
    from pathlib import Path

    from qtpy.QtGui import QDragEnterEvent, QDropEvent

SERIES, ALIGN, RECONSTRUCT, EXPLORE = "Series", "Align", "Reconstruct", "Explore"

_MAKERS: dict[str, type[Page]] = {
    SERIES: SeriesPage,
    ALIGN: AlignPage,
    RECONSTRUCT: ReconstructPage,
    EXPLORE: ExplorePage,
}
_PAGE_EVERY = 20
"""Time between two pages that are made, in which the window is drawn [ms]."""
_WIDTH = 350
_HEIGHT = 640


class StinrDock(QWidget):
    """All that the plugin shows beside the canvas.

    Closing it takes nothing away, and opening it again finds everything as it was. It turns to the page where the work
    is: to a series that has come, to a training that begins, to its result. A page that is not asked for yet is made in
    a turn of its own, so that the window goes on meanwhile.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer, or a proxy of it.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.binding = binding_of(napari_viewer)
        register_shortcuts(known_binding)
        self._viewer, self._made = napari_viewer, dict[str, Page]()
        self.foot = Foot(napari_viewer)
        self.project_files = ProjectFiles(self, self.binding)
        self.tabs, self.stack = QTabBar(self), QStackedWidget(self)
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideNone)
        self.tabs.setDrawBase(False)
        for number, name in enumerate(_MAKERS, 1):
            self.tabs.addTab(f"{number} {name}")
            self.stack.addWidget(QWidget(self.stack))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.help = HelpButton(self, lambda: self.page)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 4, 0)
        row.addWidget(self.tabs, 1)
        row.addWidget(self.help)
        column.addLayout(row)
        column.addWidget(self.stack, 1)
        column.addWidget(self.foot)
        self.setMinimumWidth(_WIDTH)
        # Or napari adds a stretch below the foot, in the second window of a program one more, and so on.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.setAcceptDrops(True)
        WheelGuard(self).watch(self)
        self._session, self._was_active = self.binding.session, self.binding.session.is_active
        self._found, self._seen = self._session.found, self._session.reconstruction
        self.tabs.currentChanged.connect(self._on_tab_changed)
        self.binding.draft_changed.connect(self._on_draft_changed)
        self.binding.state_changed.connect(self._on_state_changed)
        self.binding.reconstruction_changed.connect(self._on_state_changed)
        self.series.findings_changed.connect(self._warn)
        self.binding.state_changed.connect(self._warn)
        self.project_files.changed.connect(self._warn)
        self.binding.project.use_dock(self)
        self.binding.theme_changed.connect(self._warn)
        self._warn()
        self._show_first_page()
        self._next_page = QTimer(self)
        self._next_page.timeout.connect(self._make_next_page)
        self._next_page.start(_PAGE_EVERY)

    @property
    def series(self) -> SeriesPage:
        """The page where a tilt series is put together."""
        page = self._page(SERIES)
        assert isinstance(page, SeriesPage)
        return page

    @property
    def align(self) -> AlignPage:
        """The page where the projections are aligned."""
        page = self._page(ALIGN)
        assert isinstance(page, AlignPage)
        return page

    @property
    def reconstruct(self) -> ReconstructPage:
        """The page where a training is chosen and watched."""
        page = self._page(RECONSTRUCT)
        assert isinstance(page, ReconstructPage)
        return page

    @property
    def explore(self) -> ExplorePage:
        """The page where a reconstruction is looked at and exported."""
        page = self._page(EXPLORE)
        assert isinstance(page, ExplorePage)
        return page

    @property
    def pages(self) -> dict[str, Page]:
        """The pages by their names."""
        return {name: self._page(name) for name in _MAKERS}

    @property
    def is_complete(self) -> bool:
        """Whether all pages have been made."""
        return len(self._made) == len(_MAKERS)

    @property
    def page(self) -> str:
        """Name of the page that is shown."""
        return list(_MAKERS)[self.tabs.currentIndex()]

    def show_page(self, name: str) -> None:
        """Turn to a page by its name.

        Parameters
        ----------
        name : str
            One of `pages`.
        """
        self.tabs.setCurrentIndex(list(_MAKERS).index(name))

    def sizeHint(self) -> QSize:  # Qt's name
        """Return a size that leaves most of a small screen to the canvas."""
        return QSize(_WIDTH + 10, _HEIGHT)

    def open_files(self, paths: list[Path]) -> None:
        """Open a stack, its angles and times, or a reconstruction."""
        self.series.open_files(paths)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # Qt's name
        """Accept files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # Qt's name
        """Open the files that were dropped."""
        from pathlib import Path

        self.open_files([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])
        event.acceptProposedAction()

    def _page(self, name: str) -> Page:
        """Return a page, made where it is not there yet."""
        if name not in self._made:
            made = self._made[name] = _MAKERS[name](self._viewer)
            made.page_wanted.connect(self.show_page)
            place = list(_MAKERS).index(name)
            empty = self.stack.widget(place)
            self.stack.insertWidget(place, made)
            self.stack.removeWidget(empty)
            empty.deleteLater()
            self.stack.setCurrentIndex(self.tabs.currentIndex())
        return self._made[name]

    def _make_next_page(self) -> None:
        if self.binding.tasks.is_opening:
            # Napari makes a bar and lets Qt handle all that waits, which would all be one turn.
            return
        missing = [name for name in _MAKERS if name not in self._made]
        # Where the window has closed meanwhile, a page would begin a session of its own.
        is_open = known_binding(self._viewer) is self.binding
        if missing and is_open:
            self._page(missing[0])
        if len(missing) <= 1 or not is_open:
            self._next_page.stop()

    def _on_tab_changed(self, index: int) -> None:
        self._page(self.page)
        self.stack.setCurrentIndex(index)
        # Or Qt gives the focus to the first field of the page, which then takes the wheel unasked.
        self.stack.currentWidget().setFocus()

    def _warn(self) -> None:
        """Show the most important of what is wrong or to be decided in the foot, while it can be changed."""
        lost = self.project_files.warning
        if lost is not None:
            self.foot.warn(lost[0], is_wrong=True, cure=lost[1])
            return
        finding = None if self._session.is_active else most_important(self.series.state.findings)
        if finding is None:
            self.foot.warn("", is_wrong=False)
            return
        cure = next(iter(finding.cures), None)
        button = None if cure is None else (cure.label, lambda: self.series.cure(cure))
        self.foot.warn(finding.text, is_wrong=finding.level is Level.WRONG, cure=button)

    def _show_first_page(self) -> None:
        if self._session.is_active:
            self.show_page(RECONSTRUCT)
        elif self._session.reconstruction is not None:
            self.show_page(EXPLORE)

    def _on_draft_changed(self) -> None:
        found = self._session.found
        if found is not None and found is not self._found:
            self.show_page(SERIES)
        self._found = found

    def _on_state_changed(self) -> None:
        session, was_active = self._session, self._was_active
        self._was_active = session.is_active
        if session.is_active:
            # Who looks at something else while a training runs is not called back to it.
            if not was_active:
                self.show_page(RECONSTRUCT)
            return
        seen, self._seen = self._seen, session.reconstruction
        is_new = session.reconstruction is not None and session.reconstruction is not seen
        if session.state is RunState.DONE and is_new and (not was_active or self.page == RECONSTRUCT):
            self.show_page(EXPLORE)
