"""A trained network that maps chips and exposures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure
from deepcr_lightning.exposures.observatory import by_hubble
from deepcr_lightning.exposures.uneven_noise import uneven_noise
from deepcr_lightning.models.model import Model
from deepcr_lightning.networks.fused import fused
from deepcr_lightning.prediction.lanes import in_lanes, own_stream, to_device, to_host
from deepcr_lightning.prediction.prior import lower_to_share
from deepcr_lightning.prediction.sliding_window import map_of, scaled

Chip = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Electrons, finite, and pixels of no use, both of shape (H, W)."""
Wanted = Callable[[Tensor, Tensor], Tensor]
"""Takes probabilities and usable pixels, both of shape (B, H, W), on the device; gives what is wanted of them there."""
_MARGINS = 28
"""A tile is at least so many margins wide except on CUDA, of which a network that sees far has broad ones."""
_FIRST_TF32 = 8
"""Compute capability from which on GPUs have TF32."""


@dataclass(frozen=True)
class Pace:
    """How chips go through a device.

    Attributes
    ----------
    tile : int
        Largest side of a tile in pixels, where nobody says another.
    pixels : int
        Pixels up to which small chips of one shape go together.
    lanes : int
        How many chips, or such batches, are under way at a time.
    """

    tile: int
    pixels: int
    lanes: int


PACES = {"cpu": Pace(704, 1, 1), "cuda": Pace(2048, 1 << 23, 2), "mps": Pace(704, 1, 1)}
"""By the kind of device."""


def probability(found: Tensor, usable: Tensor) -> Tensor:
    """Want the probability itself."""
    del usable
    return found


