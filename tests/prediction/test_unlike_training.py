"""What predict.py says of exposures that its network was not trained on."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ON_CPU, Result, reference, write_hst
from skies import observe, star_field

from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.models.card import DataCard
from deepcr_lightning.prediction.expected_share import expected_share, most_flagged
from deepcr_lightning.prediction.summary import CLEANED, Row, Summary
from deepcr_lightning.prediction.unlike_training import unlike_training
from deepcr_lightning.sights.sight import look_at

Run = Callable[..., Result]
NAME = "ivis09a0q_flc.fits"


def predict(
    run_script: Run, checkpoint: Path, source: Path, threshold: float = 0.9999
) -> tuple[list[str], dict[str, str]]:
    """Clean one exposure; return the warnings about its mask, and its row of the summary."""
    settings = ("output_dir=out", "overwrite=true", *ON_CPU)
    result = run_script("predict.py", f"ckpt_path={checkpoint}", f"input={source}", f"threshold={threshold}", *settings)
    assert result.status == 0, result.err
    with Path("out/summary.csv").open(newline="") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    told = "width of its stars unknown" not in result.out
    assert told == bool(rows[source.name]["star_width"])
    return [line for line in result.out.splitlines() if "Check the mask of" in line], rows[source.name]


def knowing(trained: Path, folder: Path, **looks: object) -> Path:
    """Copy a checkpoint that says otherwise what the exposures of its training looked like."""
    checkpoint = torch.load(trained / "checkpoints/best.ckpt", weights_only=True)
    checkpoint["deepcr_lightning"]["data"].update(looks)
    torch.save(checkpoint, folder / "knowing.ckpt")
    return folder / "knowing.ckpt"


def test_the_width_of_stars_is_told_and_judged_by_the_training(trained: Path, run_script: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name, fwhm in (("ivis09a0q", 1.8), ("ivis09a1q", 5.0)):
        write_hst(tmp_path / f"{name}_flc.fits", [observe(star_field(fwhm, 40, rng), rng) for _ in range(2)])
    told = knowing(trained, tmp_path, star_widths=[1.5, 3.0])
    warnings, row = predict(run_script, told, tmp_path / NAME)
    assert float(row["star_width"]) == pytest.approx(1.8, rel=0.15)
    assert row["stars_flagged"] == "0"
    assert warnings == []
    broad = tmp_path / "ivis09a1q_flc.fits"
    warnings, row = predict(run_script, told, broad)
    assert float(row["star_width"]) == pytest.approx(5.0, rel=0.15)
    assert len(warnings) == 1
    assert "Check the mask of ivis09a1q_flc.fits: its stars are 5" in warnings[0]
    assert "broader than those of the training, 1.5 to 3 (fine-tune" in warnings[0]
    warnings, _ = predict(run_script, knowing(trained, tmp_path, star_widths=[7.0, 9.0]), broad)
    assert "sharper than those of the training, 7 to 9" in warnings[0]
    assert predict(run_script, trained / "checkpoints/best.ckpt", broad)[0] == [], "older checkpoints do not know"


def test_flagged_stars_are_told(trained: Path, run_script: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    path = write_hst(tmp_path / NAME, [observe(star_field(2.0, 40, rng), rng)])
    warnings, row = predict(run_script, trained / "checkpoints/best.ckpt", path, 1e-9)
    assert float(row["stars_flagged"]) == 1.0
    assert len(warnings) == 1
    assert "stars are flagged (raise threshold=" in warnings[0]
    assert " % of its pixels are flagged where " in warnings[0]


def test_an_exposure_without_stars_has_no_width(trained: Path, run_script: Run, tmp_path: Path) -> None:
    path = write_hst(tmp_path / NAME, [observe(np.zeros((200, 200)), np.random.default_rng(3))])
    warnings, row = predict(run_script, knowing(trained, tmp_path, star_widths=[1.5, 3.0]), path)
    assert (row["star_width"], row["stars_flagged"]) == ("", "")
    assert warnings == []


def test_spectra_are_told_by_their_lines_and_by_their_header(trained: Path, run_script: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    lines = sum(rng.uniform(100, 1000) * np.exp(-((np.arange(200) - n) ** 2) / 3) for n in range(10, 200, 15))
    seen = write_hst(tmp_path / NAME, [observe(np.broadcast_to(lines, (200, 200)), rng)])
    said = write_hst(tmp_path / "ivis09a1q_flc.fits", [observe(np.zeros((200, 200)), rng)], OBSTYPE="SPECTROSCOPIC")
    for path in (seen, said):
        warnings, row = predict(run_script, trained / "checkpoints/best.ckpt", path)
        assert len(warnings) == 1
        assert f"Check the mask of {path.name}: it is a spectrum (a model" in warnings[0]
        assert row["star_width"] == ""
        assert predict(run_script, knowing(trained, tmp_path, spectra=0.1), path)[0] == []


def test_what_is_no_image_of_a_ccd_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cards = {"INSTRUME": "HARPS", "DETECTOR": None}
    assert look_at(read_exposure(write_hst(tmp_path / "a.fits", [np.ones((80, 80))], **cards))).spectrum
    assert not caplog.messages
    read_exposure(write_hst(tmp_path / "b.fits", [np.ones((80, 80))], DETECTOR="IR"))
    assert "WFC3 IR is not a CCD" in caplog.messages[0]


@pytest.mark.parametrize(
    ("telescope", "rate", "share", "told"),
    [
        ("HST", 3e-5, 0.016, ""),  # 500 s
        ("HST", 3e-5, 0.04, "4 % of its pixels are flagged where 1.5 % are expected"),
        ("HST", np.nan, 0.03, ""),
        ("HST", np.nan, 0.04, "4 % of its pixels are flagged where at most 3.5 % can be"),
        ("SOAR", 3e-5, 0.0005, ""),
        ("SOAR", 3e-5, 0.04, "where at most 3.5 % can be"),
        ("SOAR", 1e-6, 0.004, "0.4 % of its pixels are flagged where 0.05 % are expected"),
    ],
)
def test_one_exposure_alone_is_judged_by_what_can_be(
    tmp_path: Path, telescope: str, rate: float, share: float, told: str
) -> None:
    cards = {"TELESCOP": telescope, "INSTRUME": "WFC3" if telescope == "HST" else "GOODMAN"}
    exposure = read_exposure(write_hst(tmp_path / "a.fits", [np.ones((80, 80))], **cards, EXPTIME=500.0))
    expected = expected_share(exposure, rate)
    row = Row("a.fits", CLEANED, cr_time=exposure.cr_time, flagged=share, expected=expected)
    sight = replace(look_at(exposure), at_floor=False)
    words = " ".join(unlike_training(sight, row, DataCard()))
    assert told in words
    assert bool(words) == bool(told)
    if telescope == "SOAR" and rate > 1e-5:
        assert row.oddity == 1, "a camera on the ground has fewer CRs than HST"
    assert most_flagged(np.nan, np.nan) == 0.1


def test_trailed_stars_are_told(trained: Path, run_script: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    path = write_hst(tmp_path / NAME, [observe(star_field(2.0, 40, rng, trail=8.0), rng)])
    warnings, row = predict(run_script, trained / "checkpoints/best.ckpt", path)
    assert len(warnings) == 1
    trails = knowing(trained, tmp_path, trailed=0.1)
    assert predict(run_script, trails, path)[0] == []
    assert "its stars are trailed (raise threshold= if they are flagged, or fine-tune with init=)" in warnings[0]
    assert row["star_width"] == ""


def test_coarse_integers_are_told(trained: Path, run_script: Run, tmp_path: Path) -> None:
    image = np.random.default_rng(6).poisson(0.05, (200, 200)).astype(np.float32)
    path = write_hst(tmp_path / NAME, [image])
    warnings, _ = predict(run_script, trained / "checkpoints/best.ckpt", path)
    assert len(warnings) == 1
    assert "its noise is too small to measure" in warnings[0]
    assert "units= and gain=" in warnings[0]


def test_a_table_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    (tmp_path / "summary.csv").write_text(
        "file,status,filter,exposure_time,cr_time,flagged,expected,threshold,grow,seconds,model\n"
        "a.fits,cleaned,F336W,500,550,0.01,0.02,0.5,0,1.5,abc\n"
        "b.fits,clea"
    )
    Summary(tmp_path).add(Row("c.fits", CLEANED, star_width=1.9, stars_flagged=0.25))
    earlier, later = Summary(tmp_path).tidy()
    assert (earlier.file, earlier.expected, earlier.threshold, earlier.model) == ("a.fits", 0.02, 0.5, "abc")
    assert earlier.star_width != earlier.star_width
    assert (later.file, later.star_width, later.stars_flagged) == ("c.fits", 1.9, 0.25)


@pytest.mark.parametrize(
    ("place", "width"),
    [
        ("wfpc2_f336w/ubai2505m_flt.fits", 1.6),
        ("tr_wfpc2_f336w/tr_wfpc2_f336w_uvis_3pc_flt.fits", 1.6),
        ("sbig_agsq/dark1200_0_flt.fits", None),
        ("hsc_crs/hsc_crs_flt.fits", None),
        ("tr_m13_blue/tr_m13_blue_m13_1_lsst_3pc_flt.fits", None),
        ("hst_pluto/pluto1_flt.fits", "trailed"),
        ("kast_ucsc/r1073_0_flt.fits", "spectrum"),
        ("kast_ucsc/r1073_1_flt.fits", "spectrum"),
    ],
)
def test_real_images_are_seen_for_what_they_are(place: str, width: float | str | None) -> None:
    exposure = read_exposure(reference(f"real/{place}"))
    sight = look_at(exposure, [np.zeros(chip.electrons.shape, bool) for chip in exposure.chips])
    assert sight.trailed == (width == "trailed")
    assert sight.spectrum == (width == "spectrum")
    if isinstance(width, float):
        assert sight.stars.width == pytest.approx(width, rel=0.1)
        assert sight.stars.count > 100
    else:
        assert np.isnan(sight.stars.width)
