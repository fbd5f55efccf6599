from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import small_disk, write_hst

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.products import Provenance, write_clean_copy, write_dq_copy, write_mask

PROVENANCE = Provenance("best.ckpt", "ab" * 32, 0.5, 1)
SHAPE = (40, 50)


@pytest.fixture
def exposure(tmp_path: Path) -> Exposure:
    rng = np.random.default_rng(1)
    images = [rng.normal(30, 5, SHAPE) for _ in range(2)]
    dq = [rng.choice([0, 0, 0, 4, 64], SHAPE) for _ in range(2)]
    path = write_hst(tmp_path / "in" / "icau01abq_flc.fits", images, dq, CRTHRESH=0.0)
    with fits.open(path, mode="update") as hdus:
        hdus.append(fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(5))], name="WCSCORR"))
        hdus["SCI", 1].add_checksum()
        hdus["DQ", 1].add_datasum()
        hdus["DQ", 2].add_checksum()
        hdus[0].header["COMMENT"] = "kept as it is"
    return read_exposure(path)


@pytest.fixture
def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.random(SHAPE) < 0.05 for _ in range(2)]


def parts(path: Path) -> dict[tuple[str, int], tuple[list[bytes], bytes]]:
    """Cards and data of each HDU, as bytes of the file."""
    raw = path.read_bytes()
    found = {}
    with fits.open(path, disable_image_compression=True) as hdus:
        for hdu in hdus:
            place = hdu.fileinfo()
            header = raw[place["hdrLoc"] : place["datLoc"]]
            cards = [header[n : n + 80] for n in range(0, len(header), 80)]
            data = raw[place["datLoc"] : place["datLoc"] + place["datSpan"]]
            found[hdu.name, hdu.ver] = ([card for card in cards if card.strip()], data)
    return found


@pytest.mark.parametrize("compress", [False, True])
def test_mask_file(tmp_path: Path, exposure: Exposure, masks: list[np.ndarray], compress: bool) -> None:
    path = tmp_path / "out" / "icau01abq_crmask.fits"
    probabilities = [mask.astype(np.float32) * 0.75 for mask in masks]
    write_mask(path, exposure, masks, PROVENANCE, probabilities, compress)
    with fits.open(path) as hdus:
        for version in (1, 2):
            assert hdus["CRMASK", version].data.dtype == np.uint8
            np.testing.assert_array_equal(hdus["CRMASK", version].data, masks[version - 1])
            assert isinstance(hdus["CRPROB", version], fits.CompImageHDU) == compress
            np.testing.assert_array_equal(hdus["CRPROB", version].data, probabilities[version - 1])
        header = hdus[0].header
        assert (header["DCRMODEL"], header["DCRSHA"], header["DCRTHR"]) == ("best.ckpt", "ab" * 32, 0.5)
        assert header["DCRFRAC"] == pytest.approx(np.mean(masks), abs=1e-6)
        assert "Threshold 0.5" in str(header["HISTORY"])
        assert header["FILTER"] == "F336W"


def test_dq_copy_keeps_every_other_byte(tmp_path: Path, exposure: Exposure, masks: list[np.ndarray]) -> None:
    before = exposure.path.read_bytes()
    path = tmp_path / "out" / exposure.path.name
    write_dq_copy(path, exposure, masks, 8192, PROVENANCE)
    assert exposure.path.read_bytes() == before, "the input is never modified"
    old, new = parts(exposure.path), parts(path)
    assert list(old) == list(new)
    for name in old:
        if name[0] == "DQ":
            flagged = np.frombuffer(new[name][1][: 2 * masks[0].size], ">i2").reshape(SHAPE)
            was = np.frombuffer(old[name][1][: 2 * masks[0].size], ">i2").reshape(SHAPE)
            np.testing.assert_array_equal(flagged, was | 8192 * masks[name[1] - 1])
        else:
            assert new[name][1] == old[name][1]
        if name == ("PRIMARY", 1):
            assert [card for card in new[name][0] if card in old[name][0]] == old[name][0], "cards are only added"
        elif name[0] != "DQ":
            assert new[name][0] == old[name][0]
    with fits.open(path, checksum=True) as hdus:
        assert hdus["DQ", 1].verify_datasum() == 1
        assert hdus["DQ", 2].verify_checksum() == hdus["DQ", 2].verify_datasum() == 1
        assert hdus[0].header["DCRDQBIT"] == 8192


