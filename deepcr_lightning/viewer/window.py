"""A window of the page: what happens when something is chosen, moved, drawn, undone or saved."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.events import DocumentReady, MouseMove, Tap

from deepcr_lightning.errors import InputError
from deepcr_lightning.prediction.fill import FILLS
from deepcr_lightning.viewer.layers import Layers
from deepcr_lightning.viewer.opened import OpenExposure
from deepcr_lightning.viewer.page import Page
from deepcr_lightning.viewer.pencil import LOOK, MODES, draw, tap
from deepcr_lightning.viewer.pointer import NOTHING, pixel_at, readout
from deepcr_lightning.viewer.shelf import Shelf

log = logging.getLogger(__name__)

Save = Callable[[OpenExposure], list[Path]]
ApplyToAll = Callable[[float, int], str]


class Window:
    """One window of the page, and the exposure that it has open.

    Parameters
    ----------
    document : Document
        Empty; the page is laid out on it.
    shelf : Shelf
    save : callable
        Writes an open exposure (`viewer.saving.save`).
    apply_to_all : callable
        Function of a threshold and a growth that gives the command that makes such masks of all exposures.
    worker : Executor
        Does what takes long, in one thread.
    fill : str
        Name in `prediction.fill.FILLS` of the way in which the cleaned layer is filled.
    """

    def __init__(
        self,
        document: Document,
        shelf: Shelf,
        save: Save,
        apply_to_all: ApplyToAll,
        worker: Executor,
        fill: str = "median_5",
    ) -> None:
        self.document, self.shelf, self.page = document, shelf, Page()
        self._save, self._apply_to_all, self._worker = save, apply_to_all, worker
        self.opened: OpenExposure | None = None
        self._number, self._wanted, self._quiet = -1, -1, False
        self._pointer: tuple[float, float] | None = None
        page = self.page
        root, self._listed = page.lay_out(document), 0
        self._flagged = [shelf.flagged(number) for number in range(len(shelf.paths))]
        self._list_exposures()
        self._layers = Layers(document, page, FILLS[fill], self._later)
        for model, attribute, handler in (
            (page.exposures.selected, "indices", lambda new: self._choose(new[0]) if new else None),
            (page.chips, "active", lambda _: self._show_chip()),
            (page.layers, "active", lambda _: self._layers.look()),
            (page.threshold, "value", self._move_threshold),
            (page.grow, "value", self._move_growth),
            (page.stretch, "value", self._layers.stretch_chosen),
            (page.limits, "value", lambda _: self._layers.stretch()),
            (page.strokes, "data", self._drawn),
            (page.command, "value", lambda new: self._command(new.split()[0])),
        ):
            model.on_change(attribute, _with_new_value(handler))
        page.undo.on_click(self._undo)
        page.save.on_click(self._save_mask)
        page.anew.on_click(self._search)
        page.plot.on_event(Tap, self._tapped)
        page.plot.on_event(MouseMove, self._moved)
        document.on_event(DocumentReady, lambda _: self._draw_thumbnails(0))
        document.add_root(root)
        page.exposures.selected.indices = [0]

    @property
    def chip(self) -> int:
        """Place of the chip that is shown."""
        return int(self.page.chips.active)

    def _later(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        # The answer comes from the thread that worked; the document may be changed in the next tick alone.
        def finished(done: Future) -> None:
            self.document.add_next_tick_callback(partial(self._finish, done, then))

        self._worker.submit(work).add_done_callback(finished)

    def _finish(self, done: Future, then: Callable[[Any], None]) -> None:
        try:
            then(done.result())
        except InputError as error:
            self._say(str(error), wrong=True)
        except Exception as error:  # a defect of ours must not leave the page waiting
            log.exception("The page met an error")
            self._say(f"{type(error).__name__}: {error}", wrong=True)

    def _say(self, text: str, wrong: bool = False) -> None:
        colour = "#d62728" if wrong else "inherit"
        self.page.status.text = f'<span style="color: {colour}">{escape(text)}</span>'

    def _choose(self, number: int) -> None:
        if number == self._number:
            return
        if self.opened is not None and self.opened.mended and number != self._wanted:
            self._wanted = number
            self._say("This mask has unsaved changes. Save it, or choose again to discard them", wrong=True)
            self.page.exposures.selected.indices = [self._number]
            return
        self._open(number)

    def _open(self, number: int, anew: bool = False) -> None:
        self._wanted = -1
        self._say(f"Reading {self.shelf.paths[number].name} ...")
        self._later(partial(self.shelf.open, number, anew), partial(self._opened, number))

    def _opened(self, number: int, opened: OpenExposure) -> None:
        self.opened, self._number = opened, number
        page, exposure = self.page, opened.exposure
        page.cursor.text = NOTHING
        page.title.text = (
            f"<b>{escape(exposure.path.name)}</b> &nbsp; {escape(exposure.instrument)} {escape(exposure.filter)}"
            + ("" if math.isnan(exposure.exposure_time) else f", {exposure.exposure_time:g} s")
        )
        self._quiet = True
        fixed = opened.maps is None
        page.chips.update(labels=[f"SCI,{chip.extver}" for chip in exposure.chips], active=0)
        page.threshold.update(
            categories=[f"{rung:g}" for rung in opened.rungs], value=f"{opened.threshold:g}", disabled=fixed
        )
        page.grow.update(value=opened.grow, disabled=fixed)
        self._quiet = False
        self._show_chip()
        if fixed:
            self._say("Opened the mask, which was saved without its map: search to move the threshold")
        else:
            self._say("Searched" if opened.saved_at is None else "Opened the saved mask")

    def _search(self) -> None:
        if self.opened is not None and self.opened.mended and self._wanted != self._number:
            self._wanted = self._number
            self._say("This mask has unsaved changes. Search again to discard them", wrong=True)
        elif self.opened is not None:
            self._open(self._number, anew=True)

    def _show_chip(self) -> None:
        if self.opened is not None and not self._quiet:
            self._layers.show(self.opened, self.chip)
            self._count()

    def _count(self) -> None:
        if self.opened is None:
            return
        opened = self.opened
        sizes = [chip.electrons.size for chip in opened.exposure.chips]
        counts = [int(np.count_nonzero(opened.mask(chip))) for chip in range(len(sizes))]
        added, removed = opened.by_hand()
        by_hand = f"<br>by hand: {added} added, {removed} removed" if added or removed else ""
        all_chips = f"; all chips {sum(counts) / sum(sizes):.3%}" if len(sizes) > 1 else ""
        self.page.share.text = (
            f"<b>{counts[self.chip]} pixels flagged</b>, {counts[self.chip] / sizes[self.chip]:.3%}{all_chips}{by_hand}"
        )
        self.page.apply.value = self._apply_to_all(opened.threshold, opened.grow)
        self.page.save.label = "save mask *" if opened.changed else "save mask"

    def _move_threshold(self, value: str) -> None:
        if self.opened is not None and not self._quiet:
            self.opened.rung = self.page.threshold.categories.index(value)
            self._layers.threshold_changed()
            self._count()

    def _move_growth(self, grow: int) -> None:
        if self.opened is not None and not self._quiet:
            self.opened.grow = int(grow)
            self._mask_changed()

    def _mask_changed(self) -> None:
        self._layers.mask_changed()
        self._count()

    def _drawn(self, data: dict[str, Any]) -> None:
        lines = list(zip(data["xs"], data["ys"], strict=True))
        if not lines:
            return
        self.document.add_next_tick_callback(lambda: self.page.strokes.update(data={"xs": [], "ys": []}))
        if self.opened is not None:
            mode, radius = MODES[self.page.mode.active], int(self.page.brush.value or 0)
            drawn = [draw(self.opened, self.chip, mode, xs, ys, radius) for xs, ys in lines]
            if any(drawn):
                self._mask_changed()

    def _tapped(self, event: Tap) -> None:
        mode = MODES[self.page.mode.active]
        place = None if self.opened is None or mode == LOOK else pixel_at(self.opened, self.chip, event.x, event.y)
        if self.opened is None or place is None:
            return
        try:
            if tap(self.opened, self.chip, mode, *place, int(self.page.brush.value or 0)):
                self._mask_changed()
        except InputError as error:
            self._say(str(error), wrong=True)

    def _undo(self) -> None:
        chip = self.opened.mending.undo() if self.opened is not None else None
        if chip is None:
            self._say("Nothing to undo")
        elif chip != self.chip:
            self.page.chips.active = chip
        else:
            self._mask_changed()

    def _save_mask(self) -> None:
        if self.opened is None:
            return
        opened, number = self.opened, self._number

        def done(paths: list[Path]) -> None:
            self._say("Saved " + ", ".join(path.name for path in paths))
            self._flagged[number] = self.shelf.flagged(number)
            self._list_exposures()
            self._count()

        self._later(lambda: self._save(opened), done)

    def _command(self, name: str) -> None:
        step = {"next": 1, "previous": -1}.get(name)
        if name == "undo":
            self._undo()
        elif name == "save":
            self._save_mask()
        elif step is not None and 0 <= self._number + step < len(self.shelf.paths):
            self.page.exposures.selected.indices = [self._number + step]

    def _moved(self, event: MouseMove) -> None:
        # Many moves come at once from a fast hand or over a slow line: only the last is answered.
        waiting, self._pointer = self._pointer is not None, (event.x, event.y)
        if not waiting:
            self.document.add_next_tick_callback(self._point)

    def _point(self) -> None:
        pointer, self._pointer = self._pointer, None
        if self.opened is not None and pointer is not None:
            self.page.cursor.text = readout(self.opened, self.chip, *pointer)

    def _draw_thumbnails(self, number: int) -> None:
        # One after another, so that an exposure that is chosen meanwhile waits for one of them at most.
        def drawn(_: str) -> None:
            # The list goes over whole: when it has doubled, and at the end.
            if number + 1 == len(self.shelf.paths) or (number + 1).bit_count() == 1:
                self._list_exposures()
            self._draw_thumbnails(number + 1)

        if number < len(self.shelf.paths):
            self._later(partial(self.shelf.thumbnail, number), drawn)

    def _list_exposures(self) -> None:
        self.page.exposures.data = {
            "picture": self.shelf.thumbnails(),
            "file": [path.name for path in self.shelf.paths],
            "flagged": list(self._flagged),
        }
        # The table in the browser draws rows that changed when its view changes, not when its data do.
        self._listed += 1
        self.page.table.view.tags = [self._listed]


def _with_new_value(handler: Callable[[Any], object]) -> Callable[[str, Any, Any], None]:
    def changed(attr: str, old: Any, new: Any) -> None:
        handler(new)

    return changed
