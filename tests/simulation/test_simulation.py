"""Simulated exposures: their layout on disk, and what all of a chip share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from conftest import REPOSITORY

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.dq import WFC3DQ
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.instruments import INSTRUMENTS, unusable_bits
from deepcr_lightning.simulation import simulate_set
from deepcr_lightning.simulation.__main__ import main
from deepcr_lightning.simulation.conditions import Conditions
from deepcr_lightning.simulation.readout import READ_NOISE

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
        cwd=REPOSITORY,
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
                ignore = (dq & unusable_bits(INSTRUMENTS["WFC3", "UVIS"])) != 0
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

    @pytest.mark.parametrize("binning", [(1, 1), (2, 2), (1, 2), (2, 1)])
    def test_dithers_of_a_visit_share_its_sky(self, tmp_path: Path, binning: tuple[int, int]) -> None:
        settings = {"filters": ["F606W"], "exposures": 4, "darks": 0, "size": (64, 96), "fields": ["cluster"]}
        settings |= {"conditions": Conditions(binning=binning)}
        paths = simulate_set(tmp_path / "set", **settings, dithers=3, progress=False)
        assert [read_exposure(path).visit for path in paths] == 3 * ["isim01"] + ["isim02"]
        seen = []
        for path in paths[:3]:
            stars = Table.read(tmp_path / "set" / "stars" / path.name.replace("flc.fits", "stars.ecsv"))
            with fits.open(path) as hdus:
                found = {}
                for version in (1, 2):
                    chip = stars[stars["extver"] == version]
                    wcs = WCS(hdus["SCI", version].header)
                    sky = wcs.pixel_to_world_values(chip["x"], chip["y"])
                    scales = [scale.to_value("deg") for scale in wcs.proj_plane_pixel_scales()]
                    np.testing.assert_allclose(scales, 1.1e-5 * np.array(binning[::-1]))
                    found |= {magnitude: place for magnitude, *place in zip(chip["magnitude"], *sky, strict=True)}
            seen.append(found)
        first, second, third = seen
        shared = first.keys() & second.keys() & third.keys()
        assert len(shared) > 20
        for star in shared:
            np.testing.assert_allclose(second[star], first[star], rtol=0, atol=1e-9)
            np.testing.assert_allclose(third[star], first[star], rtol=0, atol=1e-9)
        with pytest.raises(InputError, match="dithers: must be at least 1"):
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
            (["--size", "5000", "10"], "size: must be from 16 x 16 to 2051 x 4096"),
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


def test_hot_pixels_belong_to_the_chip(small_set: Path) -> None:
    darks = sorted((small_set / "darks").glob("*"))
    bright = np.median([fits.getdata(path, ("SCI", 1)) for path in darks], axis=0) > 100
    assert bright.sum() > 10
    flagged, other = ((fits.getdata(darks[0], ("DQ", chip)) & WFC3DQ.HOT.value) != 0 for chip in (1, 2))
    assert 0.02 < flagged.mean() < 0.04
    # A few hot pixels are too new to be flagged.
    assert 0.7 < flagged[bright].mean() <= 1
    assert not np.array_equal(flagged, other)
