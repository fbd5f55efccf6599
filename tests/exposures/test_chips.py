"""Which extensions of a file are read as its chips, and what the copies of such files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import reference

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.products import Provenance, write_clean_copy, write_dq_copy, write_mask
from deepcr_lightning.exposures.units import ReadSettings

SHAPE = (20, 30)
CARDS = fits.Header({"EXPTIME": 300.0, "BUNIT": "ELECTRONS"})
PROVENANCE = Provenance("best.ckpt", "ab" * 32, 0.5, 0)


def images(*names: str) -> list[fits.ImageHDU]:
    """Extensions of these names, the n-th of value n."""
    return [fits.ImageHDU(np.full(SHAPE, n + 1, np.float32), name=name or None) for n, name in enumerate(names)]


def file_of(folder: Path, extensions: list[fits.ImageHDU], primary: fits.PrimaryHDU | None = None) -> Path:
    fits.HDUList([primary or fits.PrimaryHDU(header=CARDS), *extensions]).writeto(folder / "a.fits", overwrite=True)
    return folder / "a.fits"


def values(exposure: Exposure) -> list[float]:
    return [float(chip.electrons[0, 0]) for chip in exposure.chips]


@pytest.mark.parametrize(
    ("names", "read", "unread"),
    [
        (["im1", "im2", "im3", "im4"], [1, 2, 3, 4], ""),
        (["CCD1", "CCD2"], [1, 2], ""),
        (["S29", "N4"], [1, 2], ""),
        (["", "", ""], [1, 2, 3], ""),
        (["CHIP1.INT1", "CHIP2.INT1", "BPM_1"], [1, 2], "BPM_1"),
        (["MASK", "IMAGE"], [2], "MASK"),
        (["WEIGHT", "VAR", "DQ", "im1", "im2"], [4, 5], "WEIGHT, VAR, DQ"),
        (["IMAGE", "MODEL"], [1], "MODEL"),
        (["IMAGE", "IMAGE"], [1, 2], ""),
        (["SCI", "SCI", "WHT"], [1, 2], ""),
    ],
)
def test_chips_of_a_mosaic(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], read: list[int], unread: str
) -> None:
    exposure = read_exposure(file_of(tmp_path, images(*names)))
    assert values(exposure) == read
    assert [chip.extver for chip in exposure.chips] == list(range(1, len(read) + 1))
    told = [line for line in caplog.messages if "with extensions=" in line]
    assert len(told) == bool(unread)
    assert all(f"is read, {unread} is not" in line for line in told)


def test_a_primary_image_is_the_exposure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = file_of(tmp_path, images("im1"), fits.PrimaryHDU(np.full(SHAPE, 9, np.float32), CARDS))
    assert values(read_exposure(path)) == [9]
    assert "PRIMARY is read, IM1 is not" in caplog.messages[0]
    assert values(read_exposure(path, ReadSettings(extensions=("im1",)))) == [1]


def test_extensions_are_chosen_by_name_or_number(tmp_path: Path) -> None:
    path = file_of(tmp_path, images("im1", "im2", "MASK"))
    assert values(read_exposure(path, ReadSettings.of({"extensions": "IM2"}))) == [2]
    assert values(read_exposure(path, ReadSettings.of({"extensions": [3, "im1"]}))) == [3, 1]
    assert values(read_exposure(path, ReadSettings.of({"extensions": 1}))) == [1]
    for name, message in (("im9", "im9 is not there; .*here IM1, IM2, MASK"), (0, "0 is no 2-D image")):
        with pytest.raises(InputError, match=f"a.fits: extension {message}"):
            read_exposure(path, ReadSettings.of({"extensions": name}))


def test_one_plane_of_a_cube(tmp_path: Path) -> None:
    plane = np.arange(600, dtype=np.float32).reshape(SHAPE)
    path = file_of(tmp_path, [], fits.PrimaryHDU(plane[None, None], CARDS))
    exposure = read_exposure(path)
    np.testing.assert_array_equal(exposure.chips[0].electrons, plane)
    mask = plane == 77
    write_clean_copy(tmp_path / "c.fits", exposure, [np.full(SHAPE, 5, np.float32)], [mask], PROVENANCE)
    copied = fits.getdata(tmp_path / "c.fits")
    assert copied.shape == (1, 1, *SHAPE)
    np.testing.assert_array_equal(copied[0, 0], np.where(mask, 5, plane))


def test_every_chip_of_a_mosaic_is_cleaned(tmp_path: Path) -> None:
    exposure = read_exposure(file_of(tmp_path, images("MASK", "im1", "im2")))
    masks = [np.arange(600).reshape(SHAPE) == n for n in (10, 20)]
    write_clean_copy(tmp_path / "c.fits", exposure, [np.zeros(SHAPE, np.float32)] * 2, masks, PROVENANCE)
    write_mask(tmp_path / "m.fits", exposure, masks, PROVENANCE)
    with fits.open(tmp_path / "c.fits") as clean, fits.open(tmp_path / "m.fits") as found:
        assert (clean["MASK"].data == 1).all()
        for n, mask in enumerate(masks, start=1):
            np.testing.assert_array_equal(clean[f"im{n}"].data == 0, mask)
            np.testing.assert_array_equal(found["CRMASK", n].data > 0, mask)


def null(name: str, version: int, value: int) -> fits.ImageHDU:
    """A null array as HST writes them."""
    header = fits.Header({"NPIX1": SHAPE[1], "NPIX2": SHAPE[0], "PIXVALUE": value})
    return fits.ImageHDU(header=header, name=name, ver=version)


def hst(folder: Path, dq: list[fits.ImageHDU]) -> Path:
    header = CARDS.copy()
    header.update({"INSTRUME": "WFC3", "DETECTOR": "UVIS"})
    science = [fits.ImageHDU(np.full(SHAPE, 50 + n, np.float32), name="SCI", ver=n) for n in (1, 2)]
    return file_of(folder, [*science, *dq], fits.PrimaryHDU(header=header))


def test_null_dq_is_of_one_value(tmp_path: Path) -> None:
    whole = fits.ImageHDU(np.full(SHAPE, 64, np.int16), name="DQ", ver=1)
    path = hst(tmp_path, [whole, null("DQ", 2, 1024)])
    exposure = read_exposure(path)
    assert [set(chip.dq.flat) for chip in exposure.chips] == [{64}, {1024}]
    mask = np.arange(600).reshape(SHAPE) % 50 == 0
    write_dq_copy(tmp_path / "d.fits", exposure, [mask, mask], 8192, PROVENANCE)
    with fits.open(tmp_path / "d.fits") as hdus:
        np.testing.assert_array_equal(hdus["DQ", 1].data, np.where(mask, 64 | 8192, 64))
        np.testing.assert_array_equal(hdus["DQ", 2].data, np.where(mask, 1024 | 8192, 1024))
        assert "PIXVALUE" not in hdus["DQ", 2].header
        assert hdus["SCI", 2].data[0, 0] == 52
    assert [set(chip.dq.flat) for chip in read_exposure(tmp_path / "d.fits").chips] == [{64, 8256}, {1024, 9216}]
    with pytest.raises(InputError, match="every pixel is unusable"):
        read_exposure(hst(tmp_path, [null("DQ", 1, 4)]))
    short = null("DQ", 1, 0)
    short.header["NPIX1"] = 7
    with pytest.raises(InputError, match=r"DQ has shape \(20, 7\)"):
        read_exposure(hst(tmp_path, [short]))


def test_chips_without_extver_have_the_dq_in_order(tmp_path: Path) -> None:
    dq = [fits.ImageHDU(np.full(SHAPE, n, np.int16), name="DQ") for n in (64, 1024)]
    assert [chip.dq[0, 0] for chip in read_exposure(hst(tmp_path, dq[:0])).chips] == [0, 0]
    with fits.open(hst(tmp_path, dq)) as hdus:
        for hdu in hdus[1:]:
            hdu.header.remove("EXTVER", ignore_missing=True)
        hdus.writeto(tmp_path / "b.fits", output_verify="ignore")
    assert [chip.dq[0, 0] for chip in read_exposure(tmp_path / "b.fits").chips] == [64, 1024]


def test_chips_have_their_own_time(tmp_path: Path) -> None:
    extensions = images("SCI", "SCI")
    for n, hdu in enumerate(extensions, start=1):
        hdu.ver, hdu.header["EXPTIME"], hdu.header["BUNIT"] = n, 100.0 * n, "ELECTRONS/S"
    exposure = read_exposure(file_of(tmp_path, extensions, fits.PrimaryHDU(header=fits.Header({"TEXPTIME": 300.0}))))
    assert [(chip.exposure_time, chip.cr_time) for chip in exposure.chips] == [(100, 100), (200, 200)]
    assert values(exposure) == [100, 400]
    assert exposure.exposure_time == 150


@pytest.mark.parametrize(
    ("cards", "light"),
    [
        ({"DATASEC": "[5:26,1:20]"}, np.s_[:, 4:26]),
        ({"DATASEC": "[26:5, 3:18]"}, np.s_[2:18, 4:26]),
        ({"TRIMSEC": "[5:26,1:20]", "BIASSEC": "[27:30,1:20]"}, np.s_[:, 4:26]),
        ({"BIASSEC": "[27:30,1:20]"}, np.s_[:, :26]),
    ],
)
def test_overscan_is_left_out_if_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cards: dict[str, str], light: tuple[slice, slice]
) -> None:
    header = CARDS.copy()
    header.update(cards)
    path = file_of(tmp_path, [], fits.PrimaryHDU(np.ones(SHAPE, np.float32), header))
    seen = np.zeros(SHAPE, bool)
    seen[light] = True
    np.testing.assert_array_equal(~read_exposure(path, ReadSettings(trim=True)).chips[0].unusable, seen)
    assert not caplog.messages
    assert not read_exposure(path).chips[0].unusable.any()
    assert "exclude it with trim=true" in caplog.messages[0]


@pytest.mark.parametrize("section", [None, "[1:40,1:20]", "[0:30,1:20]", "all of it"])
def test_sections_that_do_not_fit_are_named(tmp_path: Path, section: str | None) -> None:
    header = CARDS.copy()
    header.update({} if section is None else {"DATASEC": section})
    path = file_of(tmp_path, [], fits.PrimaryHDU(np.ones(SHAPE, np.float32), header))
    with pytest.raises(InputError, match=r"a.fits\[PRIMARY,1\]: (DATASEC .* lies outside|has no DATASEC)"):
        read_exposure(path, ReadSettings(trim=True))
    read_exposure(path)


@pytest.mark.parametrize(
    ("names", "cubes", "told"),
    [
        (["IMAGE"], [0], "IMAGE is read, PRIMARY is not, because it has more"),
        (["im1", "im2"], [1], "IM2 is read, IM1 is not, because"),
        (["SCI", "SCI"], [2], "SCI is read, SCI,2 is not, because"),
    ],
)
def test_cubes_that_are_not_read_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], cubes: list[int], told: str
) -> None:
    hdus = [fits.PrimaryHDU(header=CARDS), *images(*names)]
    for version, hdu in enumerate(hdus[1:], start=1):
        hdu.header["EXTVER"] = version if names[0] == "SCI" else 1
    for number in cubes:
        hdus[number].data = np.ones((3, *SHAPE), np.float32)
    read_exposure(file_of(tmp_path, hdus[1:], hdus[0]))
    assert told in caplog.messages[0]
    whole = fits.PrimaryHDU(np.ones((3, *SHAPE), np.float32), CARDS)
    with pytest.raises(InputError, match="contains no 2-D image, only a cube; give each plane in a file of its own"):
        read_exposure(file_of(tmp_path, [], whole))


@pytest.mark.parametrize("kind", ["another EXTVER", "a table", "a cube", "one for two"])
def test_dq_that_belongs_to_no_chip_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    bits = np.full(SHAPE, 4, np.int16)
    dq: fits.ImageHDU | fits.BinTableHDU = fits.ImageHDU(bits, name="DQ", ver=7)
    if kind == "a table":
        dq = fits.BinTableHDU.from_columns([fits.Column("bits", "J", array=[4])], name="DQ")
    elif kind == "a cube":
        dq = fits.ImageHDU(np.stack([bits, bits]), name="DQ", ver=1)
    path = hst(tmp_path, [dq])
    with fits.open(path, mode="update") as hdus:
        if kind == "one for two":
            hdus["SCI", 2].header["EXTVER"] = 1
        else:
            del hdus["SCI", 2]
    read_exposure(path)
    assert "has no DQ array with its EXTVER" in caplog.messages[0]


def test_dq_of_any_type(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.float32):
        bits = fits.ImageHDU((np.arange(600).reshape(SHAPE) % 2 * 4).astype(dtype), name="DQ", ver=1)
        assert read_exposure(hst(tmp_path, [bits])).chips[0].unusable.sum() == 300
    for value in (np.nan, 0.5):
        bits = fits.ImageHDU(np.full(SHAPE, value, np.float32), name="DQ", ver=1)
        with pytest.raises(InputError, match="DQ contains NaN or fractions, which are not bits"):
            read_exposure(hst(tmp_path, [bits]))
    large = null("DQ", 1, 65536 + 64)
    large.header["NPIX1"] = str(SHAPE[1])
    assert read_exposure(hst(tmp_path, [large])).chips[0].dq[0, 0] == 64


@pytest.mark.parametrize(("name", "times"), [("j8bt05njq_raw.fits", [60.0]), ("o56502010_raw.fits", [900.0, 1685.0])])
def test_real_null_arrays(tmp_path: Path, name: str, times: list[float]) -> None:
    exposure = read_exposure(reference(f"formats/{name}"))
    assert [chip.exposure_time for chip in exposure.chips] == times
    masks = [np.zeros(chip.electrons.shape, bool) for chip in exposure.chips]
    for mask in masks:
        mask[100, 200:210] = True
    write_dq_copy(tmp_path / name, exposure, masks, 8192, PROVENANCE)
    filled = [np.full(mask.shape, 1200, np.float32) for mask in masks]
    write_clean_copy(tmp_path / "clean.fits", exposure, filled, masks, PROVENANCE)
    marked, clean = read_exposure(tmp_path / name), read_exposure(tmp_path / "clean.fits")
    for n, mask in enumerate(masks):
        np.testing.assert_array_equal(marked.chips[n].dq, 8192 * mask)
        np.testing.assert_array_equal(marked.chips[n].electrons, exposure.chips[n].electrons)
        np.testing.assert_array_equal(clean.chips[n].electrons[mask], 1200)