def test_highest_dq_bit_fits_into_signed_integers(tmp_path: Path, exposure: Exposure, masks: list[np.ndarray]) -> None:
    write_dq_copy(tmp_path / "a_flc.fits", exposure, masks, 32768, PROVENANCE)
    assert ((read_exposure(tmp_path / "a_flc.fits").chips[0].dq & 32768) > 0).sum() == masks[0].sum()


@pytest.mark.parametrize(("dtype", "bit"), [(np.uint16, 32768), (np.uint16, 8192), (np.int32, 32768)])
def test_dq_of_other_integers(tmp_path: Path, masks: list[np.ndarray], dtype: type, bit: int) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [np.ones(SHAPE)])
    with fits.open(path) as hdus:
        dq = fits.ImageHDU(np.full(SHAPE, 64, dtype), name="DQ")
        fits.HDUList([hdus[0], hdus[1], hdus[2], dq]).writeto(tmp_path / "b_flt.fits")
    exposure = read_exposure(tmp_path / "b_flt.fits")
    write_dq_copy(tmp_path / "c_flt.fits", exposure, masks[:1], bit, PROVENANCE)
    with fits.open(tmp_path / "c_flt.fits") as hdus:
        np.testing.assert_array_equal(hdus["DQ"].data, np.where(masks[0], 64 | bit, 64))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_dq_that_cannot_hold_the_bit(tmp_path: Path, masks: list[np.ndarray], dtype: type) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [np.ones(SHAPE)])
    with fits.open(path) as hdus:
        dq = fits.ImageHDU(np.zeros(SHAPE, dtype), name="DQ")
        fits.HDUList([hdus[0], hdus[1], hdus[2], dq]).writeto(tmp_path / "b_flt.fits")
    with pytest.raises(InputError, match="below 16 bits"):
        write_dq_copy(tmp_path / "c.fits", read_exposure(tmp_path / "b_flt.fits"), masks[:1], 8192, PROVENANCE)
    assert not (tmp_path / "c.fits").exists()


def packed(tmp_path: Path, exposure: Exposure, **settings: object) -> Exposure:
    """Tile-compress the images of an exposure."""
    with fits.open(exposure.path) as hdus:
        images = [
            fits.CompImageHDU(h.data, h.header, h.name, **settings) for h in hdus if h.is_image and h.data is not None
        ]
        fits.HDUList([hdus[0], *images]).writeto(tmp_path / "p_flc.fits.fz")
    return read_exposure(tmp_path / "p_flc.fits.fz")


@pytest.mark.parametrize("lossless", [True, False])
def test_compressed_input_keeps_its_pixels(
    tmp_path: Path, exposure: Exposure, masks: list[np.ndarray], lossless: bool
) -> None:
    settings = {"quantize_level": 0, "compression_type": "GZIP_2"} if lossless else {}
    source = packed(tmp_path, exposure, **settings)
    filled = [np.full(SHAPE, 7, np.float32)] * 2
    write_clean_copy(tmp_path / "clean.fits.fz", source, filled, masks, PROVENANCE)
    write_dq_copy(tmp_path / "dq.fits.fz", source, masks, 8192, PROVENANCE)
    for chip, clean, flagged, mask in zip(
        source.chips,
        read_exposure(tmp_path / "clean.fits.fz").chips,
        read_exposure(tmp_path / "dq.fits.fz").chips,
        masks,
        strict=True,
    ):
        np.testing.assert_array_equal(clean.electrons, np.where(mask, 7, chip.electrons))
        np.testing.assert_array_equal(flagged.electrons, chip.electrons)
        np.testing.assert_array_equal(flagged.dq, chip.dq | 8192 * mask)


