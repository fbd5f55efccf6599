"""download.py darks=near against a stand-in for MAST: which darks it takes, and what it says where there are none."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from archive_server import StandIn, with_sums
from conftest import last_line, write_hst
from test_archive import Run, download, names


def dark(
    archive: StandIn,
    name: str,
    days: float,
    shape: tuple[int, int] | None = None,
    target: str = "DARK",
    seconds: float = 900.0,
) -> None:
    content = archive.content["ivis01a0q_flc.fits"]
    if shape is not None:
        with tempfile.TemporaryDirectory() as folder:
            content = with_sums(write_hst(Path(folder) / name, [np.ones(shape)], IMAGETYP="DARK"))
    when = {"t_min": 59770.0 + days, "t_exptime": seconds, "intentType": "calibration", "target_name": target}
    archive.add(name, content, instrument_name="WFC3/UVIS", proposal_id="16568", filters="MIRVIS", **when)


@pytest.fixture
def without_darks(archive: StandIn) -> StandIn:
    archive.observations = [row for row in archive.observations if row["intentType"] == "science"]
    return archive


def test_no_darks_near(without_darks: StandIn, run_script: Run) -> None:
    result = download(run_script, "proposal=16801", "darks=near")
    assert "no darks of WFC3/UVIS within 30 days of the exposures, nor within ten years" in last_line(result.err)
    dark(without_darks, "idrk09d1q_flc.fits", -45.5)
    result = download(run_script, "proposal=16801", "darks=near")
    assert result.status == 1
    assert "the nearest is idrk09d1q of 2022-05-25 (proposal 16568), 46 days away: set dark_days=46" in last_line(
        result.err
    )
    assert download(run_script, "proposal=16801", "darks=near", "dark_days=46").status == 0
    result = download(run_script, "proposal=16801", "darks=12345", "dark_days=46")
    assert "no darks of WFC3/UVIS of proposal 12345" in last_line(result.err)


def test_darks_are_full_frames_in_the_dark(without_darks: StandIn, run_script: Run, tmp_path: Path) -> None:
    dark(without_darks, "idrk09d1q_flc.fits", 1.0, shape=(96, 96))
    dark(without_darks, "idrk09d2q_flc.fits", 0.1)  # a subarray
    dark(without_darks, "idrk09d3q_flc.fits", 0.2, shape=(96, 96), target="DARK-EARTH-CALIB")
    dark(without_darks, "idrk09d4q_flc.fits", 0.3, shape=(96, 96), seconds=60.0)
    result = download(run_script, "proposal=16801", "darks=16568")
    assert result.status == 0, result.err
    assert names(tmp_path / "out" / "darks") == ["idrk09d1q_flc.fits"]
    for row in without_darks.products:
        row["size"] = None
    result = run_script("download.py", "proposal=16801", "darks=near", "output_dir=unknown")
    assert result.status == 1
    assert "8 files, 0.0 MB, and 8 of unknown size: there is no terminal" in last_line(result.err)


def test_raw_darks_are_refused_with_a_cure(without_darks: StandIn, run_script: Run) -> None:
    dark(without_darks, "idrk09d1q_raw.fits", 1.0)
    result = download(run_script, "proposal=16801", "darks=near")
    assert result.status == 1
    assert "as _raw only" in last_line(result.err)
    assert "run calwf3 idrk09d1q_raw.fits" in last_line(result.err)


def test_exposures_take_the_calibration_of_the_darks(without_darks: StandIn, run_script: Run, tmp_path: Path) -> None:
    dark(without_darks, "idrk09d1q_flt.fits", 1.0)
    without_darks.add("ivis01a0q_flt.fits", without_darks.content["ivis01a0q_flc.fits"])
    result = download(run_script, "proposal=16801", "darks=near")
    assert result.status == 0, result.err
    assert names(tmp_path / "out" / "science") == ["ivis01a0q_flt.fits"]
    assert "The darks are available as _flt only" in result.out
