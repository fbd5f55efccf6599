"""Cosmic rays of arrays in memory: the network for people who have their own way with files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.nddata import NDData
from astropy.units import Quantity, UnitBase
from numpy.typing import ArrayLike, NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.memory import electrons_of_array
from deepcr_lightning.exposures.remarks import remark
from deepcr_lightning.exposures.sky import sky_noise_and_floor
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.training.checkpoint import Model, load_model, model_threshold
from deepcr_lightning.training.model_file import UNIVERSAL
from deepcr_lightning.training.threshold import Target


def load_finder(path: str | Path = UNIVERSAL, tile: int | None = None, device: str = "cpu") -> CosmicRayFinder:
    """Load a network that takes arrays; ``deepcr_lightning.load_model`` is this function.

    Parameters
    ----------
    path : str or Path
        ``best.ckpt`` of a run, a ``.pth`` of deepCR, or the name of one of these; the model that comes with the
        package by default.
    tile : int, optional
        Largest side of a tile in pixels; memory grows with its square.
    device : str
        ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    CosmicRayFinder

    Raises
    ------
    InputError
        If there is no such model, or it cannot be read.
    """
    return CosmicRayFinder(load_model(path), tile, device)


class CosmicRayFinder:
    """A trained network that takes arrays.

    Parameters
    ----------
    model : Model
    tile : int, optional
        Largest side of a tile in pixels.
    device : str

    Examples
    --------
    >>> import deepcr_lightning  # doctest: +SKIP
    >>> model = deepcr_lightning.load_model()  # doctest: +SKIP
    >>> mask = model.find_cosmic_rays(image)  # doctest: +SKIP
    """

    def __init__(self, model: Model, tile: int | None = None, device: str = "cpu") -> None:
        self.model = model
        self._predictor = ExposurePredictor(model, tile).to(device)

    def probability(
        self,
        image: ArrayLike | NDData | Quantity,
        *,
        unit: str | UnitBase | None = None,
        gain: float | Quantity | None = None,
        exptime: float | Quantity | None = None,
        mask: ArrayLike | None = None,
        saturation: float | None = None,
    ) -> NDArray[np.float32]:
        """Map the probability of a cosmic ray.

        Parameters
        ----------
        image : array_like, Quantity, Masked, NDData or CCDData, shape (H, W)
            One chip. Its own unit, mask and header (``meta``) count; a plain array is in electrons.
        unit : str or Unit, optional
            ``"ELECTRONS"``, ``"ELECTRONS/S"``, ``"COUNTS"``, ``"COUNTS/S"``, or a unit of astropy. It wins over what
            the image says itself, as do the following ones.
        gain : float or Quantity, optional
            Electrons per count.
        exptime : float or Quantity, optional
            Exposure time, in seconds where it has no unit of its own. Images per second need it.
        mask : array_like of bool, shape (H, W), optional
            Pixels of no use, beside those that the image masks itself.
        saturation : float, optional
            Value of the image from which a pixel is saturated; SATURATE of its header by default.

        Returns
        -------
        ndarray of float32, shape (H, W)

        Raises
        ------
        InputError
            If the image is not two-dimensional, has no usable pixel, or its unit is not known.
        """
        electrons, unusable = _read(image, unit, gain, exptime, mask, saturation)
        return self._predictor.chip_probability(electrons, unusable)

    def find_cosmic_rays(
        self,
        image: ArrayLike | NDData | Quantity,
        *,
        unit: str | UnitBase | None = None,
        gain: float | Quantity | None = None,
        exptime: float | Quantity | None = None,
        mask: ArrayLike | None = None,
        saturation: float | None = None,
        threshold: Target = None,
        grow: int = 0,
    ) -> NDArray[np.bool_]:
        """Find the cosmic rays of an image.

        Parameters
        ----------
        image, unit, gain, exptime, mask, saturation
            As in `probability`.
        threshold : float, str or dict, optional
            On the probability, or how to choose it, as for ``predict.py``; the model's own by default.
        grow : int
            Rings of pixels to add.

        Returns
        -------
        ndarray of bool, shape (H, W)
            True where a cosmic ray is; never on pixels of no use.

        Raises
        ------
        InputError
            As `probability`, or if the threshold is out of its range.
        """
        if grow < 0 or grow != int(grow):
            raise InputError(f"grow={grow}: must be 0 or more whole pixels")
        level = model_threshold(self.model, float(threshold) if isinstance(threshold, np.floating) else threshold)
        electrons, unusable = _read(image, unit, gain, exptime, mask, saturation)
        return threshold_mask(self._predictor.chip_probability(electrons, unusable), level, ~unusable, int(grow))


def _read(image: Any, *said: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    electrons, unusable = electrons_of_array(image, *said)
    _, noise, floor = sky_noise_and_floor(electrons, ~unusable)
    if noise <= floor:
        remark("image", "its noise is too small to measure, as of coarse integers or of a wrong unit; look at its mask")
    return electrons, unusable
