"""What is known of a camera: read-out, DQ bits, gain, filters."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import write_hst

from deepcr_lightning.exposures.cards import filter_of
from deepcr_lightning.exposures.dq import ACSDQ, STISDQ, WFC3DQ, WFPC2DQ, renamed
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.instruments import (
    INSTRUMENTS,
    cosmic_ray_time,
    instrument_of,
    say_dq_is_not_read,
    unusable_bits,
)

IMAGE = np.arange(48, dtype=np.float32).reshape(6, 8)


def test_cosmic_rays_are_collected_during_flash_and_readout() -> None:
    uvis, other = INSTRUMENTS["WFC3", "UVIS"], instrument_of("LCO", "NONE")
    assert cosmic_ray_time(900, 5, uvis, (2051, 4096)) == 955
    assert cosmic_ray_time(900, 0, uvis, (512, 513)) == pytest.approx(901.56, abs=0.01)
    assert cosmic_ray_time(900, 0, other, (2051, 4096)) == 900
    assert cosmic_ray_time(900, 0, INSTRUMENTS["WFC3", "IR"], (1014, 1014)) == 900, "read up the ramp"
    assert cosmic_ray_time(900, 0, INSTRUMENTS["ACS", "HRC"], (1024, 1024)) == 915
    assert cosmic_ray_time(900, 0, INSTRUMENTS["STIS", "CCD"], (1024, 1024)) == 915
    assert cosmic_ray_time(900, 0, INSTRUMENTS["WFPC2", "NONE"], (800, 800)) == 930


def test_unusable_bits_leave_cosmic_rays_warm_pixels_and_traps() -> None:
    bits = unusable_bits(INSTRUMENTS["WFC3", "UVIS"])
    for flag in (WFC3DQ.WARM, WFC3DQ.CHARGE_TRAP, WFC3DQ.CR_DRIZZLE, WFC3DQ.CR_COMBINED):
        assert not bits & flag
    for flag in (WFC3DQ.BAD_DETECTOR, WFC3DQ.HOT, WFC3DQ.SATURATED, WFC3DQ.AD_SATURATED, WFC3DQ.BAD_FLAT):
        assert bits & flag
    assert unusable_bits(INSTRUMENTS["ACS", "WFC"], ["MANUAL"]) == ACSDQ.MANUAL == 16384
    assert unusable_bits(instrument_of("OTHER", "CCD")) == 0


def test_a_detector_is_read_by_its_own_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same bits mean other things in other detectors, and nothing in one that has no row."""
    image, dq = np.full((10, 10), 30.0), np.zeros((10, 10), np.int16)
    dq[4, 4], dq[5, 5], dq[6, 6], dq[7, 7], dq[8, 8] = 16, 2048, 256, 8, 8192
    lost_and_full: dict[tuple[str, str | None], tuple[list[int], list[int]]] = {
        ("WFC3", "UVIS"): ([4, 5, 6, 7], [5, 6]),
        ("WFC3", "IR"): ([4, 6, 7], [6]),  # 2048 is signal in the zeroth read, which is subtracted
        ("ACS", "HRC"): ([4, 5, 6, 7], [5, 6]),
        ("WFC3", "UVIS-RESAMPLED"): ([4, 5, 6, 7], [5, 6]),
        ("WFPC2", None): ([4, 5, 7], [7]),  # 256 lies above a charge trap, 8 is saturated, 2048 is a masked chip
        ("STIS", "CCD"): ([6, 7], [6]),  # 16 is much dark current, 2048 belongs to extracted spectra
        ("WFPC2", "WF"): ([], []),
        ("ACS", "SBC"): ([], []),
        ("DECAM", None): ([], []),
    }
    caplog.set_level(logging.INFO)
    say_dq_is_not_read.cache_clear()
    for (instrument, detector), (lost, full) in lost_and_full.items():
        for number in range(2):
            path = tmp_path / f"{instrument}{detector}{number}_flt.fits"
            write_hst(path, [image], [dq], INSTRUME=instrument, DETECTOR=detector)
            exposure = read_exposure(path)
            assert np.flatnonzero(exposure.chips[0].unusable.diagonal()).tolist() == lost, (instrument, detector)
            assert exposure.row is instrument_of(instrument, detector or "NONE")
            assert np.flatnonzero(exposure.chips[0].saturated.diagonal()).tolist() == full, (instrument, detector)
    ignored = [record.getMessage().partition(":")[0] for record in caplog.records if "DQ bits" in record.getMessage()]
    assert ignored == ["WFPC2/WF", "ACS/SBC", "DECAM"]


def test_the_gain_of_wfpc2_is_not_the_setting(tmp_path: Path) -> None:
    """ATODGAIN is 7 or 15, which stands for 14 electrons per count."""
    for camera, gains in (({"INSTRUME": "WFPC2"}, (7.0, 14.1)), ({"INSTRUME": "LCO"}, (7.0, 15.0))):
        for setting, gain in zip((7.0, 15.0), gains, strict=True):
            path = write_hst(
                tmp_path / "a_c0m.fits", [IMAGE], bunit="COUNTS", DETECTOR=None, ATODGAIN=setting, **camera
            )
            assert read_exposure(path).chips[0].electrons_per_unit == gain


def test_filters_are_read_from_the_cards_of_the_camera() -> None:
    cards = {"FILTER": "Clear", "APERTURE": "F28X50LP", "FILTER1": "CLEAR1L", "FILTER2": "F814W", "FILTNAM1": "F606W"}
    cameras = {"WFC3 UVIS": "F814W", "ACS WFC": "F814W", "WFPC2": "F606W", "STIS CCD": "F28X50LP", "LCO": "F814W"}
    for camera, wanted in cameras.items():
        name, _, detector = camera.partition(" ")
        primary, image = fits.Header({"INSTRUME": name, "DETECTOR": detector}), fits.Header({"DETECTOR": 3, **cards})
        assert filter_of([primary, image]) == filter_of([image, primary]) == wanted, camera


def test_dq_bits_of_another_detector_go_by_their_names() -> None:
    dq = np.array([[0, WFC3DQ.BAD_DETECTOR, WFC3DQ.AD_SATURATED | WFC3DQ.CHARGE_TRAP, WFC3DQ.BAD_FLAT]], np.int16)
    assert renamed(dq, WFC3DQ, STISDQ).tolist() == [[0, 4, 256, 0]]
    assert renamed(dq, WFC3DQ, WFPC2DQ).tolist() == [[0, 4, 8 + 128, 0]]
    np.testing.assert_array_equal(renamed(dq, WFC3DQ, WFC3DQ), dq)
