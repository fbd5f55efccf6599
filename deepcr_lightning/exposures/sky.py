"""The sky of a chip and the noise of its pixels there."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 250_000
_STEP_SAMPLE, _BESIDE = 10_000, 3
NOISE_FLOOR = 0.1
"""The least noise in electrons that `sky_and_noise` tells: where most neighbours are equal."""
_MAD_TO_SIGMA, _CLIP = 1.4826, 3.0
_ROUNDING = 0.6
"""Twice the deviation of rounding (step / sqrt 12): a lone pixel one step up is then no CR of five sigma."""


def sky_and_noise(electrons: NDArray[np.float32], usable: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Estimate the sky level and the noise of a pixel there.

    Parameters
    ----------
    electrons : ndarray of float, shape (H, W)
        Image in electrons, finite.
    usable : ndarray of bool, shape (H, W), optional
        Pixels to look at; all by default.

    Returns
    -------
    sky, noise : float
        In electrons. The noise is at least 0.1 e, and at least 0.6 of the step between neighbouring values of an image
        that was rounded, twice the deviation of rounding alone.

    Notes
    -----
    The sky is the median of pixels clipped at 3 times their scatter until nothing changes, so that stars and CRs,
    which lie on one side, do not pull it far. The noise is that of the differences of neighbours in a row, both
    near the sky, scaled from their MAD: the scatter of the pixels themselves would take a nebula or a crowd of
    faint stars for noise. Where the MAD is less than one and a half steps, and so 0 or 1, it is that of their mean
    square. Some 250,000 pixels of evenly spaced rows are looked at; of rows with usable pixels, where those have none.
    """
    sky, noise, _ = sky_noise_and_floor(electrons, usable)
    return sky, noise


def sky_noise_and_floor(electrons: Any, usable: Any = None, sample: int = _SAMPLE) -> tuple[float, float, float]:
    """Estimate the sky level, the noise of a pixel there, and the least noise that could be told.

    Parameters
    ----------
    electrons : ndarray or Tensor of float, shape (H, W)
        As in `sky_and_noise`. The pixels of a Tensor are sorted and compared on its device.
    usable : ndarray or Tensor of bool, shape (H, W), optional
        As in `sky_and_noise`.
    sample : int
        About how many pixels are looked at.

    Returns
    -------
    sky, noise, floor : float
        In electrons. Noise at its floor is not measured: most neighbours are equal.
    """
    electrons, usable = _evenly_spaced(electrons, usable, sample)
    image = _with_doubles(electrons)
    good = image == image if usable is None else _with_doubles(usable)
    if not good.any():
        return _middle(_in_order(image.reshape(-1))), NOISE_FLOOR, NOISE_FLOOR
    values = _picked(image, good)
    step = rounding_step(_on_host(values))
    floor = max(NOISE_FLOOR, _ROUNDING * step)
    # Half a step, so that the neighbouring values stay.
    sky, scatter = _clipped(_in_order(values), max(NOISE_FLOOR, step / 2))
    image = _double(image)
    near = good & (abs(image - sky) <= _CLIP * scatter)
    steps = _picked(image[:, 1:] - image[:, :-1], near[:, 1:] & near[:, :-1])
    if not len(steps):
        return sky, scatter, floor
    middle = _middle(_in_order(abs(steps)))
    coarse = step > 0 and middle < 1.5 * step
    noise = math.sqrt(float((steps**2).mean())) if coarse else _MAD_TO_SIGMA * middle
    return sky, max(noise / math.sqrt(2), floor), floor


def _evenly_spaced(electrons: Any, usable: Any, sample: int) -> tuple[Any, Any]:
    """Take evenly spaced rows; of those with a usable pixel, where the first ones have none."""
    rows = slice(None, None, max(1, math.prod(electrons.shape) // sample))
    if usable is None:
        return electrons[rows], None
    if not usable[rows].any() and usable.any():
        some = usable.any(1)
        return _evenly_spaced(electrons[some], usable[some], sample)
    return electrons[rows], usable[rows]


def _clipped(ordered: NDArray[np.float64], least: float) -> tuple[float, float]:
    """Clip sorted values at 3 times their scatter until nothing changes; give their median and that scatter.

    What stays is a range of the sorted values, and so is the half of them that lies nearest to the median: both are
    found by bisection, where a median of all would look at every value.
    """
    while True:
        sky = _middle(ordered)
        scatter = max(_MAD_TO_SIGMA * _median_distance(ordered, sky), least)
        limit, middle, count = _CLIP * scatter, bisect_left(ordered, sky), len(ordered)
        first = bisect_left(range(middle), True, key=lambda place: sky - ordered[place] <= limit)
        last = bisect_left(range(count), True, middle, key=lambda place: ordered[place] - sky > limit)
        if last - first in (0, count):
            return sky, scatter
        ordered = ordered[first:last]


def _median_distance(ordered: NDArray[np.float64], sky: float) -> float:
    count = len(ordered)
    found = []
    for nearest in ((count - 1) // 2 + 1, count // 2 + 1):

        def in_reach(first: int, nearest: int = nearest) -> bool:
            return bool(sky - ordered[first] <= ordered[first + nearest] - sky)

        first = bisect_left(range(count - nearest), True, key=in_reach)
        found.append(max(sky - ordered[first], ordered[first + nearest - 1] - sky))
    return float(found[0] + found[1]) / 2


def _middle(ordered: NDArray[np.float64]) -> float:
    """Median of sorted values."""
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _in_order(values: Any) -> NDArray[np.float64]:
    if getattr(values, "is_cuda", False):
        values = values.sort().values
        return _on_host(values).astype(np.float64)
    return np.sort(_on_host(values)).astype(np.float64)


def _picked(image: Any, places: Any) -> Any:
    # What an index of places does, four times as fast on a Tensor.
    return image[places] if isinstance(image, np.ndarray) else image.masked_select(places)


def _with_doubles(values: Any) -> Any:
    """Move a Tensor to the CPU from a device that has no double precision."""
    return values.cpu() if getattr(values, "is_mps", False) else values


def _on_host(values: Any) -> NDArray:
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def _double(values: Any) -> Any:
    return values.astype(np.float64) if isinstance(values, np.ndarray) else values.double()


def rounding_step(values: NDArray) -> float:
    """Find the step between neighbouring values, where they are so coarse that most stand many times.

    Parameters
    ----------
    values : ndarray of float, shape (N,)
        Pixels.

    Returns
    -------
    float
        0 where they are not coarse, or all alike.
    """
    some = values[:: max(1, values.size // _STEP_SAMPLE)].astype(np.float64)
    distinct = np.unique(some)
    if len(distinct) < 2 or 4 * len(distinct) > len(some):
        return 0.0
    place = int(np.searchsorted(distinct, np.median(some)))
    return float(np.median(np.diff(distinct[max(0, place - _BESIDE) : place + _BESIDE + 1])))
