"""Images shifted by a part of a pixel, with their cosmic rays: linear, cubic and Lanczos interpolation, smoothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_REACH = 3
_WIDTHS = (0.3, 0.7)
_LENT = 0.01


def draw_resampling(count: int, chance: float, generator: torch.Generator) -> Tensor:
    """Draw how images are interpolated, each its own way.

    Parameters
    ----------
    count : int
        Number of images.
    chance : float
        That an image is interpolated at all.
    generator : torch.Generator

    Returns
    -------
    Tensor of float32, shape (2, count, 7)
        Weights of a pixel and its three neighbours on either side, along rows and along columns, on the generator's
        device. They sum to 1; an image that stays as it is has a single weight.
    """

    def unit(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    shift = unit(2, count, 1) - 0.5
    distance = (torch.arange(-_REACH, _REACH + 1, device=generator.device) - shift).abs()
    width = _WIDTHS[0] + (_WIDTHS[1] - _WIDTHS[0]) * unit(1, count, 1)
    kernels = torch.stack(
        [
            (1 - distance).clamp(min=0),
            _cubic(distance),
            torch.where(distance < _REACH, torch.sinc(distance) * torch.sinc(distance / _REACH), 0.0),
            torch.exp(-0.5 * (distance / width) ** 2),
        ]
    )
    # Linear interpolation smears most, so it is what needs most to be seen.
    kind = torch.tensor([0, 0, 1, 2, 3], device=generator.device)[(5 * unit(count)).long()]
    drawn = kernels.gather(0, kind.view(1, 1, -1, 1).expand(1, *kernels.shape[1:]))[0]
    alone = F.one_hot(torch.tensor(_REACH), 2 * _REACH + 1).to(drawn)
    weights = torch.where(unit(1, count, 1) < chance, drawn, alone)
    return weights / weights.sum(-1, keepdim=True)


def _cubic(distance: Tensor) -> Tensor:
    """Cubic convolution with a slope of -1/2 (Keys 1981, IEEE Trans. ASSP 29, 1153, equation 15)."""
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))


def resample(planes: Tensor, weights: Tensor) -> Tensor:
    """Interpolate images.

    Parameters
    ----------
    planes : Tensor of float32, shape (B, S, S)
    weights : Tensor of float32, shape (2, B, 7)
        From `draw_resampling`; their squares for a variance.

    Returns
    -------
    Tensor of float32, shape (B, S, S)
        Beyond its edge an image is taken to go on like a mirror.
    """
    size = planes.shape[-1]
    for axis in (1, 2):
        pad = (_REACH, _REACH, 0, 0) if axis == 2 else (0, 0, _REACH, _REACH)
        wide = F.pad(planes.unsqueeze(1), pad, mode="reflect").squeeze(1)
        taps = weights[axis - 1].T.unsqueeze(-1).unsqueeze(-1)
        planes = sum((tap * wide.narrow(axis, n, size) for n, tap in enumerate(taps)), torch.zeros_like(planes))
    return planes


def touched(places: Tensor, weights: Tensor) -> Tensor:
    """Say which pixels of an interpolated image hold a part of the given ones.

    Parameters
    ----------
    places : Tensor of bool, shape (B, S, S)
    weights : Tensor of float32, shape (2, B, 7)

    Returns
    -------
    Tensor of bool, shape (B, S, S)
        True where they lend more than a hundredth of their value.
    """
    return resample(places.to(weights.dtype), weights.abs()) > _LENT


def noise_share(weights: Tensor) -> Tensor:
    """Give the share of white noise that is measured in an interpolated image.

    Less than is there: the noise of an exposure is measured from the differences of neighbours along a row
    (`exposures.sky.sky_and_noise`), and interpolation makes these alike.

    Parameters
    ----------
    weights : Tensor of float32, shape (2, B, 7)

    Returns
    -------
    Tensor of float32, shape (B, 1, 1)
        Measured noise over that before.
    """
    down, right = weights
    variance = (down**2).sum(-1) * (F.pad(right, (1, 1)).diff(dim=-1) ** 2).sum(-1) / 2
    return variance.sqrt().view(-1, 1, 1)