def test_gzip_input_gives_a_gzip_copy(tmp_path: Path, exposure: Exposure, masks: list[np.ndarray]) -> None:
    path = tmp_path / "g_flc.fits.gz"
    path.write_bytes(gzip.compress(exposure.path.read_bytes()))
    write_dq_copy(tmp_path / "out" / path.name, read_exposure(path), masks, 8192, PROVENANCE)
    assert (tmp_path / "out" / path.name).read_bytes()[:2] == b"\x1f\x8b"
    assert ((read_exposure(tmp_path / "out" / path.name).chips[0].dq & 8192) > 0).sum() == masks[0].sum()


def test_dq_copy_needs_dq(tmp_path: Path, masks: list[np.ndarray]) -> None:
    path = tmp_path / "plain.fits"
    fits.PrimaryHDU(np.ones(SHAPE, np.float32), fits.Header({"EXPTIME": 1.0, "BUNIT": "ELECTRONS"})).writeto(path)
    with pytest.raises(InputError, match="no DQ array"):
        write_dq_copy(tmp_path / "out.fits", read_exposure(path), masks[:1], 8192, PROVENANCE)
    assert not (tmp_path / "out.fits").exists()


def test_clean_copy_changes_masked_pixels_only(tmp_path: Path, exposure: Exposure, masks: list[np.ndarray]) -> None:
    filled = [np.full(SHAPE, 7, np.float32)] * 2
    write_clean_copy(tmp_path / "c.fits", exposure, filled, masks, PROVENANCE)
    with fits.open(tmp_path / "c.fits") as new, fits.open(exposure.path) as old:
        for version in (1, 2):
            mask = masks[version - 1]
            assert (new["SCI", version].data[mask] == 7).all()
            np.testing.assert_array_equal(new["SCI", version].data[~mask], old["SCI", version].data[~mask])
            np.testing.assert_array_equal(new["DQ", version].data, old["DQ", version].data)


def test_clean_copy_in_the_units_of_the_input(tmp_path: Path, masks: list[np.ndarray]) -> None:
    hdu = fits.ImageHDU(np.full(SHAPE, 40000, np.uint16), name="SCI")
    hdu.header["BUNIT"] = "COUNTS"
    primary = fits.PrimaryHDU(header=fits.Header({"EXPTIME": 10.0, "CCDGAIN": 2.0}))
    fits.HDUList([primary, hdu]).writeto(tmp_path / "a_raw.fits")
    exposure = read_exposure(tmp_path / "a_raw.fits")
    write_clean_copy(tmp_path / "c.fits", exposure, [np.full(SHAPE, 90000, np.float32)], masks[:1], PROVENANCE)
    with fits.open(tmp_path / "c.fits") as hdus:
        data = hdus["SCI"].data
        assert data.dtype == np.uint16
        assert set(data[masks[0]]) == {45000}
        assert set(data[~masks[0]]) == {40000}


@pytest.mark.parametrize("product", ["mask", "dq", "clean"])
def test_full_disk_leaves_nothing(tmp_path: Path, exposure: Exposure, masks: list[np.ndarray], product: str) -> None:
    out = tmp_path / "out"
    filled = [np.zeros(SHAPE, np.float32)] * 2
    write: dict[str, Callable[[Path], None]] = {
        "mask": lambda path: write_mask(path, exposure, masks, PROVENANCE),
        "dq": lambda path: write_dq_copy(path, exposure, masks, 8192, PROVENANCE),
        "clean": lambda path: write_clean_copy(path, exposure, filled, masks, PROVENANCE),
    }
    with small_disk(5000), pytest.raises(InputError, match=r"icau01abq_x.fits: cannot be written \(File too large\)"):
        write[product](out / "icau01abq_x.fits")
    assert list(out.iterdir()) == []


