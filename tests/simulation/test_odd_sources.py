"""Sources that only some exposures hold: what moves, what fills the wells, discs; and what the truth says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.truth import read_matching_truth
from deepcr_lightning.simulation.bright_stars import add_bright_stars
from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.discs import add_discs
from deepcr_lightning.simulation.moving import add_moving_sources
from deepcr_lightning.simulation.plan import SetSettings, plan_set
from deepcr_lightning.simulation.psf import expected_fwhm
from deepcr_lightning.simulation.simulated_set import simulate_set


def exposures_of(folder: Path, **changes: object) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Electrons, unusable pixels and true CRs of one exposure that differs from another in nothing else."""
    (path,) = simulate_set(
        folder, filters=["F606W"], exposures=1, darks=0, size=(160, 160), chips=1, fields=["cluster"], seed=4,
        exposure_times=(900, 900), conditions=replace(Conditions(light=20.0, crs=0.5), **changes), progress=False,
    )  # fmt: skip
    exposure = read_exposure(path)
    truth = read_matching_truth(folder / "truth" / f"{exposure.root}_truth.fits", exposure)[1]
    return exposure.chips[0].electrons, exposure.chips[0].unusable, truth.cr


def test_sources_move_each_its_own_way() -> None:
    light = np.zeros((800, 800))
    add_moving_sources(light, 10.0, "F606W", Conditions(moving=30), np.random.default_rng(1))
    boxes = ndimage.find_objects(ndimage.label(light > 0.01 * light.max(), np.ones((3, 3)))[0])
    heights, widths = np.array([[part.stop - part.start for part in box] for box in boxes]).T
    assert ((heights > 10) & (widths < heights / 2)).any()
    assert ((widths > 10) & (heights < widths / 2)).any()


def test_what_moves_is_no_cosmic_ray(tmp_path: Path) -> None:
    still, _, rays = exposures_of(tmp_path / "still")
    moved, _, same_rays = exposures_of(tmp_path / "moved", moving=100)
    assert (moved > still + 300).sum() > 50
    assert not (same_rays & ~rays).any()  # a brighter pixel has more noise, which CRs must exceed


def light_of_one(beta: float | None, spikes: tuple[float, ...]) -> float:
    """Light of one bright star over the rate that was drawn for it."""

    class Middle:
        """Random numbers of one star in the middle of the image."""

        def poisson(self, mean: float) -> int:
            return 1

        def uniform(self, low: float, high: float) -> float:
            return (low + high) / 2 if low == 0 else low

    light = np.zeros((1201, 1201))
    add_bright_stars(light, (0.0, 0.0), "F606W", Conditions(bright=1.0, spikes=spikes, beta=beta), Middle())
    return float(light.sum() / 3e3)


def test_light_of_a_bright_star_is_all_there_and_its_spikes_lie_at_their_angles() -> None:
    angles = (0.3, 0.3 + np.pi / 3, 0.3 + 2 * np.pi / 3)
    for beta in (None, 3.0):
        images = []
        for spikes in ((), angles):
            light = np.zeros((600, 600))
            conditions = Conditions(bright=0.8, spikes=spikes, beta=beta, halo=0.1)
            add_bright_stars(light, (0.0, 0.0), "F606W", conditions, np.random.default_rng(1))
            images.append(light)
        plain, spiked = images
        star = np.array(np.unravel_index(plain.argmax(), plain.shape))
        # Of a star in the middle of a wide image nearly all light is there.
        assert light_of_one(beta, ()) == pytest.approx(1, abs=0.03)
        assert light_of_one(beta, angles) == pytest.approx(1.015, abs=0.05)
        # Spikes are faint beside the star and stand out far from it, where the rest has faded.
        assert 1 < spiked.sum() / plain.sum() < 1.04
        assert spiked.max() < 1.02 * plain.max()
        ring = np.linspace(0, 2 * np.pi, 720, endpoint=False)
        y, x = np.rint(star[:, None] + 50 * np.array([np.sin(ring), np.cos(ring)])).astype(int)
        excess = (spiked - plain)[y, x]
        peaks = ring[excess > 0.5 * excess.max()] % np.pi
        assert np.abs(peaks[:, None] - np.array(angles)).min(1).max() < 0.05
        assert np.abs(peaks[:, None] - np.array(angles)).min(0).max() < 0.05


