"""What predict.py leaves for the eye: previews on a page, region files, and masks that know where they point."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from conftest import Result, predict, write_hst
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from PIL import Image
from regions import Regions
from scipy import ndimage

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.products import Provenance, write_mask
from deepcr_lightning.exposures.regions import event_outlines, write_regions
from deepcr_lightning.prediction.preview import busiest_places, draw_preview
from deepcr_lightning.prediction.summary import CLEANED, Row
from deepcr_lightning.prediction.survey_page import write_survey_page

Run = Callable[..., Result]
PROVENANCE = Provenance("best.ckpt", "ab" * 32, 0.5, 1)


def add_wcs(path: Path, system: str = "ICRS", kind: str = "RA---TAN-SIP DEC--TAN-SIP") -> Path:
    """Give each SCI a WCS of its own, with SIP distortion, and cards that point to a look-up table."""
    first, second = kind.split()
    with fits.open(path, mode="update") as hdus:
        for version, hdu in enumerate((hdu for hdu in hdus if hdu.name == "SCI"), start=1):
            hdu.header.update(
                {"CTYPE1": first, "CTYPE2": second, "CRVAL1": 10.5, "CRVAL2": 41.2 + 0.01 * version}
                | {"CRPIX1": 20.0, "CRPIX2": 30.0, "CD1_1": 7e-6, "CD1_2": 8e-6, "CD2_1": 8e-6, "CD2_2": -7.5e-6}
                | {"RADESYS": system, "LTV1": -100.0, "CTYPE1O": "RA---TAN"}
            )
            if first.endswith("SIP"):
                hdu.header.update({"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5, "B_1_1": -2e-5})
                hdu.header.update({"CPDIS1": "Lookup", "DP1": "EXTVER: 1.0"})
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_masks_point_where_their_images_do(tmp_path: Path, compress: bool) -> None:
    rng = np.random.default_rng(3)
    path = add_wcs(write_hst(tmp_path / "a_flc.fits", [rng.normal(30, 5, (40, 50)) for _ in range(2)]))
    exposure = read_exposure(path)
    masks = [rng.random((40, 50)) < 0.1 for _ in range(2)]
    maps = [mask.astype(np.float32) for mask in masks]
    write_mask(tmp_path / "m.fits", exposure, masks, PROVENANCE, maps, compress)
    with fits.open(path) as images, fits.open(tmp_path / "m.fits") as made:
        for version in (1, 2):
            header = images["SCI", version].header.copy()
            del header["CPDIS1"], header["DP1*"]
            expected = WCS(header).all_pix2world([(3, 4), (45, 33)], 0)
            for name in ("CRMASK", "CRPROB"):
                of = made[name, version].header
                np.testing.assert_array_equal(WCS(of).all_pix2world([(3, 4), (45, 33)], 0), expected)
                assert of["LTV1"] == -100
                assert "CTYPE1O" not in of
            np.testing.assert_array_equal(made["CRMASK", version].data > 0, masks[version - 1])


def test_without_a_wcs_a_mask_has_none(tmp_path: Path) -> None:
    exposure = read_exposure(write_hst(tmp_path / "a_flc.fits", [np.full((9, 9), 30.0)]))
    write_mask(tmp_path / "m.fits", exposure, [np.eye(9, dtype=bool)], PROVENANCE)
    assert not any(key.startswith("C") and key[-1].isdigit() for key in fits.getheader(tmp_path / "m.fits", 1))


def polygons(path: Path) -> list[tuple[str, np.ndarray, str]]:
    """System, corners and tag of each polygon of a region file."""
    found, system = [], ""
    for line in path.read_text().splitlines():
        if line in ("image", "icrs", "fk5", "galactic"):
            system = line
        if match := re.fullmatch(r"polygon\((.*)\) # tag=\{(.*)\}", line):
            found.append((system, np.array(match[1].split(","), float).reshape(-1, 2), match[2]))
    return found


@pytest.mark.parametrize(
    ("system", "kind", "expected"),
    [
        ("ICRS", "RA---TAN-SIP DEC--TAN-SIP", "icrs"),
        ("FK5", "RA---TAN DEC--TAN", "fk5"),
        ("ICRS", "GLON-TAN GLAT-TAN", "galactic"),
        ("ICRS", "ELON-TAN ELAT-TAN", "image"),
        ("", "", "image"),
    ],
)
def test_regions_lie_around_their_events(tmp_path: Path, system: str, kind: str, expected: str) -> None:
    rng = np.random.default_rng(4)
    path = write_hst(tmp_path / "a_flc.fits", [rng.normal(30, 5, (40, 50)) for _ in range(2)])
    exposure = read_exposure(add_wcs(path, system, kind) if kind else path)
    masks = [rng.random((40, 50)) < 0.03 for _ in range(2)]
    write_regions(tmp_path / "a.reg", exposure, masks)
    found = polygons(tmp_path / "a.reg")
    assert {name for name, _, _ in found} == {expected}
    y, x = np.mgrid[:40, :50]
    for chip, mask in zip(exposure.chips, masks, strict=True):
        mine = [corners for _, corners, tag in found if tag == f"SCI,{chip.extver}"]
        groups, count = ndimage.label(mask, np.ones((3, 3)))
        assert len(mine) == count
        for number, corners in enumerate(mine, start=1):
            pixels = corners - 1 if expected == "image" else WCS(chip.wcs).all_world2pix(corners, 0)
            inside = Outline(pixels).contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(40, 50)
            assert inside[groups == number].all()
            assert inside.sum() <= 4 * (groups == number).sum(), "no wider than the event"


@pytest.mark.parametrize("kind", ["RA---TAN-SIP DEC--TAN-SIP", ""])
def test_another_reader_of_regions_finds_the_pixels_of_the_events(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(5)
    path = write_hst(tmp_path / "a_flc.fits", [rng.normal(30, 5, (40, 50)) for _ in range(2)])
    exposure = read_exposure(add_wcs(path, "ICRS", kind) if kind else path)
    masks = [rng.random((40, 50)) < 0.03 for _ in range(2)]
    write_regions(tmp_path / "a.reg", exposure, masks)
    found = Regions.read(tmp_path / "a.reg", format="ds9")
    for chip, mask in zip(exposure.chips, masks, strict=True):
        mine = [region for region in found if region.meta["tag"] == [f"SCI,{chip.extver}"]]
        inside = np.zeros(mask.shape, bool)
        for region in mine:
            outline = region.to_pixel(WCS(chip.wcs)) if kind else region
            inside |= outline.to_mask("center").to_image(mask.shape) > 0
        assert len(mine) == ndimage.label(mask, np.ones((3, 3)))[1]
        assert inside[mask].all()
        assert inside.mean() < 3 * mask.mean()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.6))
def test_every_pixel_is_in_an_outline(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((12, 15)) < share
    y, x = np.mgrid[:12, :15]
    inside = np.zeros(mask.shape, bool)
    for corners in event_outlines(mask):
        inside |= Outline(corners).contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(mask.shape)
    assert inside[mask].all()


def test_the_busiest_places() -> None:
    masks = [np.zeros((200, 300), bool), np.zeros((50, 60), bool)]
    masks[0][110:130, 210:220] = True
    masks[1][:, :3] = True
    (first, rows, columns), (second, *_) = busiest_places(masks, side=96, count=3)
    assert (first, second) == (0, 1)
    assert rows.start <= 110 < rows.stop
    assert columns.start <= 210 < columns.stop
    assert len(busiest_places([np.zeros((20, 20), bool)])) == 1, "an empty mask shows one place"


@pytest.mark.parametrize("shape", [(1, 1), (1, 2500), (130, 2)])
def test_chips_of_any_size_are_drawn(tmp_path: Path, shape: tuple[int, int]) -> None:
    exposure = read_exposure(write_hst(tmp_path / "a_flc.fits", [np.full(shape, 30.0)] * 2))
    draw_preview(tmp_path / "a.png", exposure, [np.ones(shape, bool)] * 2, [chip.electrons for chip in exposure.chips])
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000


def test_predict_draws_a_survey(trained: Path, survey: Path, run_script: Run, tmp_path: Path) -> None:
    shutil.copytree(survey / "science", tmp_path / "in" / "visit 1#")
    (tmp_path / "in" / "broken_flc.fits").write_text("<b>not an image</b>")
    result = predict(run_script, trained, tmp_path / "in", "products=[preview,regions]", "threshold=0.05")
    assert result.status == 1
    assert "6 exposures cleaned" in result.out
    folder = tmp_path / "out" / "visit 1#"
    assert sorted(path.suffix for path in folder.iterdir()) == [".png"] * 6 + [".reg"] * 6
    with Image.open(folder / "ivis01a0q_crpreview.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 100
    assert polygons(folder / "ivis01a0q_crregions.reg")
    text = (tmp_path / "out" / "index.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 6
    assert 'href="visit%201%23/ivis01a0q_crpreview.png"' in text
    assert "broken_flc.fits<br>not cleaned" in text
    assert "<b>not" not in text
    assert not re.search(r'(?:src|href)="https?:', text), "nothing is loaded from elsewhere"


def test_a_page_of_somebody_else_stays(tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    index.write_text("<h1>My home page</h1>")
    with pytest.raises(InputError, match="not written by this package"):
        write_survey_page(index, [])
    assert index.read_text() == "<h1>My home page</h1>"
    index.unlink()
    for expected in (0.02, float("nan")):
        row = Row("a.fits", CLEANED, flagged=0.05, expected=expected)
        write_survey_page(index, [(row, tmp_path / "gone.png")])
        assert ("2.5" in index.read_text()) == (expected == 0.02)
