"""What a training has posted since the window last asked, without what has been outdated since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_stinr.training.events import Aligning, Event, Finished, Reported, Snapshot

if TYPE_CHECKING:
    from queue import SimpleQueue


def take_posted(events: SimpleQueue[Event]) -> list[Event]:
    """Take what is in a queue now out of it: reports in one, and only the newest picture of the field.

    Parameters
    ----------
    events : SimpleQueue of Event
        A training puts into it meanwhile: what comes during this call is left for the next. A window that took in until
        there is nothing more would never end where it takes longer for an event than the training.

    Returns
    -------
    list of Event
        In the order in which they came.
    """
    found = [events.get() for _ in range(events.qsize())]
    kept: list[Event] = []
    for number, event in enumerate(found):
        later = found[number + 1 :]
        if isinstance(event, Aligning) and any(isinstance(other, Aligning) for other in later):
            continue
        if isinstance(event, Snapshot) and any(isinstance(other, Snapshot | Finished) for other in later):
            continue
        if isinstance(event, Reported) and kept and isinstance(before := kept[-1], Reported):
            kept[-1] = Reported((*before.reports, *event.reports))
        else:
            kept.append(event)
    return kept
