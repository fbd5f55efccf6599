"""Simulated cameras: what is drawn, what goes together, and what it looks like on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray
from scipy import ndimage

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.instruments import INSTRUMENTS, is_ccd
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import read_matching_truth
from deepcr_lightning.simulation import draw_cosmic_rays
from deepcr_lightning.simulation.__main__ import main
from deepcr_lightning.simulation.cameras import CAMERAS, draw_exposures, get_camera
from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.filters import get_filter
from deepcr_lightning.simulation.plan import SetSettings, plan_set
from deepcr_lightning.simulation.psf import expected_fwhm, psf_stamps
from deepcr_lightning.simulation.simulated_set import simulate_set

FILTERS = ["F336W", "F814W", "F606W"]


@pytest.mark.parametrize("name", CAMERAS)
def test_what_is_drawn_stays_within_the_camera_and_covers_it(name: str) -> None:
    camera = get_camera(name)
    drawn = draw_exposures(camera, FILTERS * 20, 20, np.random.default_rng(3))
    assert drawn == draw_exposures(camera, FILTERS * 20, 20, np.random.default_rng(3))
    assert drawn != draw_exposures(camera, FILTERS * 20, 20, np.random.default_rng(4))
    names = FILTERS * 20
    widths = [each.psf * (expected_fwhm(n) if camera.ground else 1) for each, n in zip(drawn, names, strict=True)]
    skies = [each.sky * (get_filter(n).sky if camera.ground else 1) for each, n in zip(drawn, names, strict=True)]
    found = {"fwhm": widths, "sky": skies}
    named = ("crs", "read_noise", "gain", *(["beta"] if camera.ground else []))
    found |= {what: [getattr(each, what) for each in drawn] for what in named}
    for what, values in found.items():
        low, high = getattr(camera, what)
        shares = np.log(np.array(values) / low) / np.log(high / low)
        assert shares.min() > -1e-9
        assert shares.max() < 1 + 1e-9
        # One in each part of the range, so that no tenth of it stays empty.
        assert np.histogram(shares, 10, (0, 1))[0].min() == 6, what
    assert {(each.silicon, each.pitch, each.depleted) for each in drawn} == {
        (camera.silicon, camera.pitch, camera.depleted)
    }
    assert all((each.beta is not None) == camera.ground for each in drawn)
    assert {each.flagged for each in drawn} == ({True, False} if camera.ground else {True})
    assert {each.moving > 0 for each in drawn} == {True, False}
    assert {each.bright > 0 for each in drawn} == {True, False}
    assert {each.discs > 0 for each in drawn} == {True, False}
    assert not any(each.bright or each.discs for each in drawn if each.trail[0])
    spikes = {each.spikes for each in drawn if each.bright}
    if not camera.ground:
        assert (len(spikes) == 1) == (not camera.resampled)  # diagonal, unless the image was turned
        assert all(len({each.stars for each in drawn[i : i + 3]}) == 1 for i in range(0, 60, 3))
    assert draw_exposures(camera, [], 0, np.random.default_rng(3)) == []


def test_unknown_cameras_are_refused() -> None:
    with pytest.raises(InputError, match=r"'polaroid'.*wfc3_uvis"):
        SetSettings(("F336W",), 1, 1, conditions="polaroid")


def test_a_camera_on_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(tmp_path), "--filters", "F336W", "--exposures", "3", "--darks", "4", "--size", "48", "64", "--quiet"]
    command += ["--chips", "1", "--exposure-times", "30", "3000", "--seed", "2"]
    assert main([*command, "--camera", "wfpc2_wf"]) == 0
    times = (30.0, 3000.0)
    settings = SetSettings(("F336W",), 3, 4, (48, 64), 1, exposure_times=times, seed=2, conditions="wfpc2_wf")
    planned = plan_set(settings)
    assert len({each.conditions.read_noise for each in planned}) == 6  # two visits of science, four darks
    for each in planned:
        path = tmp_path / ("darks" if each.is_dark else "science") / f"{each.root}_flc.fits"
        header = fits.getheader(path)
        assert header["READNSEC"] == pytest.approx(each.conditions.read_noise)
        assert read_exposure(path).camera == "WFPC2 WF 1x1"
    assert main(command) == 1  # the same without --camera
    assert "conditions" in capsys.readouterr().err


def test_cameras_are_those_that_reading_knows() -> None:
    rows = {key: row for key, row in INSTRUMENTS.items() if is_ccd(*key)}
    for (instrument, detector), row in rows.items():
        named = [one for one in CAMERAS.values() if one.instrument == instrument and detector in (one.detector, "NONE")]
        assert named, (instrument, detector)
        for camera in named:
            assert camera.gain[0] <= row.gain <= camera.gain[1]
            assert camera.read_noise[0] <= row.read_noise <= camera.read_noise[1]


def test_dq_on_disk_has_the_bits_of_its_camera(tmp_path: Path) -> None:
    """A full pixel of STIS has 256, also where UVIS has 2048 for its converter."""
    some = {"filters": ["F814W"], "exposures": 2, "darks": 1, "size": (96, 96), "chips": 1, "fields": ["cluster"]}
    bright = Conditions(light=30.0, full_well=2.0, instrument="STIS", detector="CCD")
    simulate_set(tmp_path, **some, conditions=bright, progress=False)
    full = 0
    for path in (tmp_path / "science").iterdir():
        chip = read_exposure(path).chips[0]
        assert not (chip.dq & 2048).any()
        np.testing.assert_array_equal(chip.saturated, (chip.dq & (256 | 4)) == 256)
        full += chip.saturated.sum()
        ignored = fits.getdata(tmp_path / "truth" / path.name.replace("_flc", "_truth"), "IGNORE") != 0
        assert ignored[chip.unusable].all()
    assert full > 0


def test_sets_of_other_cameras_and_seeds_share_no_rootname() -> None:
    sets = [(name, seed) for name in CAMERAS for seed in (0, 1, 40)]
    roots = [
        {each.root for each in plan_set(SetSettings(("F336W",), 3, 3, conditions=name, seed=seed))}
        for name, seed in sets
    ]
    assert len(set.union(*roots)) == 6 * len(sets)


def longest(conditions: Conditions) -> float:
    """Mean length in pixels of the longest tenth of the events."""
    image = draw_cosmic_rays((400, 400), 400, np.random.default_rng(1), conditions)
    boxes = ndimage.find_objects(ndimage.label(image > 50, np.ones((3, 3)))[0])
    lengths = np.sort([max(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in boxes])
    return float(lengths[-len(lengths) // 10 :].mean())


def test_thick_silicon_has_worms_and_sharp_ones() -> None:
    thick = Conditions(silicon=14.0, depleted=True, worms=0.6, crs=0.3)
    assert longest(thick) > 2 * longest(Conditions(crs=0.3))
    charge = [
        draw_cosmic_rays(
            (300, 300), 900, np.random.default_rng(2), Conditions(silicon=9.0, depleted=depleted, worms=0.0)
        )
        for depleted in (True, False)
    ]
    sharp, blurred = (float((plane**2).sum() / plane.sum()) for plane in charge)
    assert sharp > 1.2 * blurred


def half_width(stamp: NDArray[np.float32]) -> tuple[float, float]:
    """Pixels above half of the maximum along the row and the column of the brightest pixel."""
    y, x = np.unravel_index(stamp.argmax(), stamp.shape)
    half = stamp.max() / 2
    return float((stamp[y] > half).sum()), float((stamp[:, x] > half).sum())


def test_atmosphere_drift_and_halo_shape_the_stars() -> None:
    seeing = psf_stamps("F606W", 4 / expected_fwhm("F606W"), 3.0)[4, 4]
    assert half_width(seeing) == pytest.approx((4, 4), abs=1)
    along, across = half_width(psf_stamps("F606W", 2 / expected_fwhm("F606W"), 3.0, (15.0, 0.0))[4, 4])
    assert along > 12
    assert across <= 3
    inner = np.s_[4, 4, 55:66, 55:66]
    bare, hazy = (psf_stamps("F606W", halo=share)[inner].sum() for share in (0.05, 0.4))
    assert hazy < 0.9 * bare


def correlation(image: NDArray[np.float32]) -> float:
    noise = image - np.median(image)
    near = np.abs(noise) < 4 * np.median(np.abs(noise))
    pairs = near[:, 1:] & near[:, :-1]
    return float(np.corrcoef(noise[:, 1:][pairs], noise[:, :-1][pairs])[0, 1])


def test_resampling_correlates_noise_and_moves_the_truth_along(tmp_path: Path) -> None:
    found = {}
    for name in ("thinned", "thinned_resampled"):
        paths = simulate_set(
            tmp_path / name, filters=["F336W"], exposures=2, darks=0, size=(96, 96), chips=1, fields=["sparse"],
            conditions=name, seed=3, dithers=1, exposure_times=(300, 600), progress=False,
        )  # fmt: skip
        correlations, contrasts = [], []
        for path in paths:
            exposure = read_exposure(path)
            (chip,) = exposure.chips
            truth = read_matching_truth(tmp_path / name / "truth" / f"{exposure.root}_truth.fits", exposure)[1]
            sky, noise = sky_and_noise(chip.electrons, ~chip.unusable)
            correlations.append(correlation(chip.electrons))
            contrasts += list((chip.electrons - sky)[truth.cr & ~truth.ignore] / noise)
        found[name] = max(correlations), float(np.median(contrasts))
    assert found["thinned_resampled"][0] > found["thinned"][0] + 0.05
    assert min(contrast for _, contrast in found.values()) > 3


def test_binned_pixels_hold_the_stars_and_cosmic_rays_of_the_pixels_they_are_made_of(tmp_path: Path) -> None:
    for binning in ((2, 2), (1, 2), (2, 1)):
        folder = tmp_path / f"{binning}"
        (path, dark) = simulate_set(
            folder, filters=["F606W"], exposures=1, darks=1, size=(100, 120), chips=1, fields=["cluster"],
            conditions=Conditions(binning=binning, psf=2.0, alphas=40.0, crs=0.2, silicon=1.0), seed=4, dithers=1,
            exposure_times=(4, 5), progress=False,
        )  # fmt: skip
        exposure = read_exposure(path)
        (chip,) = exposure.chips
        assert chip.electrons.shape == (100, 120)
        stars = Table.read(next((folder / "stars").glob("*.ecsv")))
        truth = read_matching_truth(folder / "truth" / f"{exposure.root}_truth.fits", exposure)[1]
        inner = stars[(stars["x"] > 4) & (stars["x"] < 115) & (stars["y"] > 4) & (stars["y"] < 95)]
        inner.sort("rate", reverse=True)
        seen = 0
        for star in inner[:60]:
            y, x = round(star["y"]), round(star["x"])
            near = np.s_[y - 2 : y + 3, x - 2 : x + 3]
            if not (truth.cr[near] | chip.unusable[near]).any():
                peak = np.unravel_index(chip.electrons[near].argmax(), (5, 5))
                seen += abs(peak[0] - 2) <= 1 and abs(peak[1] - 2) <= 1
        assert seen > 5
        # Alpha particles are round before pixels are added up.
        tall, wide = [], []
        plane = fits.getdata(folder / "truth" / dark.name.replace("_flc", "_truth"), "CRCHARGE")
        places, count = ndimage.label(plane > 200)
        for rows, columns in ndimage.find_objects(places):
            tall.append(rows.stop - rows.start)
            wide.append(columns.stop - columns.start)
        assert count > 5
        ratio = np.mean(tall) / np.mean(wide)
        assert ratio == pytest.approx(binning[1] / binning[0], rel=0.3)


def test_a_binned_camera_draws_every_binning_and_others_none() -> None:
    found = draw_exposures(get_camera("thinned_binned"), ["F606W"] * 30, 30, np.random.default_rng(1))
    assert {conditions.binning for conditions in found} == {(2, 2), (1, 2), (2, 1)}
    plain = draw_exposures(get_camera("thinned"), ["F606W"] * 30, 30, np.random.default_rng(1))
    assert {conditions.binning for conditions in plain} == {(1, 1)}


def test_a_long_slit_has_lines_along_columns(tmp_path: Path) -> None:
    (path,) = simulate_set(
        tmp_path / "set", filters=["F606W"], exposures=1, darks=0, size=(128, 160), chips=1, fields=["spectrum"],
        conditions="stis", seed=1, exposure_times=(600, 900), progress=False,
    )  # fmt: skip
    (chip,) = read_exposure(path).chips
    lines = chip.electrons - np.median(chip.electrons, axis=1, keepdims=True)
    upper, lower = np.median(lines[20:50], axis=0), np.median(lines[70:100], axis=0)
    assert np.corrcoef(upper, lower)[0, 1] > 0.8
    assert np.corrcoef(np.median(lines[:, 20:50], axis=1), np.median(lines[:, 70:100], axis=1))[0, 1] < 0.8
