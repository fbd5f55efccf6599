"""The LightningModule that maps the exposures of a survey one by one."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.models.model import Model
from deepcr_lightning.prediction.predictor import ExposurePredictor

log = logging.getLogger(__name__)


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

    def predict_step(self, batch: Exposure | Failure) -> ProbabilityMaps | Failure:
        """Map one exposure; what failed before is passed on."""
        if isinstance(batch, Failure):
            return batch
        if batch.filter not in self._known_filters:
            self._known_filters.add(batch.filter)
            log.warning("Filter %s: the network was not trained on it; inspect a few masks", batch.filter)
        begun = time.monotonic()
        try:
            fitting = self.predictor.fitting(batch.header)
            maps = self.predictor.probabilities(batch)
            return ProbabilityMaps(batch, maps, begun, fitting.model, fitting.precision)
        except InputError as error:
            return Failure(batch.path, f"{batch.path}: {error}")
        except Exception as error:  # whatever one exposure meets, the others are finished
            return Failure(batch.path, f"{batch.path}: {type(error).__name__}: {error}")
