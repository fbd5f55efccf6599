"""Cosmic rays of arrays in memory, for users who read files themselves."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.memory import electrons_of_array, is_nddata
from deepcr_lightning.exposures.remarks import remark
from deepcr_lightning.exposures.sky import sky_noise_and_floor
from deepcr_lightning.models.model import Model, load_model, model_threshold
from deepcr_lightning.models.model_file import UNIVERSAL
from deepcr_lightning.networks.choice import Choice
from deepcr_lightning.prediction.cleaned_array import (
    Cleaned,
    filled_pixels,
    in_form_of,
    planes,
    values_of,
    way_to_fill,
)
from deepcr_lightning.prediction.fill import Fill
from deepcr_lightning.prediction.mask import threshold_mask, whole_rings
from deepcr_lightning.prediction.predictor import Chip, ExposurePredictor, Wanted, probability
from deepcr_lightning.scores.targets import Target

if TYPE_CHECKING:
    from astropy.nddata import NDData
    from astropy.units import Quantity, UnitBase

_NOISE_SAMPLE = 65_536
"""Pixels that tell whether there is any noise, of an array as of a file (`exposures.sight`)."""


def load_finder(
    path: str | Path = UNIVERSAL, tile: int | None = None, device: str = "cpu", network: Choice | None = None
) -> CosmicRayFinder:
    """Load a network that takes arrays; ``deepcr_lightning.load_model`` is this function.

    Parameters
    ----------
    path : str or Path
        ``best.ckpt`` of a run, a ``.pth`` of deepCR, or the name of one of these; the model that comes with the
        package by default.
    tile : int, optional
        Largest side of a tile in pixels; memory grows with its square.
    device : str
        ``"cpu"``, ``"cuda"``, ``"mps"``, one of several such as ``"cuda:1"``, or ``"auto"``: the first accelerator
        that is there, else the CPU.
    network : str or callable, optional
        Name or class of the network, for a model whose network is the user's own (docs/guide/extend.md).

    Returns
    -------
    CosmicRayFinder

    Raises
    ------
    InputError
        If there is no such model or device, or the model cannot be read.
    """
    return CosmicRayFinder(load_model(path, network), tile, find_device(device))


def find_device(name: str) -> torch.device:
    """Find the device that a name means, and see that it is there.

    Parameters
    ----------
    name : str
        As `load_finder` takes it.

    Returns
    -------
    torch.device

    Raises
    ------
    InputError
        If it is not known, or not there.
    """
    there = ["cpu"] + ["mps"] * torch.backends.mps.is_available()
    there += [name for n in range(torch.cuda.device_count()) for name in (("cuda",) if n == 0 else ()) + (f"cuda:{n}",)]
    if name == "auto":
        name = next((other for other in there if other != "cpu"), "cpu")
    if str(name) not in there:
        raise InputError(f"device={name}: is not available; choose from auto, {', '.join(there)}")
    return torch.device(name)


class CosmicRayFinder:
    """A trained network that takes arrays.

    Parameters
    ----------
    model : Model
    tile : int, optional
        Largest side of a tile in pixels.
    device : str or torch.device

    Notes
    -----
    It can be pickled. In a forked process (a `multiprocessing.Pool`), whose copy of the threads of PyTorch does not
    run, it works on one thread.

    Examples
    --------
    >>> import deepcr_lightning  # doctest: +SKIP
    >>> model = deepcr_lightning.load_model()  # doctest: +SKIP
    >>> mask = model.find_cosmic_rays(image)  # doctest: +SKIP
    """

    def __init__(self, model: Model, tile: int | None = None, device: str | torch.device = "cpu") -> None:
        self.model = model
        self._predictor = ExposurePredictor(model, tile).to(device)
        one_thread_after_fork()

    def __repr__(self) -> str:
        return f"CosmicRayFinder({self.model!r} on {self._predictor.device})"

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
            One chip. Its own unit, mask and header (``meta``) count; a plain array is in electrons. The model that
            comes with the package takes its part for HST if the header names HST or a camera of it.
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
        electrons, unusable, _ = _electrons(image, unit, gain, exptime, mask, saturation)
        return self._fitting(image).chip_probability(electrons, unusable)

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
        predictor, rings = self._fitting(image), whole_rings(grow)
        level = _level(predictor.model, threshold)
        electrons, unusable, _ = _electrons(image, unit, gain, exptime, mask, saturation)
        [(found,)] = predictor.each([(electrons, unusable)], (_mask(level, rings),))
        return found

    def clean(
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
        fill: str | Fill = "median_5",
    ) -> Cleaned:
        """Find the cosmic rays of an image and fill them.

        Parameters
        ----------
        image : array_like, Quantity, Masked, NDData or CCDData, shape (H, W) or (N, H, W)
            One chip, or N of equal shape, each of which has a sky and a noise of its own.
        unit, gain, exptime, mask, saturation
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
        predictor, rings, way = self._fitting(image), whole_rings(grow), way_to_fill(fill)
        level = _level(predictor.model, threshold)
        masks, cleaned, maps = [], [], []
        begun = deque[tuple[Any, NDArray[np.float32], NDArray[np.bool_], float]]()

        def chips() -> Iterator[Chip]:
            for plane, hidden in planes(image, mask):
                electrons, unusable, factor = _electrons(plane, unit, gain, exptime, hidden, saturation)
                begun.append((plane, electrons, unusable, factor))
                yield electrons, unusable

        for map_, found in predictor.each(chips(), (probability, _mask(level, rings))):
            plane, electrons, unusable, factor = begun.popleft()
            maps.append(map_)
            masks.append(found)
            cleaned.append(filled_pixels(values_of(plane), way(electrons, found, ~unusable), found, factor))
        shape = values_of(image).shape
        mask_, made, map_ = (np.stack(of).reshape(shape) for of in (masks, cleaned, maps))
        return Cleaned(mask_, in_form_of(image, made, mask_), map_)

    def _fitting(self, image: Any) -> ExposurePredictor:
        return self._predictor.fitting(image.meta if is_nddata(image) else {})


@cache
def one_thread_after_fork() -> None:
    """Let forked processes work on one thread: they would wait for ever for those of their parent."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


def _mask(level: float, rings: int) -> Wanted:
    return lambda found, usable: threshold_mask(found, level, usable, rings)


def _level(model: Model, threshold: Target) -> float:
    return model_threshold(model, float(threshold) if isinstance(threshold, np.floating) else threshold)


def _electrons(image: Any, *said: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_], float]:
    electrons, unusable, factor = electrons_of_array(image, *said)
    _, noise, floor = sky_noise_and_floor(electrons, ~unusable, _NOISE_SAMPLE)
    if noise <= floor:
        remark("image", "its noise is too small to measure, as with coarse integers or a wrong unit; check its mask")
    return electrons, unusable, factor
