"""From the probability maps of an exposure to its masks, its filled chips and its row of the summary."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepcr_lightning.exposures.products import Provenance, flagged_share
from deepcr_lightning.prediction.expected_share import expected_share
from deepcr_lightning.prediction.fill import Fill
from deepcr_lightning.prediction.mapping import ProbabilityMaps
from deepcr_lightning.prediction.mask import grown, threshold_mask
from deepcr_lightning.prediction.summary import CLEANED, Row
from deepcr_lightning.prediction.unlike_training import unlike_training
from deepcr_lightning.sights.sight import look_at

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Cleaned:
    """What was found in an exposure.

    Attributes
    ----------
    found, masks : list of ndarray of bool, shape (H, W)
        Pixels above the threshold, and the same grown; one of each a chip.
    filled : list of ndarray of float32, shape (H, W)
        The chips with the masked pixels filled; empty where nobody asked for them.
    """

    found: list[NDArray[np.bool_]]
    masks: list[NDArray[np.bool_]]
    filled: list[NDArray[np.float32]]


def clean(prediction: ProbabilityMaps, provenance: Provenance, fill: Fill | None) -> Cleaned:
    """Find the cosmic rays of an exposure, and fill them if asked.

    Parameters
    ----------
    prediction : ProbabilityMaps
        The exposure and its maps.
    provenance : Provenance
        Threshold and growth of the masks.
    fill : callable, optional
        How masked pixels are filled (`prediction.fill`); they are not by default.

    Returns
    -------
    Cleaned
        Masks and filled chips.
    """
    chips = prediction.exposure.chips
    maps = zip(prediction.maps, chips, strict=True)
    found = [threshold_mask(probability, provenance.threshold, ~chip.unusable) for probability, chip in maps]
    masks = [grown(mask, provenance.grow, ~chip.unusable) for mask, chip in zip(found, chips, strict=True)]
    if fill is None:
        return Cleaned(found, masks, [])
    pairs = zip(chips, masks, strict=True)
    return Cleaned(found, masks, [fill(chip.electrons, mask, ~chip.unusable) for chip, mask in pairs])


def summarise(prediction: ProbabilityMaps, found: list[NDArray[np.bool_]]) -> Row:
    """Describe an exposure and its masks, and warn of what its network was not trained on.

    Parameters
    ----------
    prediction : ProbabilityMaps
        The exposure and its maps.
    found : list of ndarray of bool, shape (H, W)
        Its masks, one a chip, before they are grown.

    Returns
    -------
    Row
        Row of the summary.
    """
    exposure, trained_on = prediction.exposure, prediction.model.card.data
    rate = trained_on.cr_share_rate
    sight = look_at(exposure, found)
    row = Row(
        str(exposure.path),
        CLEANED,
        exposure.filter,
        exposure_time=exposure.exposure_time,
        cr_time=exposure.cr_time,
        flagged=flagged_share(found),
        expected=expected_share(exposure, math.nan if rate is None else rate),
        star_width=sight.stars.width,
        stars_flagged=sight.stars.share_flagged,
        seconds=time.monotonic() - prediction.begun,
    )
    odd = unlike_training(sight, row, trained_on)
    if odd:
        log.warning("Check the mask of %s: %s", exposure.path.name, "; ".join(odd))
    return row
