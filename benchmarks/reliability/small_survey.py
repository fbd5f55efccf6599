"""A survey and darks, small enough to be searched and trained on in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

EPOCHS = 3
TINY = (
    "data.tile_size=32",
    "data.batch_size=4",
    "data.tiles_per_epoch=24",
    "data.num_workers=0",
    "model.depth=1",
    "model.hidden=4",
    "trainer.accelerator=cpu",
    f"trainer.max_epochs={EPOCHS}",
    "keep_freed_memory=false",
    "callbacks.figures.every=9",
)
"""Options of a training run of a second or two."""


def make_survey(folder: Path, count: int = 6, darks: int = 3, shape: tuple[int, int] = (64, 96)) -> None:
    """Write science exposures of three visits, and darks."""
    rng = np.random.default_rng(7)
    for n in range(count):
        _write(folder / "science" / f"ivis0{n % 3 + 1}{n:02d}q_flc.fits", _hit(rng.normal(30, 4, shape), rng), {})
    for n in range(darks):
        cards = {"IMAGETYP": "DARK", "TARGNAME": "DARK", "EXPTIME": 900.0}
        _write(folder / "darks" / f"idrk0{n + 1}d1q_flt.fits", _hit(rng.normal(2, 3, shape), rng), cards)


def _hit(image: NDArray, rng: np.random.Generator) -> NDArray:
    for _ in range(20):
        row, column = (int(rng.integers(2, length - 6)) for length in image.shape)
        image[row, column : column + 4] += rng.uniform(200, 2000, 4)
    return image


def _write(path: Path, image: NDArray, cards: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    primary = fits.PrimaryHDU()
    primary.header.update({"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "UVIS", "FILTER": "F336W"})
    primary.header.update({"EXPTIME": 500.0, "FLASHDUR": 0.0, "IMAGETYP": "EXT", "TARGNAME": "FIELD", **cards})
    science = fits.ImageHDU(image.astype(np.float32), name="SCI", ver=1)
    science.header["BUNIT"] = "ELECTRONS"
    fits.HDUList([primary, science, fits.ImageHDU(np.zeros(image.shape, np.int16), name="DQ", ver=1)]).writeto(path)
