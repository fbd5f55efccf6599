"""Synthetic scenes that no real set holds: what is flagged of them, and which CRs are found in them.

MODEL: what deepcr_lightning.load_model takes ("universal" and "universal-hst" by default).

flagged  share of the thing that the mask flags, in an image without CRs: of the pixels that differ from the median by
         more than the noise, or from the mean of their neighbours by more than an eighth of it, and those that touch
         one; of columns a pixel wide a fifth of these are their own, and orders, fibres and noise fill the image
found    share of the pixels of short tracks of 20 times the local noise that it flags, anywhere in the image

Light is in electrons, read noise 4; saturated pixels are given as unusable, columns and pixels that are too bright are
not. Tracks lie where the light is bright as well, where 20 times its noise is little beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from report import Row, parser
from scipy import ndimage

from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.finder import CosmicRayFinder
from deepcr_lightning.simulation.bright_stars import add_bright_stars
from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.discs import add_discs

Light = NDArray[np.float64]
SIDE, SKY, READ_NOISE, WELL = 400, 50.0, 4.0, 7e4
TRACKS, SIGNIFICANCE, SEED = 300, 20.0, 3
SECONDS = 300.0
Y, X = np.indices((SIDE, SIDE)).astype(float)


def orders(fwhm: float, apart: float, peak: float, rng: np.random.Generator) -> Light:
    """Draw the orders of an echelle spectrograph with absorption lines, curved and tilted."""
    light = np.zeros((SIDE, SIDE))
    for first in np.arange(-60, SIDE + 60, apart):
        lines = np.prod(
            [1 - rng.uniform(0.1, 0.9) * bell(X[0] - rng.uniform(0, SIDE), rng.uniform(2, 5)) for _ in range(40)], 0
        )
        light += peak * bell(Y - first - 0.08 * (X - 200) - 1e-4 * (X - 200) ** 2, fwhm) * lines
    return light


def arcs(fwhm: float, rng: np.random.Generator) -> Light:
    """Draw the lines of a lamp in the orders of an echelle spectrograph: dots as sharp as stars."""
    light = np.zeros((SIDE, SIDE))
    for first in np.arange(0, SIDE, 14):
        for column in rng.uniform(3, SIDE - 3, 6):
            spot = bell(X - column, fwhm) * bell(Y - first - 0.08 * (column - 200), 1.6 * fwhm)
            light += 10 ** rng.uniform(1.3, 4.3) * spot
    return light


def fibres(fwhm: float, rng: np.random.Generator) -> Light:
    """Draw the spectra of many fibres side by side, with emission lines."""
    light = np.zeros((SIDE, SIDE))
    for first in np.arange(2, SIDE, 6):
        spectrum = rng.uniform(80, 800) * (1 + 0.2 * np.sin(X[0] / 30))
        for _ in range(15):
            spectrum = spectrum + rng.uniform(160, 4000) * bell(X[0] - rng.uniform(0, SIDE), fwhm)
        light += bell(Y - first - 0.01 * (X - 200), fwhm) * spectrum
    return light


def planet(fwhm: float) -> Light:
    """Draw a planet with a darkened limb."""
    distance = np.hypot(X - 200, Y - 200) / 90
    disc = np.where(distance < 1, 2e4 * (1 - 0.4 * distance**2), 0.0)
    return np.asarray(ndimage.gaussian_filter(disc, fwhm / 2.3548))


def columns(charge: float, start: float, width: int = 1) -> Light:
    """Draw columns that are too bright by so many times the noise, from a row on; no DQ names them."""
    light = np.zeros((SIDE, SIDE))
    for beside in range(width):
        light[int(start * SIDE) :, beside::37] = charge * np.sqrt(SKY + READ_NOISE**2) / (1 + beside)
    return light


def bright_stars(rng: np.random.Generator, **conditions: object) -> Light:
    """Draw stars that fill the wells, with spikes."""
    light = np.zeros((SIDE, SIDE))
    add_bright_stars(light, (0.0, 0.0), "F606W", Conditions(bright=8.0, **conditions), rng)  # type: ignore[arg-type]
    return light * SECONDS


def discs(rng: np.random.Generator) -> Light:
    """Draw planets, rings and shells of all sizes."""
    light = np.zeros((SIDE, SIDE))
    add_discs(light, (0.0, 0.0), "F606W", Conditions(discs=20.0), rng)
    return light * SECONDS


def bell(offset: Light, fwhm: float) -> Light:
    """Give a Gaussian of this FWHM, 1 at its peak."""
    return np.asarray(np.exp(-(offset**2) * 4 * np.log(2) / fwhm**2))


DIAGONAL, ASKEW = (np.pi / 4, 3 * np.pi / 4), (0.35, 0.35 + np.pi / 2)
SCENES: dict[str, Callable[[np.random.Generator], Light]] = {
    "echelle, orders of 1.8 pixels, 5000 e": lambda rng: orders(1.8, 14, 5000, rng),
    "echelle, orders of 2.5 pixels, 500 e": lambda rng: orders(2.5, 8, 500, rng),
    "lamp in an echelle, dots of 1.8 pixels": lambda rng: arcs(1.8, rng),
    "lamp in an echelle, dots of 2.2 pixels": lambda rng: arcs(2.2, rng),
    "fibres, 2.0 pixels": lambda rng: fibres(2.0, rng),
    "planet, seen with 1.8 pixels": lambda rng: planet(1.8),
    "discs and rings": discs,
    "spikes as of HST": lambda rng: bright_stars(rng, spikes=DIAGONAL, halo=0.15),
    "spikes askew, stars of 2 pixels on the ground": lambda rng: bright_stars(rng, spikes=ASKEW, beta=3.0, psf=1.2),
    "spikes askew, stars of 3 pixels on the ground": lambda rng: bright_stars(rng, spikes=ASKEW, beta=3.0, psf=1.8),
    "bright columns, 5 sigma": lambda rng: columns(5, 0),
    "bright columns, 20 sigma": lambda rng: columns(20, 0),
    "bright columns, 100 sigma, half of each": lambda rng: columns(100, 0.5),
    "bright columns, 20 sigma, in pairs": lambda rng: columns(20, 0, 2),
    "dead columns in bright light": lambda rng: 2000 - 800 * (X % 37 == 0),
    "steps between amplifiers": lambda rng: 60.0 * (X > 200) + 30.0 * (Y > 200),
    "noise of rows, 2 sigma": lambda rng: rng.normal(0, 2 * np.sqrt(SKY + READ_NOISE**2), (SIDE, 1)) * np.ones(SIDE),
    "fringes": lambda rng: 1000 + 80 * np.sin(((X - 100) ** 2 + (Y + 50) ** 2) / 3000),
}


def main() -> None:
    """Show every scene to the models."""
    options = parser(__doc__)
    options.add_argument("models", nargs="*", metavar="MODEL", help="universal and universal-hst by default")
    chosen = options.parse_args()
    models = {name: load_model(name) for name in chosen.models or ("universal", "universal-hst")}
    print(f"{'':46}" + "".join(f"{name[-24:]:>26}" for name in models))
    print(f"{'':46}" + f"{'flagged':>16}{'found':>10}" * len(models))
    rows: list[Row] = []
    for name, draw in SCENES.items():
        figures = {model: look(CosmicRayFinder(finder), draw) for model, finder in models.items()}
        print(f"{name:46}" + "".join(f"{100 * a:14.2f} %{100 * b:8.1f} %" for a, b in figures.values()), flush=True)
        peer, (peer_flagged, peer_found) = next(iter(figures.items()))
        for model, (flagged, found) in figures.items():
            ratio = (peer_flagged + 1e-4) / (flagged + 1e-4)
            rows.append(Row(f"{name}, flagged, {model}", flagged, "share", peer, peer_flagged, ratio))
            rows.append(Row(f"{name}, found, {model}", found, "share", peer, peer_found, found / max(peer_found, 1e-4)))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def look(finder: CosmicRayFinder, draw: Callable[[np.random.Generator], Light]) -> tuple[float, float]:
    """Give the share of a scene's structure that is flagged, and that of added tracks which is found."""
    rng = np.random.default_rng(SEED)
    light = SKY + draw(rng)
    noise = np.sqrt(np.maximum(light, 0) + READ_NOISE**2)
    full = light > WELL
    # Where the scene stands out from its median, or bends by the noise within a pixel.
    thing = (np.abs(light - np.median(light)) > noise) | (np.abs(ndimage.laplace(light)) > noise / 2)
    thing = ndimage.binary_dilation(thing, np.ones((3, 3))) & ~full
    plain, charge = observed(light, rng), np.zeros_like(light)
    for row, column in tracks(rng):
        charge[row, column] = SIGNIFICANCE * noise[row, column]
    masks = [finder.find_cosmic_rays(image.astype(np.float32), mask=full) for image in (plain, plain + charge)]
    return float(masks[0][thing].mean()), float(masks[1][(charge > 0) & ~full].mean())


def observed(light: Light, rng: np.random.Generator) -> Light:
    """Give the light with its Poisson noise and the read noise, up to the full well."""
    return np.minimum(rng.poisson(np.clip(light, 0, 1e9)), WELL) + rng.normal(0, READ_NOISE, light.shape)


def tracks(rng: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Draw the pixels of short straight tracks, of two to seven steps."""
    for _ in range(TRACKS):
        angle, along = rng.uniform(0, np.pi), np.arange(rng.integers(2, 8))
        row, column = rng.integers(5, SIDE - 10, 2)
        places = (row + along * np.sin(angle), column + along * np.cos(angle))
        yield tuple(np.clip(place.astype(int), 0, SIDE - 1) for place in places)  # type: ignore[misc]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
