"""What becomes of stars and cosmic rays where these are few, with and without the prior of a model.

MODEL: what deepcr_lightning.load_model takes ("universal" and "universal-hst" by default); without its prior, the map
of a chip that few cosmic rays cover is not lowered (deepcr_lightning/prediction/prior.py).

share    of the pixels that cosmic rays cover, of 3 times the noise and more; those of silicon as thick as UVIS's
found    share of these pixels that the mask flags, with the prior and without; none where there are less than 20
stars    share of the star peaks, of 5 to 5000 times the noise, that it flags; Moffat, FWHM 1.3 to 2.0, beta 2.5

Means over images of 512 x 512 pixels, sky of 30 electrons, read noise 4.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from astropy.modeling.functional_models import Moffat2D
from numpy.typing import NDArray
from report import Row, parser

from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.finder import CosmicRayFinder
from deepcr_lightning.simulation.cosmic_rays import draw_cosmic_rays

SIDE, SKY, READ_NOISE, SIGNIFICANCE = 512, 30.0, 4.0, 3.0
SECONDS, STARS, IMAGES, SEED = (0.0, 1.0, 4.0, 20.0, 100.0, 500.0), (0, 250), 6, 9
LEAST = 20
HEAD = "| stars | share of CRs | found | without | stars flagged | without |\n|---|---|---|---|---|---|"


@dataclass(frozen=True, eq=False)
class Scene:
    """An image, its pixels of cosmic rays, and rows and columns of its stars."""

    image: NDArray[np.float32]
    cr: NDArray[np.bool_]
    peaks: tuple[NDArray[np.int64], NDArray[np.int64]]


def scenes(seconds: float, stars: int) -> Iterator[Scene]:
    """Draw images of an exposure time with so many stars each."""
    rng = np.random.default_rng(SEED)
    for _ in range(IMAGES):
        light, rows, columns = np.full((SIDE, SIDE), SKY), *rng.integers(10, SIDE - 10, (2, stars))
        fwhm = rng.uniform(1.3, 2.0)
        for row, column, times in zip(
            rows, columns, 10 ** rng.uniform(np.log10(5), np.log10(5000), stars), strict=True
        ):
            light += star(row, column, fwhm, times, rng)
        charge = draw_cosmic_rays(light.shape, seconds, rng)
        image = rng.poisson(light) + rng.normal(0, READ_NOISE, light.shape) + charge
        noise = np.sqrt(light + READ_NOISE**2)
        yield Scene(image.astype(np.float32), charge > SIGNIFICANCE * noise, (rows, columns))


def star(row: int, column: int, fwhm: float, times: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a star whose peak is so many times the noise, anywhere in its pixel; only what is near it is not zero."""
    y, x = np.indices((SIDE, SIDE), sparse=True)
    gamma, (up, right) = fwhm / 2 / np.sqrt(2 ** (1 / 2.5) - 1), rng.uniform(-0.5, 0.5, 2)
    near = (slice(max(0, row - 40), row + 41), slice(max(0, column - 40), column + 41))
    made, fine = np.zeros((SIDE, SIDE)), (np.arange(5) - 2) / 5
    shape = Moffat2D(1.0, column + right, row + up, gamma, 2.5)
    made[near] = np.mean([shape(x[:, near[1]] + dx, y[near[0]] + dy) for dx in fine for dy in fine], axis=0)
    # In units of the noise that it has itself there.
    peak = (times**2 + times * np.sqrt(times**2 + 4 * (SKY + READ_NOISE**2))) / 2
    return peak * made / made.max()


def look(finder: CosmicRayFinder, seen: list[Scene]) -> tuple[float, float]:
    """Give the share of the pixels of cosmic rays that is found, and that of the stars' peaks that is flagged."""
    masks = [finder.find_cosmic_rays(scene.image) for scene in seen]
    cr = np.concatenate([mask[scene.cr] for mask, scene in zip(masks, seen, strict=True)])
    stars = np.concatenate(
        [mask[scene.peaks] & ~scene.cr[scene.peaks] for mask, scene in zip(masks, seen, strict=True)]
    )
    return float(cr.mean()) if cr.size >= LEAST else np.nan, float(stars.mean()) if stars.size else np.nan


def main() -> None:
    """Show every scene to the models."""
    options = parser(__doc__)
    options.add_argument("models", nargs="*", metavar="MODEL", help="universal and universal-hst by default")
    chosen = options.parse_args()
    rows: list[Row] = []
    for name in chosen.models or ("universal", "universal-hst"):
        model = load_model(name)
        ways = [
            CosmicRayFinder(replace(model, card=replace(model.card, prior=prior))) for prior in (model.card.prior, None)
        ]
        print(f"\n{name}\n", HEAD, sep="\n")
        for stars in STARS:
            for seconds in SECONDS if stars else SECONDS[1:]:
                seen = list(scenes(seconds, stars))
                share = np.mean([scene.cr.mean() for scene in seen])
                (found, flagged), (found_without, flagged_without) = (look(way, seen) for way in ways)
                cells = [percent(value, 1) for value in (found, found_without)]
                cells += [percent(value, 2) for value in (flagged, flagged_without)]
                print(f"| {stars} | {100 * share:.3f} % | " + " | ".join(cells) + " |", flush=True)
                label = f"{name}, {stars} stars, {seconds:g} s"
                rows.append(Row(f"found, {label}", found, "share", "without", found_without, found / found_without))
                ratio = (flagged_without + 1e-4) / (flagged + 1e-4)
                rows.append(Row(f"stars, {label}", flagged, "share", "without", flagged_without, ratio))
    if chosen.json:
        kept = [asdict(row) for row in rows if np.isfinite(row.value)]
        chosen.json.write_text(json.dumps(kept, indent=1) + "\n")


def percent(value: float, digits: int) -> str:
    """Write a share in per cent, or a dash."""
    return "-" if np.isnan(value) else f"{100 * value:.{digits}f} %"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
