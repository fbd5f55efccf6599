"""Cosmic rays of arrays in memory, for users who read files themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.nddata import NDData
from numpy.typing import ArrayLike, NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.array import finite_electrons
from deepcr_lightning.exposures.layout import number
from deepcr_lightning.exposures.units import ReadSettings, electrons_per_unit
from deepcr_lightning.models.model import Model, load_model, model_threshold
from deepcr_lightning.models.model_file import UNIVERSAL
from deepcr_lightning.prediction.cleaned_array import Cleaned, filled_pixels, in_form_of, planes, way_to_fill
from deepcr_lightning.prediction.fill import Fill
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.scores.targets import Target


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
        image: ArrayLike | NDData,
        *,
        unit: str | None = None,
        gain: float | None = None,
        exptime: float | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Map the probability of a cosmic ray.

        Parameters
        ----------
        image : array_like or NDData, shape (H, W)
            One chip. The unit, mask and header (``meta``) of an NDData or CCDData count; what they do not say is
            taken from the other arguments.
        unit : str, optional
            ``"ELECTRONS"`` (what an array is in by default), ``"ELECTRONS/S"``, ``"COUNTS"`` or ``"COUNTS/S"``.
        gain : float, optional
            Electrons per count.
        exptime : float, optional
            Exposure time in seconds, which images per second need.
        mask : ndarray of bool, shape (H, W), optional
            Pixels of no use.

        Returns
        -------
        ndarray of float32, shape (H, W)

        Raises
        ------
        InputError
            If the image is not two-dimensional, has no usable pixel, or its units are not known.
        """
        electrons, unusable, _ = _electrons(image, unit, gain, exptime, mask)
        return self._predictor.chip_probability(electrons, unusable)

    def find_cosmic_rays(
        self,
        image: ArrayLike | NDData,
        *,
        unit: str | None = None,
        gain: float | None = None,
        exptime: float | None = None,
        mask: NDArray[np.bool_] | None = None,
        threshold: Target = None,
        grow: int = 0,
    ) -> NDArray[np.bool_]:
        """Find the cosmic rays of an image.

        Parameters
        ----------
        image, unit, gain, exptime, mask
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
        level = self._level(threshold, grow)
        electrons, unusable, _ = _electrons(image, unit, gain, exptime, mask)
        return threshold_mask(self._predictor.chip_probability(electrons, unusable), level, ~unusable, int(grow))

    def clean(
        self,
        image: ArrayLike | NDData,
        *,
        unit: str | None = None,
        gain: float | None = None,
        exptime: float | None = None,
        mask: NDArray[np.bool_] | None = None,
        threshold: Target = None,
        grow: int = 0,
        fill: str | Fill = "median_5",
    ) -> Cleaned:
        """Find the cosmic rays of an image and fill them.

        Parameters
        ----------
        image : array_like or NDData, shape (H, W) or (N, H, W)
            One chip, or N of equal shape, each of which has a sky and a noise of its own.
        unit, gain, exptime, mask
            As in `probability`. A mask of two axes stands for every image of a stack.
        threshold, grow
            As in `find_cosmic_rays`.
        fill : str or callable
            Name of the way to fill, ``"median_5"`` (as predict.py does by default), ``"median_3"`` or
            ``"biharmonic"``, or a network from `deepcr_lightning.load_filler`.

        Returns
        -------
        Cleaned
            ``mask``, ``cleaned`` and ``probability``, also in this order as a tuple. ``cleaned`` has the class, unit
            and type of the image; that of a CCDData has the cosmic rays in its mask and in its flags (bit 8192).

        Raises
        ------
        InputError
            As `find_cosmic_rays`, or if there is no such way to fill.

        Examples
        --------
        >>> import deepcr_lightning  # doctest: +SKIP
        >>> mask, cleaned, probability = deepcr_lightning.load_model().clean(image)  # doctest: +SKIP
        """
        level, way = self._level(threshold, grow), way_to_fill(fill)
        masks, cleaned, maps = [], [], []
        for plane, hidden in planes(image, mask):
            electrons, unusable, factor = _electrons(plane, unit, gain, exptime, hidden)
            maps.append(self._predictor.chip_probability(electrons, unusable))
            masks.append(threshold_mask(maps[-1], level, ~unusable, int(grow)))
            pixels = np.asarray(plane.data if isinstance(plane, NDData) else plane)
            cleaned.append(filled_pixels(pixels, way(electrons, masks[-1], ~unusable), masks[-1], factor))
        shape = np.shape(image.data if isinstance(image, NDData) else image)
        found, made, probability = (np.stack(of).reshape(shape) for of in (masks, cleaned, maps))
        return Cleaned(found, in_form_of(image, made, found), probability)

    def _level(self, threshold: Target, grow: int) -> float:
        if grow < 0 or grow != int(grow):
            raise InputError(f"grow={grow}: must be 0 or more whole pixels")
        return model_threshold(self.model, float(threshold) if isinstance(threshold, np.floating) else threshold)


def _electrons(
    image: ArrayLike | NDData,
    unit: str | None,
    gain: float | None,
    exptime: float | None,
    mask: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], float]:
    header = fits.Header()
    data: Any = image
    bad: list[Any] = ([] if mask is None else [mask]) + ([np.ma.getmaskarray(image)] if np.ma.isMA(image) else [])
    if isinstance(image, NDData):
        data = image.data
        cards = {key: image.meta[key] for key in ("EXPTIME", "BUNIT", "GAIN", "EGAIN", "CCDGAIN") if key in image.meta}
        header.update(cards)
        if image.unit is not None:
            header["BUNIT"] = image.unit.to_string()
        bad += [] if image.mask is None else [image.mask]
    pixels = np.asarray(data)
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.kind not in "iufb":
        raise InputError(
            f"image: an array of shape {pixels.shape} and type {pixels.dtype}; give one chip, a 2-D array of real "
            "numbers"
        )
    unusable = np.zeros(pixels.shape, bool)
    for plane in bad:
        if np.shape(plane) not in ((), pixels.shape):
            raise InputError(f"mask: has shape {np.shape(plane)} and the image {pixels.shape}")
        unusable |= np.asarray(plane, bool)
    plain = None if isinstance(image, NDData) else "ELECTRONS"
    seconds = number((header,), "EXPTIME") or exptime or 0.0
    factor = electrons_per_unit("image", header, header, seconds, ReadSettings(unit or plain, gain, exptime))
    if not factor > 0:
        raise InputError("image: has units per second; give its exposure time with exptime=SECONDS")
    return *finite_electrons("image", pixels, factor, unusable), factor
