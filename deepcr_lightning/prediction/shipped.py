"""Arrays through the model that comes with the package, in one call."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepcr_lightning.prediction.cleaned_array import Cleaned
from deepcr_lightning.prediction.finder import CosmicRayFinder, load_finder

if TYPE_CHECKING:
    from astropy.nddata import NDData
    from astropy.units import Quantity


def clean(image: ArrayLike | NDData | Quantity, **settings: Any) -> Cleaned:
    """Find and fill the cosmic rays of an image; ``deepcr_lightning.clean`` is this function.

    Parameters
    ----------
    image : array_like, Quantity, Masked, NDData or CCDData, shape (H, W) or (N, H, W)
        One chip, or several of equal shape; a plain array is in electrons, the others say their own unit.
    **settings
        Those of `CosmicRayFinder.clean`, which this function calls: ``unit``, ``gain``, ``exptime``, ``mask``,
        ``saturation``, ``threshold``, ``grow``, ``fill``.

    Returns
    -------
    Cleaned
        As `CosmicRayFinder.clean`.

    Raises
    ------
    InputError
        As `CosmicRayFinder.clean`.

    Examples
    --------
    >>> import deepcr_lightning  # doctest: +SKIP
    >>> ccd = deepcr_lightning.clean(ccd).cleaned  # doctest: +SKIP
    """
    return _model().clean(image, **settings)


def find_cosmic_rays(image: ArrayLike | NDData | Quantity, **settings: Any) -> NDArray[np.bool_]:
    """Find the cosmic rays of an image; ``deepcr_lightning.find_cosmic_rays`` is this function.

    Parameters
    ----------
    image : array_like, Quantity, Masked, NDData or CCDData, shape (H, W)
        One chip; a plain array is in electrons, the others say their own unit.
    **settings
        Those of `CosmicRayFinder.find_cosmic_rays`, which this function calls: ``unit``, ``gain``, ``exptime``,
        ``mask``, ``saturation``, ``threshold``, ``grow``.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True where a cosmic ray is.

    Raises
    ------
    InputError
        As `CosmicRayFinder.find_cosmic_rays`.

    Examples
    --------
    >>> import deepcr_lightning  # doctest: +SKIP
    >>> mask = deepcr_lightning.find_cosmic_rays(image)  # doctest: +SKIP
    """
    return _model().find_cosmic_rays(image, **settings)


@cache
def _model() -> CosmicRayFinder:
    return load_finder()
