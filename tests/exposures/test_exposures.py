from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import write_hst
from hypothesis import given
from hypothesis import strategies as st

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure, root_of
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.units import ReadSettings, canonical_unit

IMAGE = np.arange(48, dtype=np.float32).reshape(6, 8)


def test_two_chips_with_dq_in_electrons(tmp_path: Path) -> None:
    dq = np.zeros(IMAGE.shape, int)
    dq[0, 0], dq[1, 1], dq[2, 2] = 16, 64, 8192
    path = write_hst(tmp_path / "icau01abq_flc.fits", [IMAGE, IMAGE + 100], [dq, dq * 0])
    exposure = read_exposure(path)
    assert [chip.extver for chip in exposure.chips] == [1, 2]
    assert exposure.chips[0].electrons.dtype == np.float32
    np.testing.assert_array_equal(exposure.chips[1].electrons, IMAGE + 100)
    assert exposure.chips[0].unusable.sum() == 1, "hot is unusable; warm and CR pixels are not"
    assert exposure.chips[0].unusable[0, 0]
    assert (exposure.root, exposure.visit, exposure.filter) == ("icau01abq", "icau01", "F336W")
    assert (exposure.image_type, exposure.exposure_time) == ("science", 500.0)


@pytest.mark.parametrize(
    ("bunit", "factor"),
    [
        ("ELECTRONS", 1.0),
        ("ELECTRONS/S", 500.0),
        ("e-/s", 500.0),
        ("COUNTS", 1.55),
        ("DN/sec", 775.0),
        ("counts/s", 775.0),
    ],
)
def test_units_become_electrons(tmp_path: Path, bunit: str, factor: float) -> None:
    gains = dict.fromkeys(("ATODGNA", "ATODGNB", "ATODGNC", "ATODGND"), 1.55)
    path = write_hst(tmp_path / "a_flt.fits", [IMAGE], bunit=bunit, **gains)
    np.testing.assert_allclose(read_exposure(path).chips[0].electrons, IMAGE * factor, rtol=1e-6)


@pytest.mark.parametrize("bunit", [None, "JANSKY"])
def test_unknown_units_name_the_override(tmp_path: Path, bunit: str | None) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [IMAGE], bunit=bunit)
    with pytest.raises(InputError, match=r"SCI,1.*BUNIT.*units=ELECTRONS"):
        read_exposure(path)
    assert read_exposure(path, ReadSettings(units="electrons")).chips[0].electrons[0, 1] == 1


def test_what_the_user_says_wins_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [IMAGE], EXPTIME=900.0, CCDGAIN=1.5)
    exposure = read_exposure(path, ReadSettings(units="counts/s", gain=2.0, exposure_time=3.0))
    assert exposure.exposure_time == 3
    assert exposure.chips[0].electrons[0, 1] == 6
    for told in ("BUNIT is 'ELECTRONS'", "says CCDGAIN is 1.5", "says 900 seconds"):
        assert len([line for line in caplog.messages if told in line]) == 1
    read_exposure(path, ReadSettings(units="counts/s", gain=2.0, exposure_time=3.0))
    assert len(caplog.messages) == 3, "each is said once"
    caplog.clear()
    read_exposure(path, ReadSettings(units="electrons", gain=2.0, exposure_time=900.0))
    assert not caplog.messages, "nothing to tell where both agree"


def test_counts_without_gain_name_the_override(tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [IMAGE], bunit="COUNTS")
    with pytest.raises(InputError, match="gain=VALUE"):
        read_exposure(path)
    assert read_exposure(path, ReadSettings(gain=2.0)).chips[0].electrons[0, 1] == 2


