"""What fills real holes best: the ways without a network, those that come with deepCR, and the network.

cosmic rays     real ones put into real images (transplants): what stands below is known, and their faint rims, which
                no mask holds, are around the holes; and, with --simulated, those of simulated exposures
empty holes     of the shape of real ones, cut into real images away from their own cosmic rays
holes on stars  the same, one over each star that stands alone, so that one of its pixels is the peak

The truth of a real pixel is what was observed, with its noise: a perfect fill has a mean square error of 1 in units of
the noise. Fluxes are those in apertures of 3 pixels of radius, of stars that a hole touches there, over the true flux,
where a set has ten of them. Gains are mean square errors of median_5 over that of a way; means of them over sets are
geometric. Intervals hold 95 of 100 drawings of the images of each set; a set of one image has none of its own.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from fill_real_cases import Case, real_cases, simulated_cases
from numpy.typing import NDArray
from photutils.aperture import CircularAperture
from published_inpainting import published_fills
from real_sky_sets import DATA
from report import Row, parser, publish

from deepcr_lightning.inpainting.filler import load_filler
from deepcr_lightning.prediction.fill import DEFAULT, FILLS, Fill
from deepcr_lightning.scores.intervals import interval, resampled

RADIUS, EDGE, LEAST_SNR, FEWEST_STARS = 3.0, 6, 5.0, 10
NOISE2, E2, FLUX = "noise2", "e2", "flux2"
Sums = dict[tuple[str, str, str], list[dict[str, NDArray[np.float64]]]]
"""By place, kind and unit: for each image, the sum and the number of square errors of each way."""


def measure(cases: Iterable[Case], ways: dict[str, Fill]) -> Sums:
    """Fill every case in every way and add up square errors of pixels and of fluxes."""
    sums: Sums = defaultdict(list)
    for case in cases:
        filled = {way: fill(case.image, case.mask, case.usable) for way, fill in ways.items()}
        errors = {way: (image - case.under)[case.counted].astype(float) for way, image in filled.items()}
        local = case.local[case.counted]
        if not local.size:
            continue
        sums[case.place, case.kind, NOISE2].append({way: _sum(error / local) for way, error in errors.items()})
        sums[case.place, case.kind, E2].append({way: _sum(error) for way, error in errors.items()})
        places = _hit(case)
        if len(places):
            right = _fluxes(case.under, places) - _background(case.under, places)
            worth = right > LEAST_SNR * np.sqrt(_fluxes(case.local**2, places))
            if worth.any():
                off = {
                    way: (_fluxes(image, places) - _fluxes(case.under, places)) / right for way, image in filled.items()
                }
                sums[case.place, case.kind, FLUX].append({way: _sum(each[worth]) for way, each in off.items()})
    return sums


def _sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([np.square(values).sum(), values.size])


def _hit(case: Case) -> NDArray[np.float64]:
    """Give x and y of stars inside the image of which a hole covers a part, all of it counted."""
    rows, columns = case.under.shape
    y, x = case.stars
    inside = (y >= EDGE) & (y < rows - EDGE) & (x >= EDGE) & (x < columns - EDGE)
    places = np.column_stack([x, y])[inside].astype(float)
    if not len(places):
        return places
    touched = _fluxes(case.counted, places) > 0
    return places[touched & (_fluxes((case.mask & ~case.counted) | ~case.usable, places) == 0)]


def _fluxes(image: NDArray, places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.atleast_1d(CircularAperture(places, RADIUS).do_photometry(image.astype(np.float64))[0])


def _background(image: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the light below each star in its aperture: the median of the box around it, the same for every way."""
    boxes = [image[int(y) - EDGE : int(y) + EDGE + 1, int(x) - EDGE : int(x) + EDGE + 1] for x, y in places]
    return np.array([np.median(box) for box in boxes]) * np.pi * RADIUS**2


def rows_of(sums: Sums, ways: Iterable[str]) -> Iterator[Row]:
    """Compare every way with the default one, by place and over all places."""
    ways = list(ways)
    for kind, unit in dict.fromkeys((kind, unit) for _, kind, unit in sums):
        gains: dict[str, list[tuple[float, NDArray[np.float64]]]] = defaultdict(list)
        for place in dict.fromkeys(place for place, *rest in sums if rest == [kind, unit]):
            images = sums[place, kind, unit]
            if unit == FLUX and sum(image[DEFAULT][1] for image in images) < FEWEST_STARS:
                continue
            drawn = resampled(len(images))
            peer = np.array([image[DEFAULT] for image in images])
            for way in ways:
                ours = np.array([image[way] for image in images])
                error, default = (float(each[:, 0].sum() / each[:, 1].sum()) for each in (ours, peer))
                gain, draws = default / error, (drawn @ peer[:, 0]) / (drawn @ ours[:, 0])
                gains[way].append((gain, draws))
                low, high = interval(draws)
                number = int(peer[:, 1].sum())
                name = f"{place}, {kind}, {number} {'stars' if unit == FLUX else 'pixels'}, {way}"
                yield Row(f"{name} ({low:.2f} to {high:.2f})", error, unit, DEFAULT, default, gain)
        for way, found in gains.items():
            mean = float(np.exp(np.mean(np.log([gain for gain, _ in found]))))
            low, high = interval(np.exp(np.mean(np.log([draws for _, draws in found]), axis=0)))
            name = f"MEAN of {len(found)}, {kind}, {unit}, {way} ({low:.2f} to {high:.2f})"
            yield Row(name, mean, "gain", DEFAULT, 1.0, mean)


def main() -> None:
    """Fill, compare and print."""
    options = parser(__doc__)
    options.add_argument("--data", type=Path, default=DATA, help="folder with real and uvis_2013fy27")
    options.add_argument("--simulated", type=Path, help="folder of simulated sets, CAMERA_SEED/science and truth")
    options.add_argument("--exposures", type=int, default=4, help="exposures of each simulated set")
    options.add_argument("--fill-ckpt-path", nargs="*", default=(), help="networks that fill")
    options.add_argument("--ways", nargs="*", help="ways to try; all by default")
    chosen = options.parse_args()
    torch.manual_seed(0)
    ours = {f"network {Path(path).stem}": load_filler(path) for path in chosen.fill_ckpt_path}
    published = published_fills() if importlib.util.find_spec("deepCR") else {}
    ways: dict[str, Fill] = {**FILLS, **published, **ours}
    if chosen.ways is not None:
        ways = {name: fill for name, fill in ways.items() if name in (DEFAULT, *chosen.ways)}
    cases = simulated_cases(chosen.simulated, chosen.exposures) if chosen.simulated else real_cases(chosen.data)
    publish(list(rows_of(measure(cases, ways), ways)), chosen.json)


if __name__ == "__main__":
    main()
