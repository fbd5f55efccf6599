"""What the browser gets of an open exposure: its layers, each when it is looked at, and the stretch of its greys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from astropy.visualization import ZScaleInterval
from bokeh.document import Document

from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.prediction.fill import Fill
from deepcr_lightning.viewer.cut import Cut, cut_around
from deepcr_lightning.viewer.ladder import histogram
from deepcr_lightning.viewer.opened import OpenExposure
from deepcr_lightning.viewer.page import LAYERS, Page, image_data
from deepcr_lightning.viewer.picture import BRIGHTEST, DARKEST, code_of, codes_of, greys

Later = Callable[[Callable[[], Any], Callable[[Any], None]], None]
_TICKS = (0.01, 0.25, 0.5, 0.75, 0.99)


class Layers:
    """The layers of the chip that a window shows.

    Parameters
    ----------
    document : Document
    page : Page
    fill : callable
        Way of filling of the cleaned layer, such as those in `prediction.fill.FILLS`.
    later : callable
        Does work in a thread and hands on what comes of it.
    """

    def __init__(self, document: Document, page: Page, fill: Fill, later: Later) -> None:
        self._document, self._page, self._fill, self._later = document, page, fill, later
        self._opened: OpenExposure | None = None
        self._chip, self._levels = 0, (0.0, 1.0)
        self._stale: set[str] = set()
        self._cut: Cut | None = None
        self._codes = np.zeros((1, 1), np.uint8)
        self._waiting = False
        for side in (page.plot.x_range, page.plot.y_range):
            for end in ("start", "end"):
                side.on_change(end, self._view_moved)

    def show(self, opened: OpenExposure, chip: int) -> None:
        """Show a chip of an exposure."""
        self._opened, self._chip, self._cut = opened, chip, None
        page, electrons = self._page, opened.exposure.chips[chip].electrons
        self._levels = sky_and_noise(electrons, ~opened.exposure.chips[chip].unusable)
        self._stale = set(LAYERS)
        self._bring("image")
        self.mask_changed()
        counts = histogram(opened.codes[chip], opened.rungs)
        page.heat.high = len(opened.rungs)
        page.bars.data = {"rung": np.arange(len(counts)) - 0.5, "count": counts}
        ticks = [opened.rungs.index(rung) for rung in _TICKS]
        page.histogram.xaxis.ticker.ticks = ticks
        page.histogram.xaxis.major_label_overrides = {tick: f"{opened.rungs[tick]:g}" for tick in ticks}
        # The browser moves these itself with the slider; here they follow what was opened.
        page.red.low = page.white.low = opened.rung + 0.5
        page.here.location = opened.rung

    def mask_changed(self) -> None:
        """Bring the mask after growth or a hand changed it."""
        if self._opened is not None:
            self._codes = self._opened.shown(self._chip)
            self._cut = None
            self._bring_cut()
            self.threshold_changed()

    def threshold_changed(self) -> None:
        """Fill anew what is cleaned; the mask itself the browser has moved."""
        self._stale.add("cleaned")
        self.look()

    def look(self) -> None:
        """Bring the layer that is looked at."""
        self._bring(LAYERS[self._page.layers.active])
        if self._opened is not None and self._opened.truth is not None:
            self._bring("truth")

    def _bring(self, layer: str) -> None:
        if self._opened is None or layer not in self._stale or layer == "mask":
            return
        self._stale.discard(layer)
        opened, number, levels = self._opened, self._chip, self._levels
        chip, source = opened.exposure.chips[number], self._page.sources[layer]
        if layer == "cleaned":
            mask = opened.mask(number)
            self._later(
                lambda: codes_of(self._fill(chip.electrons, mask, ~chip.unusable), *levels),
                lambda image: source.update(data=image_data(image)),
            )
            return
        if layer == "image":
            image: Any = codes_of(chip.electrons, *levels)
        elif layer == "probability":
            image = opened.codes[number]
        else:
            truth = opened.truth[number] if opened.truth is not None else np.zeros(chip.electrons.shape, bool)
            image = truth.astype(np.uint8)
        source.data = image_data(image)

    def _view_moved(self, attr: str, old: Any, new: Any) -> None:
        # Four ends move in one go.
        if not self._waiting:
            self._waiting = True
            self._document.add_next_tick_callback(self._bring_cut)

    def _bring_cut(self) -> None:
        self._waiting = False
        if self._opened is None:
            return
        x, y = ((side.start, side.end) for side in (self._page.plot.x_range, self._page.plot.y_range))
        if self._cut is None or not self._cut.covers(cut_around(x, y, self._codes.shape, margin=0)):
            self._cut = cut_around(x, y, self._codes.shape)
            self._page.sources["mask"].data = self._cut.of(self._codes)

    def stretch_chosen(self, name: str) -> None:
        """Begin a stretch with the limits that suit it."""
        limits = (DARKEST, BRIGHTEST)
        if name == "linear" and self._opened is not None:
            sky, noise = self._levels
            edges = ZScaleInterval().get_limits(self._opened.exposure.chips[self._chip].electrons)
            low, high = (float(np.arcsinh((edge - sky) / noise)) for edge in edges)
            limits = (round(low, 2), round(max(high, low + 0.1), 2))
        self._page.limits.value = limits
        self.stretch()

    def stretch(self) -> None:
        """Show greys between the limits that are set."""
        black, white = self._page.limits.value
        white = max(white, black + 0.01)
        palette = greys(self._page.stretch.value, black, white)
        self._page.grey.update(low=float(code_of(black)), high=float(code_of(white)), palette=palette)
