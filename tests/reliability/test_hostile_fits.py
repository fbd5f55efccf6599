"""FITS files that somebody made to do harm: a line of refusal, or what they are."""

from __future__ import annotations

import gzip
import io
import os
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import Result, predict, write_hst

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.figures import as_it_is
from deepcr_lightning.prediction.summary import CLEANED, Row, Summary
from deepcr_lightning.prediction.survey_page import write_survey_page
from deepcr_lightning.viewer.earlier import read_mask_file

IMAGE = np.random.default_rng(1).normal(30, 5, (40, 48))


FORGED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "reliability" / "fits_originals.py"))


def set_card(path: Path, key: str, value: object, nth: int = 0) -> None:
    """Write a value over a card of a file, byte by byte."""
    path.write_bytes(FORGED["set_card"](path.read_bytes(), key, value, nth))


def add_cards(path: Path, *cards: str) -> None:
    """Put cards at the end of the primary header of a file, as they are."""
    path.write_bytes(FORGED["with_cards"](path.read_bytes(), cards))


@pytest.mark.parametrize("key", ["NAXIS", "ZNAXIS", "TFIELDS"])
@pytest.mark.parametrize("value", [1000, 10**9, 2**63 - 1])
def test_a_header_with_a_thousand_million_axes_is_refused(key: str, value: int, tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE])
    if key == "NAXIS":
        set_card(path, key, value, nth=1)
    else:
        with fits.open(path) as hdus:
            hdus[1] = fits.CompImageHDU(hdus[1].data, hdus[1].header, "SCI")
            hdus.writeto(path, overwrite=True)
        set_card(path, key, value)
    with pytest.raises(InputError, match=r"a_flc\.fits: the header of extension 1 has \d+ axes"):
        read_exposure(path)
    # Beside a whole one in a folder, too, where names alone do not tell that it is an exposure.
    path.rename(tmp_path / "strange.fits")
    assert len(find_exposures("input", tmp_path)) == 1


def test_headers_without_an_end_to_their_cards_are_refused(tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE])
    add_cards(path, *["HISTORY again"] * 100_001)
    with pytest.raises(InputError, match=r"has 1000\d\d cards"):
        read_exposure(path)


def test_ten_thousand_extensions_are_refused(tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE])
    path.write_bytes(path.read_bytes() + fits.ImageHDU(name="X").header.tostring().encode() * 10_001)
    with pytest.raises(InputError, match="more than 10000 extensions"):
        read_exposure(path)


def test_long_headers_and_many_extensions_are_read(tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE])
    add_cards(path, *["HISTORY again"] * 3000)
    path.write_bytes(path.read_bytes() + fits.ImageHDU(name="X").header.tostring().encode() * 200)
    assert len(read_exposure(path).chips) == 1


@pytest.mark.parametrize("plane", ["SCI", "DQ"])
def test_tiles_that_unpack_to_gigabytes_are_refused(plane: str, tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE])
    with fits.open(path) as hdus:
        hdus[plane] = fits.CompImageHDU(hdus[plane].data, hdus[plane].header, plane, compression_type="GZIP_1")
        hdus.writeto(path, overwrite=True)
    set_card(path, "ZNAXIS1", 50_000)
    set_card(path, "ZNAXIS2", 50_000)
    with pytest.raises(InputError, match=r"a_flc\.fits: .* MB that expand to"):
        read_exposure(path)


@pytest.mark.filterwarnings("ignore")  # astropy says that there is padding
def test_a_gzip_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE])
    member = gzip.compress(bytes(1 << 22), 1)
    (tmp_path / "bomb.fits.gz").write_bytes(gzip.compress(path.read_bytes()) + member * 100)
    with pytest.raises(InputError, match="MB that expand to"):
        read_exposure(tmp_path / "bomb.fits.gz")
    (tmp_path / "small.fits.gz").write_bytes(gzip.compress(path.read_bytes() + bytes(1 << 20)))
    assert len(read_exposure(tmp_path / "small.fits.gz").chips) == 1, "padding that packs well is no bomb"