@pytest.mark.parametrize("settings", [{"units": "parsec"}, {"gain": -1.0}, {"exposure_time": 0.0}])
def test_overrides_are_checked(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        ReadSettings(**settings)


@pytest.mark.parametrize("seconds", [0.0, None])
def test_exposure_time_is_needed(tmp_path: Path, seconds: float | None) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [IMAGE], EXPTIME=seconds)
    with pytest.raises(InputError, match=r"a_flt.fits.*EXPTIME.*exposure_time="):
        read_exposure(path)
    assert read_exposure(path, ReadSettings(exposure_time=3.0)).exposure_time == 3


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("ending", [".fits", ".fits.gz", ".fit"])
def test_plain_images(tmp_path: Path, place: int, ending: str) -> None:
    hdus = fits.HDUList([fits.PrimaryHDU(IMAGE) if place == 0 else fits.PrimaryHDU()])
    if place == 1:
        hdus.append(fits.ImageHDU(IMAGE))
    hdus[0].header["EXPTIME"], hdus[place].header["BUNIT"] = 60.0, "adu"
    hdus[0].header["GAIN"] = 2.0
    path = tmp_path / f"frame{ending}"
    hdus.writeto(path)
    exposure = read_exposure(path)
    np.testing.assert_array_equal(exposure.chips[0].electrons, 2 * IMAGE)
    assert not exposure.chips[0].dq.any()
    assert (exposure.root, exposure.visit, exposure.filter) == ("frame", "frame", "NONE")


def test_tile_compressed(tmp_path: Path) -> None:
    plain = write_hst(tmp_path / "a_flt.fits", [IMAGE], [np.full(IMAGE.shape, 4)])
    with fits.open(plain) as hdus:
        packed = [fits.CompImageHDU(h.data, h.header, quantize_level=0) for h in hdus[1:]]
        fits.HDUList([hdus[0], *packed]).writeto(tmp_path / "b_flt.fits.fz")
    with pytest.raises(InputError, match="every pixel is unusable"):
        read_exposure(tmp_path / "b_flt.fits.fz")
    with fits.open(tmp_path / "b_flt.fits.fz", mode="update") as hdus:
        hdus["DQ"].data[0] = 0
    exposure = read_exposure(tmp_path / "b_flt.fits.fz")
    np.testing.assert_array_equal(exposure.chips[0].electrons, IMAGE)
    assert exposure.chips[0].unusable.sum() == IMAGE.size - 8


