"""Simulated exposures: their layout on disk, and their detector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.dq import WFC3DQ, unusable_bits
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.simulation import simulate_set
from deepcr_lightning.simulation.__main__ import main
from deepcr_lightning.simulation.chip import HOT_LIMIT, draw_chip
from deepcr_lightning.simulation.readout import (
    AD_MAXIMUM,
    BIAS_COUNTS,
    GAIN,
    READ_NOISE,
    bleed,
    digitise,
    expose,
)

ROOTS = ("isim01a1q", "isim01a2q", "isim01a3q", "isim01a4q", "isim02a1q", "isim02a2q")


@pytest.fixture(scope="module")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of subarrays, written through the command line."""
    out = tmp_path_factory.mktemp("simulated") / "set"
    command = [sys.executable, "-W", "error", "-m", "deepcr_lightning.simulation", str(out)]
    command += ["--filters", "F336W", "F814W", "--exposures", "3", "--darks", "3"]
    command += ["--size", "96", "128", "--chips", "2", "--seed", "5", "--dark-time", "900"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    assert "6 science exposures" in done.stdout
    assert "3 darks" in done.stdout
    return out


class TestFiles:
    def test_folders(self, small_set: Path) -> None:
        names = {
            folder: sorted(path.name for path in (small_set / folder).iterdir())
            for folder in ("science", "darks", "truth", "stars")
        }
        darks = ["idrk01a1q", "idrk01a2q", "idrk02a1q"]
        assert names["science"] == [f"{root}_flc.fits" for root in ROOTS]
        assert names["darks"] == [f"{root}_flc.fits" for root in darks]
        assert names["truth"] == [f"{root}_truth.fits" for root in (*darks, *ROOTS)]
        assert names["stars"] == [f"{root}_stars.ecsv" for root in ROOTS]

    def test_science_layout(self, small_set: Path) -> None:
        with fits.open(small_set / "science" / f"{ROOTS[0]}_flc.fits") as hdus:
            assert [(hdu.name, hdu.ver) for hdu in hdus[1:]] == [
                (name, version) for version in (1, 2) for name in ("SCI", "ERR", "DQ")
            ]
            assert [hdus["SCI", version].header["CCDCHIP"] for version in (1, 2)] == [2, 1]
            assert hdus["SCI", 1].header["BUNIT"] == "ELECTRONS"
            assert hdus["SCI", 2].data.shape == (96, 128)
            assert hdus["SCI", 1].data.dtype == np.dtype(">f4")
            assert hdus["DQ", 1].data.dtype == np.dtype(">i2")
            header = hdus[0].header
            assert (header["TELESCOP"], header["INSTRUME"]) == ("HST", "WFC3")
            assert (header["DETECTOR"], header["IMAGETYP"]) == ("UVIS", "EXT")
            assert header["ROOTNAME"] == ROOTS[0]
            assert header["SIMULATE"] is True
            assert header["SUBARRAY"] is True
            assert header["FIELDTYP"] == "sparse"
            assert 350 <= header["EXPTIME"] <= 1300
            for key in ("EXPSTART", "FLASHDUR", "CCDAMP", "CCDGAIN", "ATODGNA", "READNSED"):
                assert key in header

    def test_dark_header(self, small_set: Path) -> None:
        header = fits.getheader(small_set / "darks/idrk01a1q_flc.fits")
        assert (header["IMAGETYP"], header["TARGNAME"]) == ("DARK", "DARK")
        assert header["EXPTIME"] == 900
        assert header["FLASHDUR"] > 0

    def test_the_reader_takes_them(self, small_set: Path) -> None:
        exposure = read_exposure(small_set / "science" / f"{ROOTS[2]}_flc.fits")
        assert exposure.filter == "F814W"
        assert len(exposure.chips) == 2
        assert exposure.chips[0].electrons.shape == (96, 128)

    def test_a_visit_is_one_pointing(self, small_set: Path) -> None:
        headers = [fits.getheader(small_set / "science" / f"{root}_flc.fits") for root in ROOTS]
        assert [header["FILTER"] for header in headers[:4]] == ["F336W"] * 2 + ["F814W"] * 2
        assert [header["FIELDTYP"] for header in headers] == ["sparse"] * 4 + ["cluster"] * 2

    def test_truth(self, small_set: Path) -> None:
        root = ROOTS[0]
        with (
            fits.open(small_set / "truth" / f"{root}_truth.fits") as truth,
            fits.open(small_set / "science" / f"{root}_flc.fits") as science,
        ):
            for version in (1, 2):
                charge = truth["CRCHARGE", version].data
                mask = truth["CRTRUTH", version].data
                assert mask.dtype == np.uint8
                assert charge.dtype == np.float32
                assert 0 < mask.mean() < 0.1
                # The background holds 12 e at least, so no label is fainter than this.
                assert charge[mask == 1].min() > 3 * np.sqrt(12 + READ_NOISE**2)
                assert charge[mask == 0].max() < 0.1 * charge.max()
                dq = science["DQ", version].data
                ignore = (dq & unusable_bits("WFC3")) != 0
                np.testing.assert_array_equal(truth["IGNORE", version].data, ignore)
                # What the truth calls a cosmic ray stands out of the image.
                image = science["SCI", version].data
                bright = (charge > 300) & ~ignore
                assert np.median(image[bright] - charge[bright]) < 100

    def test_stars_shine_where_the_table_says(self, small_set: Path) -> None:
        root = ROOTS[5]
        stars = Table.read(small_set / "stars" / f"{root}_stars.ecsv")
        exposure = fits.getheader(small_set / "science" / f"{root}_flc.fits")["EXPTIME"]
        for version in (1, 2):
            image = fits.getdata(small_set / "science" / f"{root}_flc.fits", ("SCI", version))
            chip = stars[(stars["extver"] == version) & (stars["rate"] * exposure > 3000)]
            row, column = np.rint(chip["y"]).astype(int), np.rint(chip["x"]).astype(int)
            assert np.all(image[row, column] > np.median(image) + 150)

    def test_stars_of_a_visit_are_the_same_in_all_filters(self, small_set: Path) -> None:
        blue, red = (Table.read(small_set / "stars" / f"{root}_stars.ecsv") for root in (ROOTS[0], ROOTS[2]))
        # The same dither, so the same stars; cool ones are fainter in the blue.
        np.testing.assert_allclose(blue["x"], red["x"])
        cool = blue["temperature"] < 5000
        assert np.all(blue["magnitude"][cool] > red["magnitude"][cool])

    def test_dithers_of_a_visit_share_its_sky(self, tmp_path: Path) -> None:
        settings = {"filters": ["F606W"], "exposures": 4, "darks": 0, "size": (64, 96), "fields": ["cluster"]}
        paths = simulate_set(tmp_path / "set", **settings, dithers=3, progress=False)
        assert [read_exposure(path).visit for path in paths] == 3 * ["isim01"] + ["isim02"]
        seen = []
        for path in paths[:3]:
            stars = Table.read(tmp_path / "set" / "stars" / path.name.replace("flc.fits", "stars.ecsv"))
            with fits.open(path) as hdus:
                found = {}
                for version in (1, 2):
                    chip = stars[stars["extver"] == version]
                    sky = WCS(hdus["SCI", version].header).pixel_to_world_values(chip["x"], chip["y"])
                    found |= {magnitude: place for magnitude, *place in zip(chip["magnitude"], *sky, strict=True)}
            seen.append(found)
        first, second, third = seen
        shared = first.keys() & second.keys() & third.keys()
        assert len(shared) > 20
        for star in shared:
            np.testing.assert_allclose(second[star], first[star], rtol=0, atol=1e-9)
            np.testing.assert_allclose(third[star], first[star], rtol=0, atol=1e-9)
        with pytest.raises(InputError, match="dithers: at least 1"):
            simulate_set(tmp_path / "none", **settings, dithers=0, progress=False)

    def test_a_second_run_keeps_what_is_there(self, tmp_path: Path) -> None:
        settings = {"filters": ["F606W"], "exposures": 2, "darks": 1, "size": (32, 40), "chips": 1}
        paths = simulate_set(tmp_path / "set", **settings, progress=False)
        before = [path.read_bytes() for path in paths]
        stamps = [path.stat().st_mtime_ns for path in paths[1:]]
        paths[0].unlink()
        assert simulate_set(tmp_path / "set", **settings, progress=False) == paths
        assert [path.stat().st_mtime_ns for path in paths[1:]] == stamps
        assert [path.read_bytes() for path in paths] == before
        with pytest.raises(InputError, match=r"other settings \(seed\)"):
            simulate_set(tmp_path / "set", **settings, seed=1, progress=False)

    def test_the_seed_decides(self, tmp_path: Path) -> None:
        images = []
        for name, seed in (("a", 3), ("b", 3), ("c", 4)):
            path = simulate_set(
                tmp_path / name,
                filters=["F475W"],
                exposures=1,
                darks=0,
                size=(48, 48),
                chips=1,
                seed=seed,
                progress=False,
            )[0]
            images.append(fits.getdata(path, "SCI"))
        np.testing.assert_array_equal(images[0], images[1])
        assert not np.array_equal(images[0], images[2])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--filters", "F999W"], "unknown filter 'F999W': choose from F225W, F275W"),
            (["--fields", "desert"], "unknown field type 'desert'"),
            (["--size", "5000", "10"], "size: from 16 x 16 to 2051 x 4096"),
            (["--exposure-times", "900", "300"], "exposure times"),
        ],
    )
    def test_errors_are_one_line(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        message: str,
    ) -> None:
        assert main([str(tmp_path / "set"), *arguments]) == 1
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
        assert not (tmp_path / "set").exists()

    def test_a_foreign_folder_is_left_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "letter.txt").write_text("mine")
        assert main([str(tmp_path), "--exposures", "1"]) == 1
        assert "not empty" in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.fixture(scope="module")