def test_an_image_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    side = 400_000
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", side), ("NAXIS2", side)])
    header["BUNIT"] = "ELECTRONS"
    path = tmp_path / "wide.fits"
    path.write_bytes(header.tostring().encode())
    os.truncate(path, 2880 + -(-side * side * 4 // 2880) * 2880)  # holes, which take no room on the disk
    with pytest.raises(InputError, match=r"160000 million pixels need 2560 GB of memory"):
        read_exposure(path)


def test_pipes_devices_and_links_in_a_circle_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.fits")
    (tmp_path / "zero.fits").symlink_to("/dev/zero")
    (tmp_path / "round.fits").symlink_to(tmp_path / "round.fits")
    write_hst(tmp_path / "a_flc.fits", [IMAGE])
    assert [path.name for path in find_exposures("input", tmp_path)] == ["a_flc.fits"]
    for name, listed, read in (
        ("pipe", "is a pipe or a device, not a file", "is a folder, a pipe or a device, not a file"),
        ("zero", "is a pipe or a device, not a file", "is a folder, a pipe or a device, not a file"),
        ("round", "no such file or directory", "Too many levels of symbolic links"),
    ):
        with pytest.raises(InputError, match=rf"{name}\.fits: {listed}"):
            find_exposures("input", tmp_path / f"{name}.fits")
        with pytest.raises(InputError, match=rf"{name}\.fits: .*{read}"):
            read_exposure(tmp_path / f"{name}.fits")


NAMES = ("a  b", " a", "a\nb", "a\tb\r", "\x1b[2J", "a\u2028b", "a\\nb", "$x_^$", "é", "<script>", os.fsdecode(b"\xff"))


def test_files_of_any_name_are_cleaned_and_counted(
    trained: Path, run_script: Callable[..., Result], tmp_path: Path
) -> None:
    for name in NAMES:
        write_hst(tmp_path / "in" / f"{name}_flc.fits", [IMAGE], FILTER="$\\frac{1}$", ROOTNAME="x")
    products = ("products=[mask,dq_copy,clean,preview,regions]",)
    result = predict(run_script, trained, tmp_path / "in", *products)
    assert result.status == 0, result.err
    assert f"{len(NAMES)} exposures cleaned" in result.out
    rows = Summary(tmp_path / "out").rows()
    assert {Path(row.file).name for row in rows} == {f"{name}_flc.fits" for name in NAMES}
    assert {row.status for row in rows} == {CLEANED}
    for name in NAMES:
        exposure = read_exposure(tmp_path / "in" / f"{name}_flc.fits")
        assert read_mask_file(tmp_path / "out" / f"{name}_crmask.fits", exposure).masks
        regions = (tmp_path / "out" / f"{name}_crregions.reg").read_text().splitlines()
        assert regions[1].startswith("# cosmic rays of ")
        assert regions[2] == "global color=red", "a name adds no line"
    assert f"{len(NAMES)} exposures already had" in predict(run_script, trained, tmp_path / "in", *products).out


def test_no_page_runs_what_a_header_says(tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    rows = [Row(f"/in/{script}.fits", CLEANED, script, 5.0, 5.0, 0.1, 0.1), Row("/in/b.fits", script, script)]
    write_survey_page(tmp_path / "index.html", [(row, tmp_path / "none.png") for row in rows])
    text = (tmp_path / "index.html").read_text()
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert "&amp;lt;" not in text, "and shows it as it is"


@pytest.mark.filterwarnings("ignore")  # and which cards it does not understand
def test_signs_that_a_header_may_not_have_count_as_a_broken_card(tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE])
    add_cards(path, "OBSERVER= '\x00\x1b[2J'")
    header = read_exposure(path).header
    assert "OBSERVER" not in header
    assert header["INSTRUME"] == "WFC3"


@pytest.mark.parametrize("version", [0, -3])
def test_chips_of_an_odd_version_have_a_mask_of_their_own(
    version: int, trained: Path, run_script: Callable[..., Result], tmp_path: Path
) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE, IMAGE])
    set_card(path, "EXTVER", version, nth=3)
    assert predict(run_script, trained, path).status == 0
    exposure = read_exposure(path)
    assert [chip.extver for chip in exposure.chips] == [1, 2]
    assert len(read_mask_file(tmp_path / "out" / "a_crmask.fits", exposure).masks) == 2


def test_dollar_signs_are_no_formula(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.suptitle(as_it_is("$\\frac{1}$"))
    figure.savefig(io.BytesIO())


SCALES = ["'x'", "T", "1E400", "", "(1, 2)", "NaN", "=! 32768"]


@pytest.mark.parametrize(
    ("key", "value"), [("BSCALE", "0"), *((key, s) for key in ("BZERO", "BSCALE") for s in SCALES)]
)
def test_numbers_of_which_nobody_knows_what_they_stand_for_are_refused(key: str, value: str, tmp_path: Path) -> None:
    """astropy takes some of these for no offset at all: 900 would be read as -31868."""
    path = tmp_path / "a.fits"
    header = fits.Header({"BUNIT": "adu", "GAIN": 1.0, "EXPTIME": 9.0})
    fits.PrimaryHDU(np.full((20, 30), 900, "u2"), header).writeto(path)
    assert read_exposure(path).chips[0].electrons.mean() == 900
    set_card(path, key, value)
    if value.startswith("=!"):
        path.write_bytes(path.read_bytes().replace(f"{key:8}=".encode(), f"{key:8} ".encode()))
    with pytest.raises(InputError, match=rf"a\.fits: {key} of extension 0 is no number to scale pixels by"):
        read_exposure(path)


@pytest.mark.parametrize(("key", "value"), [("GCOUNT", "-1"), ("GCOUNT", "-1.0"), ("PCOUNT", "-9999999")])
@pytest.mark.parametrize("packed", [False, True])
def test_an_extension_of_a_negative_size_is_refused(key: str, value: str, packed: bool, tmp_path: Path) -> None:
    """astropy goes back by it, and reads the same header again and again."""
    path = write_hst(tmp_path / "a_flc.fits", [IMAGE])
    if packed:
        with fits.open(path) as hdus:
            hdus[1] = fits.CompImageHDU(hdus[1].data, hdus[1].header, "SCI")
            hdus.writeto(path, overwrite=True)
    set_card(path, key, value)
    with pytest.raises(InputError, match=r"a_flc\.fits: extension 1 has a size below 0; the file is damaged"):
        read_exposure(path)