def test_discs_and_rings_are_as_sharp_as_stars() -> None:
    light = np.zeros((700, 700))
    add_discs(light, (0.0, 0.0), "F606W", Conditions(discs=8.0), np.random.default_rng(3))
    labels, count = ndimage.label(light > 1e-4)
    assert count > 4
    # Where it is brightest around an edge, the slope is that of a step behind this PSF, and nowhere steeper.
    sigma = expected_fwhm("F606W") / 2.3548
    slope = np.hypot(*np.gradient(light))
    boxes = ndimage.find_objects(labels)
    large = [box for box in boxes if min(part.stop - part.start for part in box) > 25]
    assert large
    for box in large:
        step = light[box].max()
        assert slope[box].max() < 1.05 * step / (np.sqrt(2 * np.pi) * sigma)
    assert max(slope[box].max() / light[box].max() for box in large) > 0.5 / (np.sqrt(2 * np.pi) * sigma)
    # Some are hollow.
    assert any(light[box][tuple(length // 2 for length in light[box].shape)] < 0.1 * light[box].max() for box in large)


def test_a_slit_shows_neither_stars_nor_discs(tmp_path: Path) -> None:
    made = []
    for name, odd in (("plain", {}), ("odd", {"bright": 20.0, "spikes": (0.8,), "discs": 50.0})):
        (path,) = simulate_set(
            tmp_path / name, filters=["F606W"], exposures=1, darks=0, size=(64, 64), chips=1, fields=["spectrum"],
            conditions=Conditions(**odd), progress=False,
        )  # fmt: skip
        made.append(read_exposure(path).chips[0].electrons)
    np.testing.assert_array_equal(*made)


def test_bright_stars_stay_where_they_are_and_are_no_cosmic_rays(tmp_path: Path) -> None:
    conditions = Conditions(bright=15.0, spikes=(0.8, 2.4), crs=0.5)
    times = (300.0, 300.0)
    settings = SetSettings(("F606W",), 2, 0, (160, 160), 1, seed=4, exposure_times=times, conditions=conditions)
    paths = simulate_set(
        tmp_path, filters=["F606W"], exposures=2, darks=0, size=(160, 160), chips=1, seed=4,
        exposure_times=times, conditions=conditions, progress=False,
    )  # fmt: skip
    exposures = [read_exposure(path) for path in paths]
    wells = [ndimage.binary_opening(each.chips[0].saturated, np.ones((2, 2))) for each in exposures]
    assert min(full.sum() for full in wells) > 20
    dithers = [planned.dither for planned in plan_set(settings)]
    shift = np.array(dithers[1]) - dithers[0]
    centres = [np.array(ndimage.center_of_mass(full)) for full in wells]
    assert np.abs(centres[0] - shift - centres[1]).max() < 1.5
    _, _, rays = exposures_of(tmp_path / "dark_sky")
    _, _, same_rays = exposures_of(tmp_path / "bright", bright=30.0, spikes=(0.8, 2.4))
    assert rays.any()
    assert not (same_rays & ~rays).any()  # a brighter pixel has more noise, which CRs must exceed


def test_a_file_without_dq_has_full_pixels_that_no_truth_calls_cosmic_rays(tmp_path: Path) -> None:
    flagged, unusable, rays = exposures_of(tmp_path / "flagged")
    bare, none, visible = exposures_of(tmp_path / "bare", flagged=False)
    np.testing.assert_array_equal(flagged, bare)
    assert unusable.sum() > 100
    assert not none.any()
    full = flagged > 55000
    assert full.sum() > 10
    assert (rays & full).any()
    assert not (visible & full & unusable).any()
    np.testing.assert_array_equal(visible[~unusable], rays[~unusable])