def pixels(small_set: Path) -> dict[str, NDArray[np.float32]]:
    """Means over the exposures of each kind, chip 2."""
    science = sorted((small_set / "science").glob("isim01*"))
    darks = sorted((small_set / "darks").glob("*"))
    return {
        "dark": np.median([fits.getdata(path, ("SCI", 1)) for path in darks], axis=0),
        "science": np.median([fits.getdata(path, ("SCI", 1)) for path in science], axis=0),
        "dq": fits.getdata(darks[0], ("DQ", 1)),
        "other": fits.getdata(darks[0], ("DQ", 2)),
    }


class TestDetector:
    def test_hot_pixels_belong_to_the_chip(self, pixels: dict[str, NDArray[np.float32]]) -> None:
        bright = pixels["dark"] > 100
        assert bright.sum() > 10
        flagged = (pixels["dq"] & WFC3DQ.HOT.value) != 0
        assert 0.02 < flagged.mean() < 0.04
        # A few hot pixels are too new to be flagged.
        assert 0.7 < flagged[bright].mean() <= 1
        assert not np.array_equal(flagged, (pixels["other"] & WFC3DQ.HOT.value) != 0)

    def test_hot_pixels_are_subtracted_from_science_but_not_without_residue(self) -> None:
        rng = np.random.default_rng(2)
        shape = (200, 200)
        chip = draw_chip(shape, rng)
        light = np.full(shape, 0.02)
        none = np.zeros(shape, dtype=np.float32)
        options = {"seconds": 900.0, "flash": 10.0, "rng": rng}
        raw = expose(light, none, chip, subtract_dark=False, **options)
        calibrated = expose(light, none, chip, subtract_dark=True, **options)
        hot = chip.dark * 3600 > HOT_LIMIT
        excess = raw.science[hot].mean() - 0.02 * 900
        np.testing.assert_allclose(excess, chip.dark[hot].mean() * 900, rtol=0.1)
        assert np.median(calibrated.science[hot]) < 0.8 * np.median(raw.science[hot])
        plain = chip.dq == 0
        assert calibrated.science[hot].std() > 2 * calibrated.science[plain].std()
        np.testing.assert_allclose(np.median(calibrated.science[plain]), 18, atol=0.5)
        np.testing.assert_allclose(np.median(calibrated.error[plain]), 6.3, atol=0.3)
        # Hot pixels scale with time: some that are not flagged outshine the noise.
        unflagged = hot & ((chip.dq & (WFC3DQ.HOT.value | WFC3DQ.WARM.value)) == 0)
        assert 0.01 < unflagged.sum() / hot.sum() < 0.1

    def test_noise_is_that_of_counting_and_reading(self) -> None:
        rng = np.random.default_rng(3)
        shape = (200, 200)
        chip = draw_chip(shape, rng)
        frame = expose(
            np.full(shape, 0.1),
            np.zeros(shape, dtype=np.float32),
            chip,
            seconds=1000,
            flash=0,
            subtract_dark=True,
            rng=rng,
        )
        plain = chip.dq == 0
        np.testing.assert_allclose(frame.science[plain].std(), np.median(frame.noise[plain]), rtol=0.1)

    def test_saturated_stars_bleed_along_columns(self) -> None:
        charge = np.zeros((101, 9), dtype=np.float32)
        charge[50, 4] = 1e6
        full_well = np.full(charge.shape, 70000, dtype=np.float32)
        held, saturated = bleed(charge, full_well)
        np.testing.assert_allclose(held.sum(), 1e6, rtol=1e-6)
        assert held.max() <= 70000
        rows, columns = np.nonzero(saturated)
        assert set(columns) == {4}
        assert (rows.min(), rows.max()) == (44, 56)

    def test_saturation_is_flagged(self) -> None:
        rng = np.random.default_rng(4)
        shape = (64, 64)
        light = np.full(shape, 0.1)
        light[30:33, 20:23] = 500.0
        rays = np.zeros(shape, dtype=np.float32)
        rays[10, 50] = 2e5
        chip = draw_chip(shape, rng)
        frame = expose(light, rays, chip, seconds=900, flash=0, subtract_dark=True, rng=rng)
        saturated = (frame.dq & WFC3DQ.SATURATED.value) != 0
        assert saturated[30:33, 20:23].all()
        assert saturated[10, 50]
        assert 9 < saturated.sum() < 120
        assert frame.science.max() < 73000

    def test_converter_has_a_last_count(self) -> None:
        charge = np.array([[100.0, (AD_MAXIMUM - BIAS_COUNTS + 10) * GAIN]], dtype=np.float32)
        measured, over = digitise(charge, np.random.default_rng(0))
        assert over.tolist() == [[False, True]]
        np.testing.assert_allclose(measured[0, 0], 100, atol=GAIN)
        assert measured[0, 1] < charge[0, 1]

    def test_static_flags(self) -> None:
        chip = draw_chip((512, 512), np.random.default_rng(7))
        shares = {bit: ((chip.dq & bit.value) != 0).mean() for bit in WFC3DQ}
        assert 0.025 < shares[WFC3DQ.HOT] < 0.035
        assert 0.02 < shares[WFC3DQ.WARM] < 0.06
        assert 0.005 < shares[WFC3DQ.CHARGE_TRAP] < 0.02
        assert shares[WFC3DQ.BAD_DETECTOR] < 0.02