def test_unwritable_place(tmp_path: Path, exposure: Exposure, masks: list[np.ndarray]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_mask(tmp_path / "file" / "a_crmask.fits", exposure, masks, PROVENANCE)


def test_never_over_the_input(exposure: Exposure, masks: list[np.ndarray]) -> None:
    before = exposure.path.read_bytes()
    with pytest.raises(InputError, match="would overwrite the input"):
        write_dq_copy(exposure.path, exposure, masks, 8192, PROVENANCE)
    assert exposure.path.read_bytes() == before


def test_names_that_are_not_ascii(tmp_path: Path, masks: list[np.ndarray]) -> None:
    path = write_hst(tmp_path / "M31_\u00e9\u661f_flt.fits", [np.ones(SHAPE)])
    made = Provenance("mod\u00e8le.ckpt", "ab" * 32, 0.5, 0)
    exposure = read_exposure(path)
    write_mask(tmp_path / "out" / "a.fits", exposure, masks[:1], made)
    write_dq_copy(tmp_path / "out" / path.name, exposure, masks[:1], 8192, made)
    write_clean_copy(
        tmp_path / "out" / "c.fits", exposure, [np.zeros(SHAPE, np.float32)], masks[:1], made, "r\u00e9seau"
    )
    header = fits.getheader(tmp_path / "out" / "a.fits")
    assert (header["DCRINPUT"], header["DCRMODEL"]) == ("M31_e?_flt.fits", "modele.ckpt")
    assert fits.getheader(tmp_path / "out" / path.name)["DCRMODEL"] == "modele.ckpt"
    assert fits.getheader(tmp_path / "out" / "c.fits")["DCRFILL"] == "reseau"


def test_each_line_of_history_fits_its_card(tmp_path: Path, masks: list[np.ndarray]) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [np.ones(SHAPE)], ROOTNAME="x")
    write_mask(tmp_path / "a.fits", read_exposure(path), masks[:1], Provenance("universal-hst.ckpt", "ab" * 32, 0.5, 0))
    lines = list(fits.getheader(tmp_path / "a.fits")["HISTORY"])
    assert [line.split()[0] for line in lines] == ["Cosmic", "SHA-256", "Threshold"]


def test_long_names_are_cut(tmp_path: Path, masks: list[np.ndarray]) -> None:
    path = write_hst(tmp_path / f"{'n' * 100}_flt.fits", [np.ones(SHAPE)], ROOTNAME="x")
    made = Provenance(f"{'m' * 100}.ckpt", "ab" * 32, 0.5, 0)
    write_mask(tmp_path / "a.fits", read_exposure(path), masks[:1], made)
    header = fits.getheader(tmp_path / "a.fits")
    assert header["DCRINPUT"] == f"{'n' * 51}_flt.fits"
    assert header["DCRMODEL"] == f"{'m' * 55}.ckpt"
    assert made.model in str(header["HISTORY"]).replace("\n", "")


def test_a_file_that_changed_since_is_not_copied(tmp_path: Path, masks: list[np.ndarray]) -> None:
    path = write_hst(tmp_path / "a_flt.fits", [np.ones(SHAPE)])
    exposure = read_exposure(path)
    write_dq_copy(tmp_path / "out" / "d.fits", exposure, masks[:1], 8192, PROVENANCE)
    assert exposure.changed is not None
    os.utime(path, ns=(0, exposure.changed + 1_000_000_000))
    with pytest.raises(InputError, match=r"a_flt\.fits: has changed since it was read, so e\.fits is not written"):
        write_dq_copy(tmp_path / "out" / "e.fits", exposure, masks[:1], 8192, PROVENANCE)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["d.fits"]
