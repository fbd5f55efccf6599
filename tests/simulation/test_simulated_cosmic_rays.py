"""Cosmic rays as they are simulated, against those of real exposures."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from conftest import reference
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.simulation import draw_cosmic_rays
from deepcr_lightning.simulation.alphas import add_alphas
from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.cosmic_rays import trail_charge

PERCENTILES = (5, 25, 50, 75, 95)
# Cosmic-ray events in 200 s WFC3/UVIS exposures of 2018 (program 15460).
CHARGE_TARGETS = (717, 1272, 1992, 3688, 12448)
PIXEL_TARGETS = (4, 6, 8, 11, 20)
RATE_TARGET = 1.43
SKY_NOISE = 6.0


def found_events(image: NDArray[np.float32], rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Find events as they were found in real frames: above 2.5 sigma, connected, with a seed.

    Each event is an array of rows (y, x, electrons).
    """
    noisy = image + rng.normal(0, SKY_NOISE, image.shape)
    labels, count = ndimage.label(noisy > 2.5 * SKY_NOISE, np.ones((3, 3)))
    peaks = ndimage.maximum(noisy, labels, np.arange(1, count + 1))
    events = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if peaks[number - 1] > 5 * SKY_NOISE:
            y, x = np.nonzero(labels[box] == number)
            events.append(np.column_stack([y, x, noisy[box][y, x]]))
    return events


def event_figures(events: list[NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Charge, number of pixels, share of the brightest pixel and widths (px) of events."""
    rows = []
    for event in events:
        charge = event[:, 2].sum()
        place = event[:, :2] - np.average(event[:, :2], axis=0, weights=event[:, 2])
        spread = np.linalg.eigvalsh((place * event[:, 2:]).T @ place / charge)
        minor, major = np.sqrt(np.maximum(spread, 0))
        rows.append((charge, len(event), event[:, 2].max() / charge, minor, major))
    names = ("charge", "pixels", "peak", "minor", "major")
    return dict(zip(names, np.array(rows).T, strict=True))


@pytest.fixture(scope="module")
def events() -> list[NDArray[np.float64]]:
    """Events of a simulated exposure of 200 s, found like the real ones."""
    rng = np.random.default_rng(11)
    image = draw_cosmic_rays((1024, 2052), 208, rng, rate=RATE_TARGET)
    assert image.dtype == np.float32
    assert image.min() >= 0
    return found_events(image, rng)


class TestCosmicRays:
    def test_rate(self, events: list[NDArray[np.float64]]) -> None:
        area = 1024 * 2052 * (15e-4) ** 2
        np.testing.assert_allclose(len(events) / (area * 208), RATE_TARGET, rtol=0.1)

    def test_charge_and_size(self, events: list[NDArray[np.float64]]) -> None:
        figures = event_figures(events)
        charge = np.percentile(figures["charge"], PERCENTILES)
        np.testing.assert_allclose(charge, CHARGE_TARGETS, rtol=0.2)
        pixels = np.percentile(figures["pixels"], PERCENTILES)
        np.testing.assert_allclose(pixels, PIXEL_TARGETS, rtol=0.2)

    def test_shapes_are_those_of_real_events(self, events: list[NDArray[np.float64]]) -> None:
        table = fits.getdata(reference("uvis_2013fy27/cr_events.fits"), 1)
        order = np.argsort(table["event"], kind="stable")
        starts = np.flatnonzero(np.diff(table["event"][order])) + 1
        pixels = np.column_stack([table["dy"], table["dx"], table["electrons"]]).astype(float)
        real = event_figures(np.split(pixels[order], starts))
        simulated = event_figures(events)
        for name, tolerance in (("charge", 0.2), ("pixels", 0.25), ("peak", 0.15), ("major", 0.2)):
            np.testing.assert_allclose(
                np.percentile(simulated[name], PERCENTILES),
                np.percentile(real[name], PERCENTILES),
                rtol=tolerance,
                err_msg=name,
            )
        np.testing.assert_allclose(
            np.percentile(simulated["minor"], PERCENTILES[1:]),
            np.percentile(real["minor"], PERCENTILES[1:]),
            rtol=0.2,
        )

    def test_directions_are_isotropic(self, events: list[NDArray[np.float64]]) -> None:
        long = [event for event in events if np.ptp(event[:, 0]) + np.ptp(event[:, 1]) > 8]
        tall = [np.ptp(event[:, 0]) > np.ptp(event[:, 1]) for event in long]
        assert 0.35 < np.mean(tall) < 0.65

    def test_no_time_no_rays(self) -> None:
        assert not draw_cosmic_rays((20, 30), 0, np.random.default_rng(0)).any()
        with pytest.raises(ValueError, match="not be negative"):
            draw_cosmic_rays((20, 30), -1, np.random.default_rng(0))

    @pytest.mark.parametrize(("readout_row", "step"), [(0, 1), (-1, -1)])
    def test_tails_point_away_from_the_readout(self, readout_row: int, step: int) -> None:
        image = np.zeros((41, 3), dtype=np.float32)
        image[20, 1] = 1000
        tail = trail_charge(image, 0.1, readout_row=readout_row, rows=41)
        np.testing.assert_allclose(tail.sum(), 1000, rtol=0.01)
        assert 930 < tail[20, 1] < 970
        assert tail[20 + step, 1] > tail[20 + 2 * step, 1] > 0
        assert tail[20 - step, 1] == 0


def test_alpha_particles_leave_the_discs_of_real_ones() -> None:
    image = np.zeros((400, 400))
    add_alphas(image, 150, 1.0, np.random.default_rng(1))
    labels, count = ndimage.label(image > 0)
    numbers = np.arange(1, count + 1)
    charge, pixels = (ndimage.sum_labels(values, labels, numbers) for values in (image, image > 0))
    peak = np.asarray(ndimage.maximum(image, labels, numbers))
    # Peaks of seven in slit spectra of Shane/Kast, by charge.
    real = [(1_068_019, 44_513), (906_201, 37_871), (488_505, 26_691), (250_478, 18_119), (129_252, 12_829)]
    for total, most in real:
        near = np.abs(np.log(charge / total)) < 0.3
        assert near.any()
        assert np.median(peak[near] / np.sqrt(charge[near])) == pytest.approx(most / np.sqrt(total), rel=0.2)
    assert (pixels > 0.9 * np.pi * np.sqrt(charge / 4400)).all()


def test_alpha_particles_come_beside_the_cosmic_rays() -> None:
    shape, seconds = (256, 256), 2000
    usual, with_alphas = (
        draw_cosmic_rays(shape, seconds, np.random.default_rng(3), Conditions(depleted=True, silicon=6.5, alphas=share))
        for share in (0.0, 0.04)
    )
    assert (with_alphas >= usual).all()
    assert (with_alphas - usual > 1e4).sum() > 20
