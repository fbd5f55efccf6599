"""The LightningModule that maps the exposures of a survey."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.models.model import Model
from deepcr_lightning.prediction.predictor import ExposurePredictor

log = logging.getLogger(__name__)

LANES = 2
"""Exposures that are mapped at a time on a CPU, each with its share of the threads. With all threads on one, they
wait for each other at every layer, for as long as reading or writing keeps one of them from its core."""
_MOST = 20_000_000
"""Pixels of an exposure up to which two are mapped at a time, for memory's sake; full frames of HST have fewer."""
_PATIENCE = 60.0
"""Seconds in which the threads of all lanes have to begin."""


@dataclass(frozen=True)
class Failure:
    """A file that could not be read or cleaned, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, eq=False)
class ProbabilityMaps:
    """The CR probability of the chips of an exposure.

    Attributes
    ----------
    exposure : Exposure
    maps : list of ndarray of float32, shape (H, W)
        One a chip.
    begun : float
        When the network began, by `time.monotonic`.
    model : Model
        Which made them.
    precision : str
        In which its network multiplied (`predictor.ExposurePredictor.precision`).
    """

    exposure: Exposure
    maps: list[NDArray[np.float32]]
    begun: float
    model: Model
    precision: str = "float32"

    @property
    def path(self) -> Path:
        """Of the exposure."""
        return self.exposure.path


Mapped = ProbabilityMaps | Failure
"""What comes of an exposure."""


class ExposureMapping(pl.LightningModule):
    """A predictor in the hands of a trainer.

    Parameters
    ----------
    predictor : ExposurePredictor
        Maps the exposures, on the device that the trainer puts it on.
    filters : iterable of str
        Filters that the network was trained on; the first exposure in another one is logged as a warning.
    """

    def __init__(self, predictor: ExposurePredictor, filters: Iterable[str]) -> None:
        super().__init__()
        self.predictor, self._known_filters = predictor, set(filters)
        self._lanes: ThreadPoolExecutor | None = None
        self._under_way: deque[Future[Mapped]] = deque(maxlen=LANES)

    def on_predict_start(self) -> None:
        """Open the lanes, where they help: a GPU works on several chips as it is (`predictor.PACES`)."""
        threads = torch.get_num_threads()
        predictor = self.predictor
        # The compiler of PyTorch is not made for several threads.
        if threads < LANES or predictor.device.type != "cpu" or predictor.compiled:
            return
        started = Barrier(LANES, timeout=_PATIENCE)
        self._lanes = ThreadPoolExecutor(LANES, "map", initializer=_take_threads, initargs=(-(-threads // LANES),))
        for lane in [self._lanes.submit(started.wait) for _ in range(LANES)]:
            lane.result()
        torch.set_num_threads(threads)  # for all threads that are yet to come

    def on_predict_end(self) -> None:
        """Close the lanes."""
        if self._lanes is not None:
            self._lanes.shutdown()
            self._lanes = None

    def stop(self) -> None:
        """Begin with no exposure that is not under way yet."""
        if self._lanes is not None:
            self._lanes.shutdown(wait=False, cancel_futures=True)

    def predict_step(self, batch: Exposure | Failure) -> Mapped | Future[Mapped]:
        """Map one exposure, or begin with it; what failed before is passed on."""
        if isinstance(batch, Failure):
            return batch
        if batch.filter not in self._known_filters:
            self._known_filters.add(batch.filter)
            log.warning("Filter %s: the network was not trained on it; inspect a few masks", batch.filter)
        small = sum(chip.electrons.size for chip in batch.chips) <= _MOST
        # Other threads do not know by themselves that this one is in half precision.
        if self._lanes is None or not small or self.predictor.precision != "float32":
            wait(self._under_way)
            return self._map(batch)
        self._under_way.append(self._lanes.submit(self._map, batch))
        return self._under_way[-1]

    def _map(self, exposure: Exposure) -> Mapped:
        begun = time.monotonic()
        try:
            fitting = self.predictor.fitting(exposure.header)
            maps = self.predictor.probabilities(exposure)
            return ProbabilityMaps(exposure, maps, begun, fitting.model, fitting.precision)
        except InputError as error:
            return Failure(exposure.path, f"{exposure.path}: {error}")
        except Exception as error:  # whatever one exposure meets, the others are finished
            return Failure(exposure.path, f"{exposure.path}: {type(error).__name__}: {error}")


def _take_threads(number: int) -> None:
    torch.set_num_threads(number)
    # PyTorch gives this thread the number that it had last set for any, at first sight.
    torch.get_num_threads()
