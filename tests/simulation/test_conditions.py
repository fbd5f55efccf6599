"""Simulated exposures of other conditions: what is drawn, what it does, and that the usual ones stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.simulation import draw_cosmic_rays, simulate_set
from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.psf import psf_stamps
from deepcr_lightning.simulation.stars import draw_stars
from deepcr_lightning.tiles.dark_cr import COSMIC_RAY, UNKNOWN, extract_cr_layers

# Of the set below, as it was made before conditions could differ: the mean of each image, and `places` of its true
# pixels. No hashes, since the last digits of a float32 differ between processors, and with them a pixel at a threshold.
BEFORE = {
    "isim01a1q": ([26.5218907, 6.81373356, 10.2748232, 95.5038234, 10.3678106, 17.6568106], [39.2, 75.2]),
    "isim01a2q": ([16.1431712, 6.59520675, 0.0, 87.8169791, 10.2941096, 8.49280107], [0.0, 54.8]),
    "isim01a3q": ([86.3403183, 9.68252055, 10.1967113, 301.117915, 16.852658, 25.0213283], [83.7, 72.1]),
    "isim01a4q": ([86.4361272, 9.65211357, 10.4486882, 291.138899, 16.8353863, 8.59389718], [60.0, 51.0]),
    "isim02a1q": ([26.0661849, 5.97826081, 23.0729274, 18.7433985, 5.93413391, 6.28346115], [96.7, 68.2]),
    "isim02a2q": ([62.7501973, 7.78466187, 14.221636, 261.585383, 11.0412155, 23.9734028], [88.1, 199.4]),
    "idrk01a1q": ([9.82189903, 5.47430802, 5.40273555, 24.5279881, 5.91412779, 20.8585534], [52.1, 159.4]),
}
# The same of the DQ and of the pixels to ignore of the two chips, which are those of every exposure.
FLAGS = [341.6, 104.4, 372.2, 94.6]


def places(plane: NDArray[np.integer]) -> float:
    """Sum up the bits that are set, each of which counts as 1 to 2 by which it is and where it lies."""
    bits = (plane.astype(np.int64).ravel() >> np.arange(16)[:, None]) & 1
    return float(np.linspace(1, 2, bits.size) @ bits.ravel())


def fingerprint(folder: Path, root: str) -> tuple[list[float], list[float], list[float]]:
    """Of one exposure and its truth: means of images, true pixels, flags."""
    (image,) = folder.glob(f"*/{root}_flc.fits")
    means, true, flags = [], [], []
    with fits.open(image) as hdus, fits.open(folder / "truth" / f"{root}_truth.fits") as truth:
        for extver in (1, 2):
            planes = [hdus["SCI", extver], hdus["ERR", extver], truth["CRCHARGE", extver]]
            means += [float(plane.data.mean(dtype=np.float64)) for plane in planes]
            true.append(places(truth["CRTRUTH", extver].data))
            flags += [places(plane.data) for plane in (hdus["DQ", extver], truth["IGNORE", extver])]
    return means, true, flags


def test_the_usual_set_is_as_it_was(tmp_path: Path) -> None:
    fields = ("nebula", "cluster")
    kept = simulate_set(
        tmp_path / "set",
        filters=("F336W", "F814W"),
        exposures=3,
        darks=1,
        size=(48, 64),
        fields=fields,
        seed=9,
        progress=False,
    )
    for path in kept:
        root = path.name.split("_")[0]
        means, true, flags = fingerprint(tmp_path / "set", root)
        np.testing.assert_allclose(means, BEFORE[root][0], rtol=1e-6)
        # One pixel may lie at a threshold.
        np.testing.assert_allclose(true, BEFORE[root][1], rtol=0, atol=2.1, err_msg=root)
        np.testing.assert_allclose(flags, FLAGS, rtol=0, atol=2.1, err_msg=root)
    assert "conditions" not in (tmp_path / "set" / "simulation.json").read_text()


@pytest.mark.parametrize("name", ["stars", "psf", "sky", "silicon", "pitch", "crs", "read_noise", "gain", "scale"])
def test_conditions_are_positive(name: str) -> None:
    with pytest.raises(InputError, match=name):
        Conditions(**{name: 0.0})


def pixels_per_event(silicon: float) -> tuple[float, float]:
    """Pixels above 100 e, and charge, an event."""
    image = draw_cosmic_rays((300, 300), 1000, np.random.default_rng(1), Conditions(silicon=silicon))
    events = 1.4 * 1000 * (300 * 15e-4) ** 2
    return float((image > 100).sum() / events), float(image.sum() / events)


def test_thick_silicon_makes_long_bright_cosmic_rays() -> None:
    pixels, charge = np.divide(pixels_per_event(2.0), pixels_per_event(1.0))
    assert 1.4 < pixels < 2.5
    assert 1.6 < charge < 3.0


def test_stars_and_psf() -> None:
    few, many = (len(draw_stars("cluster", (200, 200), np.random.default_rng(1), f).y) for f in (1.0, 4.0))
    assert many == pytest.approx(4 * few, rel=0.2)

    def core(stamps: NDArray[np.float32]) -> float:
        return float(stamps[3, 3].max())

    sharp, usual, blurred = (core(psf_stamps("F336W", width)) for width in (0.8, 1.0, 1.6))
    assert sharp > 1.2 * usual > 1.4 * blurred


def test_darks_of_differing_noise_keep_their_pixels_and_their_noise() -> None:
    rng = np.random.default_rng(5)
    noises = (2.0, 2.5, 4.0, 5.0, 6.5, 8.0)
    darks = [rng.normal(2, noise, (200, 200)).astype(np.float32) for noise in noises]
    for dark in darks:
        dark[:20, :20] += 400  # hot
    layers = list(extract_cr_layers(darks, [np.zeros((200, 200), bool)] * 6, [900.0] * 6))
    for layer, noise in zip(layers, noises, strict=True):
        assert noise < layer.noise < 1.6 * noise + 1
        assert (layer.kind[:20, :20] == UNKNOWN).all()
        assert (layer.kind == UNKNOWN).mean() < 0.012 + 0.01
        assert (layer.kind == COSMIC_RAY).mean() < 1e-3