class ExposurePredictor(nn.Module):
    """A trained network that takes whole exposures, in tiles.

    Parameters
    ----------
    model : Model
        From `models.model.load_model`.
    tile : int, optional
        Largest side of a tile in pixels; memory grows with its square, not with the chip. By default 704 on a CPU,
        or 28 times what the network sees beyond a pixel, and 2048 on a GPU, which it fills.
    plateau : float
        Value at which the map saturates, to divide it by.
    compile : bool
        Compile the network with torch.compile, for each shape of tile that comes.
    """

    def __init__(self, model: Model, tile: int | None = None, plateau: float = 1.0, compile: bool = False) -> None:
        super().__init__()
        if tile is not None and not (isinstance(tile, Integral) and tile >= 64):
            raise InputError(f"tile={tile}: must be a whole number of at least 64 pixels")
        self.model, self.net, self.scale, self.tile, self.plateau = model, model.net, model.scale, tile, plateau
        self.hubble = None if model.hubble is None else ExposurePredictor(model.hubble, tile, compile=compile)
        self.closes_gaps, self.compiled = model.card.closes_gaps, compile
        if compile:
            self.net.compile()
        # A tuple hides it from PyTorch, which would move its weights a second time.
        self._fused = (model.net if compile else fused(model.net),)

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return next(self.net.parameters()).device

    @property
    def precision(self) -> str:
        """Precision in which the network multiplies here and now: float32, tf32, bfloat16 or float16."""
        kind = self.device.type
        if _is_autocast(kind):
            return _name(torch.get_autocast_dtype(kind))
        weights = next(self.net.parameters()).dtype
        # The convolutions of PyTorch are in TF32 on the GPUs that have it, unless it is told otherwise.
        if kind == "cuda" and weights == torch.float32 and torch.backends.cudnn.allow_tf32:
            return "tf32" if torch.cuda.get_device_capability(self.device)[0] >= _FIRST_TF32 else "float32"
        return _name(weights)

    def probabilities(self, exposure: Exposure) -> list[NDArray[np.float32]]:
        """CR probability of each chip, float32, shape (H, W)."""
        chips = ((chip.electrons, chip.unusable) for chip in exposure.chips)
        return [found for (found,) in self.fitting(exposure.header).each(chips)]

    def fitting(self, header: Mapping[str, Any]) -> ExposurePredictor:
        """Choose by the header of an exposure what maps it: itself, or the part for exposures of HST."""
        return self.hubble if self.hubble is not None and by_hubble(header) else self

    def chip_probability(self, electrons: NDArray[np.float32], unusable: NDArray[np.bool_]) -> NDArray[np.float32]:
        """CR probability of an image in electrons, finite, with pixels of no use; all of shape (H, W)."""
        [(found,)] = self.each([(electrons, unusable)])
        return found

    def each(self, chips: Iterable[Chip], wanted: tuple[Wanted, ...] = (probability,)) -> Iterator[tuple[NDArray, ...]]:
        """Map chips, and bring back what is wanted of the maps.

        Parameters
        ----------
        chips : iterable of (ndarray of float32, ndarray of bool), shape (H, W)
            Electrons, finite, and pixels of no use. On a GPU small chips of equal shape that follow each other go
            together, and the next are under way while the first are worked on.
        wanted : tuple of callable
            Each takes probabilities and usable pixels, Tensors of shape (B, H, W), and gives one of that shape.

        Yields
        ------
        tuple of ndarray, shape (H, W)
            One for each of `wanted`; chip by chip, in order.

        Raises
        ------
        InputError
            If the network gives values that are no numbers.
        """
        pace, kind = PACES[self.device.type], self.device.type
        # The threads of the lanes do not know of it by themselves.
        half = torch.get_autocast_dtype(kind) if _is_autocast(kind) else None

        def work(together: list[Chip], lane: int) -> list[NDArray]:
            precision = nullcontext() if half is None else torch.autocast(kind, half)
            with own_stream(self.device, lane), precision, torch.inference_mode():
                found, usable = self._map(together, pace)
                return [to_host(want(found, usable)) for want in wanted]

        # The compiler of PyTorch is not made for several threads.
        for made in in_lanes(work, _together(chips, pace.pixels), 1 if self.compiled else pace.lanes):
            yield from zip(*made, strict=True)

    def _map(self, together: list[Chip], pace: Pace) -> tuple[Tensor, Tensor]:
        device = self.device
        electrons = to_device([chip[0] for chip in together], device)
        usable = ~to_device([chip[1] for chip in together], device)
        measured = [self.scale.levels(*chip) for chip in zip(electrons, usable, strict=True)]
        levels = torch.tensor(measured, dtype=torch.float32, device=device)
        sky, noise = levels.T[..., None, None]
        if self.model.card.makes_noise_even:
            noise = _everywhere(noise, together, measured)
        image = scaled(electrons, sky, noise, usable if self.closes_gaps else None, self.scale.apply)
        on_cpu = device.type == "cpu" and not _is_autocast("cpu")
        tile = self.tile or max(pace.tile, 0 if device.type == "cuda" else _MARGINS * self.net.margin)
        net = self._fused[0] if on_cpu else self.net
        found = map_of(net, image, margin=self.net.margin, step=self.net.step, tile=tile)
        # The sum of what is no number is none, and that of probabilities is always one.
        if not found.sum().isfinite():
            # A mask would be empty there, as if nothing had hit it.
            raise InputError("the network gives NaN or infinite values; use another checkpoint")
        if self.plateau != 1:
            found = (found / self.plateau).clamp(max=1)
        if self.model.card.prior is not None:
            lower_to_share(found, usable, self.model.card.prior)
        return found, usable


def _everywhere(noise: Tensor, together: list[Chip], levels: list[tuple[float, float]]) -> Tensor:
    """Give the noise of chips, shape (B, 1, 1), or where that of any is uneven of their pixels, shape (B, H, W)."""
    relative = [uneven_noise(image, ~hidden, *level) for (image, hidden), level in zip(together, levels, strict=True)]
    if all(blocks is None for blocks in relative):
        return noise
    planes = noise.repeat(1, *together[0][0].shape)
    for plane, blocks in zip(planes, relative, strict=True):
        if blocks is not None:
            factors = torch.from_numpy(blocks)[None, None].to(noise.device)
            plane *= F.interpolate(factors, plane.shape, mode="bilinear", align_corners=False)[0, 0]
    return planes


def _together(chips: Iterable[Chip], most: int) -> Iterator[list[Chip]]:
    """Put chips of equal shape that follow each other together, up to a number of pixels."""
    held: list[Chip] = []
    for chip in chips:
        if held and chip[0].shape != held[0][0].shape:
            yield held
            held = []
        held.append(chip)
        if chip[0].size * (len(held) + 1) > most:
            yield held
            held = []
    if held:
        yield held


def _is_autocast(kind: str) -> bool:
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