def test_a_tile_compressed_image_at_the_end_whose_place_astropy_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As astropy 7.0 does not."""
    path = write_hst(tmp_path / "a_flt.fits", [IMAGE])
    with fits.open(path) as hdus:
        fits.HDUList([hdus[0], fits.CompImageHDU(hdus[1].data, hdus[1].header, quantize_level=0)]).writeto(
            path, overwrite=True
        )
    monkeypatch.setattr(fits.CompImageHDU, "fileinfo", lambda hdu: None)
    np.testing.assert_array_equal(read_exposure(path).chips[0].electrons, IMAGE)
    path.write_bytes(path.read_bytes()[:-2880])
    with pytest.raises(InputError, match="may be truncated"):
        read_exposure(path)


def test_raw_counts_with_null_dq(tmp_path: Path) -> None:
    hdus = fits.HDUList([fits.PrimaryHDU()])
    hdus[0].header.update({"INSTRUME": "ACS", "EXPTIME": 60.0, "CCDGAIN": 2, "ATODGNA": 0.0})
    hdus[0].header.update({"FILTER1": "CLEAR1S", "FILTER2": "F435W"})
    hdus.append(fits.ImageHDU((IMAGE + 40000).astype(np.uint16), name="SCI"))
    hdus["SCI"].header["BUNIT"] = "COUNTS"
    hdus.append(fits.ImageHDU(name="ERR"))
    hdus.append(fits.ImageHDU(name="DQ"))
    hdus.writeto(tmp_path / "j8bt05njq_raw.fits")
    exposure = read_exposure(tmp_path / "j8bt05njq_raw.fits")
    np.testing.assert_array_equal(exposure.chips[0].electrons, 2 * (IMAGE + 40000))
    assert exposure.filter == "F435W"


def test_nan_and_inf_are_masked_and_filled(tmp_path: Path) -> None:
    image = IMAGE.copy()
    image[0, 0], image[1, 1] = np.nan, np.inf
    chip = read_exposure(write_hst(tmp_path / "a_flt.fits", [image])).chips[0]
    assert np.isfinite(chip.electrons).all()
    assert chip.unusable.sum() == 2
    assert chip.electrons[0, 0] == np.float32(72 / 7), "the mean of those around it"


def test_truncated_anywhere(tmp_path: Path) -> None:
    whole = write_hst(tmp_path / "a_flt.fits", [np.ones((100, 100))] * 2).read_bytes()
    path = tmp_path / "cut_flt.fits"
    for share in np.linspace(0, 0.97, 24):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match=r"cut_flt.fits.*truncated"):
            read_exposure(path)
    path = tmp_path / "cut_flt.fits.gz"
    path.write_bytes(gzip.compress(whole)[:-200])
    with pytest.raises(InputError, match="truncated"):
        read_exposure(path)


def test_not_fits_and_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_text("this is no image")
    with pytest.raises(InputError, match="cannot be read as FITS"):
        read_exposure(tmp_path / "a.fits")
    with pytest.raises(InputError, match="no such file"):
        read_exposure(tmp_path / "b.fits")
    fits.PrimaryHDU().writeto(tmp_path / "c.fits")
    with pytest.raises(InputError, match="no 2-D image"):
        read_exposure(tmp_path / "c.fits")


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("idsj02axq_flc.fits", "idsj02axq"),
        ("idsj02axq_flt.fits.gz", "idsj02axq"),
        ("a_b_raw.fits.fz", "a_b"),
        ("frame.FIT", "frame"),
        ("plain.v2.fts", "plain.v2"),
    ],
)
def test_root(name: str, root: str) -> None:
    assert root_of(Path("/somewhere") / name) == root


def test_gzip_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    packed = gzip.compress(write_hst(tmp_path / "a_flt.fits", [IMAGE]).read_bytes())
    for name in ("B_FLT.FITS.GZ", "c_flt.fits"):
        (tmp_path / name).write_bytes(packed)
        np.testing.assert_array_equal(read_exposure(tmp_path / name).chips[0].electrons, IMAGE)


def test_damaged_headers_are_named(tmp_path: Path) -> None:
    whole = write_hst(tmp_path / "a_flt.fits", [IMAGE]).read_bytes()
    assert b"EXPTIME =                500.0" in whole
    (tmp_path / "bad_flt.fits").write_bytes(
        whole.replace(b"EXPTIME =                500.0", b"EXPTIME =              5 0 0.x")
    )
    with pytest.raises(InputError, match=r"bad_flt.fits\[SCI,1\]: EXPTIME is not a valid card; give exposure_time="):
        read_exposure(tmp_path / "bad_flt.fits")


def test_chips_are_told_by_ccdchip(tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [IMAGE])
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].header["CCDCHIP"], hdus["SCI"].header["LTV2"] = 1, -1500.0
    chip = read_exposure(path).chips[0]
    assert (chip.extver, chip.number, chip.corner) == (1, 1, (0.0, -1500.0))


def test_dark_by_type_or_target(tmp_path: Path) -> None:
    for cards in ({"IMAGETYP": "DARK"}, {"TARGNAME": "DARK-NM"}):
        assert read_exposure(write_hst(tmp_path / "a_flt.fits", [IMAGE], **cards)).image_type == "dark"


@given(st.text(max_size=12))
def test_units_are_known_or_not(text: str) -> None:
    unit = canonical_unit(text)
    assert unit is None or canonical_unit(unit) == unit


def test_paths(tmp_path: Path) -> None:
    for name in ("x/b_flc.fits", "a_flc.fits", "a_crmask.fits", ".partial-1.fits", "notes.txt", "c.fits.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    everything = find_exposures("input", tmp_path)
    assert [str(place) for place in everything.values()] == ["a_flc.fits", "c.fits.gz", "x/b_flc.fits"]
    assert list(find_exposures("input", f"{tmp_path}/*_flc.fits")) == [tmp_path / "a_flc.fits"]
    both = find_exposures("input", [str(tmp_path / "a_flc.fits"), f"{tmp_path}/x"])
    assert [place.name for place in both.values()] == ["a_flc.fits", "b_flc.fits"]
    assert len(find_exposures("input", [str(tmp_path), f"{tmp_path}/x/../x"])) == 3, "no file counts twice"
    for nothing, message in (
        (None, "is not given"),
        ("nowhere", "no such file"),
        (f"{tmp_path}/*.txt", "no FITS files"),
    ):
        with pytest.raises(InputError, match=f"input=.*{message}|input= {message}"):
            find_exposures("input", nothing)
