"""CR pixels filled by a network that learned what stands below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.inpainting.fill_model import FillModel, load_fill_model
from deepcr_lightning.inpainting.holes import HIGHEST
from deepcr_lightning.inpainting.planes import planes_of
from deepcr_lightning.inpainting.star_shapes import FEWEST, whole_stars
from deepcr_lightning.networks.choice import described
from deepcr_lightning.networks.fused import fused
from deepcr_lightning.networks.scale import denormalise, normalise
from deepcr_lightning.prediction.fill import require_same_shape
from deepcr_lightning.prediction.sliding_window import in_tiles

_TILE = 704


def load_filler(path: str | Path | None = None, device: str = "cpu") -> CosmicRayFiller:
    """Load a network that fills cosmic rays of arrays; ``deepcr_lightning.load_filler`` is this function.

    Parameters
    ----------
    path : str or Path, optional
        ``best.ckpt`` of a run of ``experiment=inpaint``; the network that comes with the package by default.
    device : str
        ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    CosmicRayFiller

    Raises
    ------
    InputError
        If there is no such network, or it cannot be read.
    """
    return CosmicRayFiller(load_fill_model(path)).to(device)


class CosmicRayFiller:
    """A trained network that fills the masked pixels of arrays.

    Parameters
    ----------
    model : FillModel

    Attributes
    ----------
    label : str
        What names it in headers: the file and the beginning of its SHA-256.

    Examples
    --------
    >>> import deepcr_lightning  # doctest: +SKIP
    >>> mask = deepcr_lightning.load_model().find_cosmic_rays(image)  # doctest: +SKIP
    >>> cleaned = deepcr_lightning.load_filler()(image, mask)  # doctest: +SKIP
    """

    def __init__(self, model: FillModel) -> None:
        self.label = f"network {model.path.name} {model.sha256[:12]}"
        self.net, self._fused = model.net, fused(model.net.unet)
        self.device = torch.device("cpu")

    def __repr__(self) -> str:
        return f"CosmicRayFiller({self.label}: {described(self.net)}, on {self.device})"

    def to(self, device: str | torch.device) -> CosmicRayFiller:
        """Move the network to a device; return the filler."""
        self.device = torch.device(device)
        self.net.to(self.device)
        return self

    def __call__(
        self,
        electrons: NDArray[np.float32],
        mask: NDArray[np.bool_],
        usable: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Fill masked pixels.

        Parameters
        ----------
        electrons : ndarray of float32, shape (H, W)
            One chip.
        mask : ndarray of bool, shape (H, W)
            Pixels to fill. Those of them that are not usable are filled by a guess: nothing like them was learned.
        usable : ndarray of bool, shape (H, W), optional
            Pixels worth taking a value from; masked ones never are. Of the others only saturated ones of stars tell
            something (`inpainting.holes.saturated_by_stars`).

        Returns
        -------
        ndarray of float32, shape (H, W)
            A copy; pixels outside the mask are the same to the bit.

        Raises
        ------
        InputError
            If the shapes differ, or no pixel is left to fill from.
        """
        require_same_shape(electrons, mask)
        usable = np.isfinite(electrons) if usable is None else usable & np.isfinite(electrons)
        good = usable & ~mask
        if not good.any():
            raise InputError("mask: no good pixel is left in the image to fill from")
        filled = electrons.astype(np.float32)
        if not mask.any():
            return filled
        levels = sky_and_noise(np.where(good, filled, 0), good)
        with torch.inference_mode():
            given = (torch.from_numpy(plane).to(self.device)[None, None] for plane in (filled, mask, usable))
            image, hole, fine = given
            image = normalise(image, *levels)
            known = fine & ~hole
            planes = planes_of(self.net.stars, image, known, ~fine & ~hole, levels[1])[0]
            made = in_tiles(self._filled, planes, margin=self.net.margin, step=self.net.step, tile=_TILE)
            made = made.clamp(*faintest_and_brightest(image, known, levels[1]))
            values = denormalise(made, *levels).cpu().numpy()
        filled[mask] = values[mask]
        return filled

    def _filled(self, planes: Tensor) -> Tensor:
        return self.net(planes[None], self._fused if self.device.type == "cpu" else None)[0, 0]


def faintest_and_brightest(image: Tensor, known: Tensor, noise: float) -> tuple[float, float]:
    """Say how faint and how bright a filled pixel may be.

    Parameters
    ----------
    image : Tensor of float32, shape (1, 1, H, W)
        Normalised.
    known : Tensor of bool, shape (1, 1, H, W)
        Pixels with a meaning.
    noise : float
        Noise of the sky in electrons.

    Returns
    -------
    faintest, brightest : float
        Those of the known pixels; the brightest only of an image with 5 bright stars or more that stand whole: a fit to
        the wings of a star whose core is full, which no DQ says, promises several times what such pixels hold. Of fewer
        stars the one that was hit may be the brightest by far: the most that any pixel holds.
    """
    level = torch.full((1, 1, 1, 1), noise, device=image.device)
    light, *_ = whole_stars(image, known, level)
    faintest, brightest = image[known].aminmax()
    return float(faintest), float(brightest) if len(light) >= FEWEST else HIGHEST
