"""Masks of the page: at any threshold those of predict.py, mended by hand, opened again and saved."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import Result, predict, write_hst
from hypothesis import given, settings
from hypothesis import strategies as st
from skies import add_cosmic_rays, scene

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.products import Provenance, write_mask
from deepcr_lightning.prediction.mask import threshold_mask
from deepcr_lightning.viewer.cut import cut_around
from deepcr_lightning.viewer.earlier import read_mask_file
from deepcr_lightning.viewer.hand import ADDED, REMOVED, Mending, event_at, stroke
from deepcr_lightning.viewer.ladder import grown_codes, rung_codes, rungs_with
from deepcr_lightning.viewer.opened import OpenExposure, open_exposure
from deepcr_lightning.viewer.pencil import ADD_EVENT, ERASE_EVENT, PENCIL, draw, tap
from deepcr_lightning.viewer.saving import save

Run = Callable[..., Result]
PROVENANCE = Provenance("best.ckpt", "ab" * 32, 0.3, 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(0, 3))
def test_every_rung_gives_the_mask_of_predict(seed: int, threshold: float, grow: int) -> None:
    rng = np.random.default_rng(seed)
    rungs = rungs_with(threshold)
    probability = rng.random((9, 11)).astype(np.float32) ** 4
    probability[rng.random((9, 11)) < 0.3] = np.float32(rng.choice(rungs))  # on a rung, and 0 and 1 among them
    usable = rng.random((9, 11)) < 0.8
    codes = grown_codes(rung_codes(probability, usable, rungs), usable, grow)
    assert len(rungs) < 250
    for place in (0, rungs.index(threshold), len(rungs) - 1, int(rng.integers(len(rungs)))):
        expected = threshold_mask(probability, rungs[place], usable, grow)
        np.testing.assert_array_equal(codes > place, expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 29), st.sampled_from([ADDED, REMOVED])), max_size=12))
def test_undo_goes_all_the_way_back(steps: list[tuple[int, int, int]]) -> None:
    mending = Mending([np.zeros((5, 6), np.uint8) for _ in range(2)])
    states = [([marks.copy() for marks in mending.marks], mending.state)]
    for chip, pixel, mark in steps:
        mending.paint(chip, np.unique([pixel, (pixel + 7) % 30]), mark)
        states.append(([marks.copy() for marks in mending.marks], mending.state))
    assert len({state for _, state in states}) == len(states)
    for expected, state in reversed(states):
        np.testing.assert_array_equal(mending.marks, expected)
        assert mending.state == state
        mending.undo()
    assert mending.undo() is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 25)), min_size=1, max_size=5), st.integers(0, 3))
def test_a_stroke_has_no_gaps(corners: list[tuple[float, float]], radius: int) -> None:
    xs, ys = zip(*corners, strict=True)
    rows, columns = np.divmod(stroke(xs, ys, radius, (20, 20)), 20)
    for share in np.linspace(0, 1, 50):
        for start, stop in pairwise(corners):
            x, y = (round(a + share * (b - a)) for a, b in zip(start, stop, strict=True))
            if 0 <= x < 20 and 0 <= y < 20:
                assert (np.hypot(rows - y, columns - x) <= 1).any()
    for x, y in corners:
        if 0 <= round(x) < 20 and 0 <= round(y) < 20:
            assert ((rows == round(y)) & (columns == round(x))).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_cut_shows_every_flagged_pixel_of_its_view(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.choice([3, 70, 2500, 4100], 2))
    codes = np.zeros(shape, np.uint8)
    codes[tuple(rng.integers(0, shape, (50, 2)).T)] = 200
    middle, half = rng.uniform(0, shape), rng.choice([3.0, 300.0, 4000.0])
    x, y = (middle[1] - half, middle[1] + half), (middle[0] - half, middle[0] + half)
    cut = cut_around(x, y, shape)
    assert cut.covers(cut_around(x, y, shape, margin=0))
    data = cut.of(codes)
    [image], [left], [bottom], [width], [height] = (data[key] for key in ("image", "x", "y", "dw", "dh"))
    assert image.size < 4e6
    for row, column in np.argwhere(codes):
        if x[0] <= column + 1 <= x[1] and y[0] <= row + 1 <= y[1]:
            place = int((row + 1 - bottom) * image.shape[0] / height), int((column + 1 - left) * image.shape[1] / width)
            assert image[place] == 200
    assert (image > 0).sum() <= 50


def test_events_are_whole() -> None:
    mask = np.zeros((8, 8), bool)
    mask[[1, 2, 3], [1, 2, 3]] = mask[6, 6] = True
    assert set(event_at(mask, 2, 2)) == {9, 18, 27}
    assert not len(event_at(mask, 0, 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(8)
    images = [scene((40, 50), rng, 3) for _ in range(2)]
    for image in images:
        add_cosmic_rays(image, rng, 8)
    return write_hst(tmp_path / "in" / "ivis01a0q_flc.fits", images)


def search(exposure: Exposure) -> tuple[list[np.ndarray], Provenance]:
    """Stand in for a network: the probability rises with the signal."""
    maps = [1 / (1 + np.exp(-(chip.electrons - 150) / 40)) for chip in exposure.chips]
    return [found.astype(np.float32) for found in maps], PROVENANCE


def no_search(exposure: Exposure) -> tuple[list[np.ndarray], Provenance]:
    raise AssertionError("a mask that was saved needs no network")


def opened_at(path: Path, tmp_path: Path) -> OpenExposure:
    return open_exposure(path, tmp_path / "out" / "ivis01a0q_crmask.fits", search)


@pytest.mark.parametrize("keep_map", [True, False])
def test_a_mended_mask_opens_as_it_was_saved(path: Path, tmp_path: Path, keep_map: bool) -> None:
    before, opened = path.read_bytes(), opened_at(path, tmp_path)
    assert (opened.threshold, opened.grow) == (0.3, 1)
    opened.rung, opened.grow = opened.rungs.index(0.6), 2
    found = [opened.mask(chip) for chip in (0, 1)]
    assert draw(opened, 0, PENCIL, [5, 9], [30, 30], 0)
    row, column = np.argwhere(found[1])[0]
    assert tap(opened, 1, ERASE_EVENT, row, column, 0)
    masks, by_hand = [opened.mask(chip) for chip in (0, 1)], opened.by_hand()
    assert by_hand == ((masks[0] & ~found[0]).sum(), (found[1] & ~masks[1]).sum())
    assert min(by_hand) > 0
    assert opened.changed
    assert save(opened, ["mask"], save_probability=keep_map) == [opened.mask_path]
    assert not opened.changed
    assert path.read_bytes() == before
    with fits.open(opened.mask_path) as hdus:
        header = hdus[0].header
        assert (header["DCRTHR"], header["DCRGROW"]) == (0.6, 2)
        assert (header["DCRADD"], header["DCRDEL"]) == by_hand
        assert f"{by_hand[0]} pixel(s) added, {by_hand[1]} removed" in str(header["HISTORY"])
        for chip, mask in enumerate(masks):
            np.testing.assert_array_equal(hdus["CRMASK", chip + 1].data > 0, mask)
        assert ("CRPROB" in hdus) == keep_map
    again = open_exposure(path, opened.mask_path, no_search)
    assert (again.maps is not None) == keep_map
    for chip, mask in enumerate(masks):
        np.testing.assert_array_equal(again.mask(chip), mask)
    assert again.by_hand() == by_hand
    assert not again.changed
    assert not again.mended
    save(again, ["mask"], save_probability=keep_map)
    assert fits.getval(again.mask_path, "DCRGROW") == 2


def test_all_products_follow_the_mended_mask(path: Path, tmp_path: Path) -> None:
    opened = opened_at(path, tmp_path)
    draw(opened, 0, PENCIL, [5, 9], [30, 30], 1)
    paths = save(opened, ["mask", "dq_copy", "clean", "regions"])
    assert {made.name for made in paths} == {
        "ivis01a0q_crmask.fits", "ivis01a0q_flc.fits", "ivis01a0q_crclean.fits", "ivis01a0q_crregions.reg",
    }  # fmt: skip
    with (
        fits.open(tmp_path / "out" / path.name) as copy,
        fits.open(tmp_path / "out" / "ivis01a0q_crclean.fits") as clean,
    ):
        for chip in (0, 1):
            mask = opened.mask(chip)
            np.testing.assert_array_equal((copy["DQ", chip + 1].data & 8192) > 0, mask)
            changed = clean["SCI", chip + 1].data != fits.getdata(path, ("SCI", chip + 1))
            assert not (changed & ~mask).any()
        assert copy[0].header["DCRADD"] == clean[0].header["DCRADD"] > 0


def test_what_another_program_changed_counts_as_by_hand(path: Path, tmp_path: Path) -> None:
    opened = opened_at(path, tmp_path)
    save(opened, ["mask"])
    with fits.open(opened.mask_path, mode="update") as hdus:
        hdus["CRMASK", 1].data[35, 3:6] = 1
        hdus["CRMASK", 2].data[opened.mask(1)] = 0
    again = open_exposure(path, opened.mask_path, no_search)
    assert again.by_hand() == (3, opened.mask(1).sum())


def test_the_second_of_two_windows_is_refused(path: Path, tmp_path: Path) -> None:
    first, second = opened_at(path, tmp_path), opened_at(path, tmp_path)
    draw(first, 0, PENCIL, [5], [5], 0)
    save(first, ["mask"])
    written = first.mask_path.read_bytes()
    with pytest.raises(InputError, match="was changed since this window read it"):
        save(second, ["mask", "clean"])
    assert first.mask_path.read_bytes() == written
    assert not (tmp_path / "out" / "ivis01a0q_crclean.fits").exists()
    draw(first, 0, PENCIL, [9], [9], 0)
    save(first, ["mask"])
    first.mask_path.unlink()
    with pytest.raises(InputError, match="was changed since"):
        save(first, ["mask"])


def test_an_event_is_added_down_to_its_tapped_pixel(path: Path, tmp_path: Path) -> None:
    opened = opened_at(path, tmp_path)
    opened.rung, opened.grow = opened.rungs.index(0.99), 0
    codes = opened.found(0)
    faint = np.argwhere((codes > 5) & (codes <= opened.rung))[0]
    assert not opened.flags(0, *faint)
    assert tap(opened, 0, ADD_EVENT, *faint, 0)
    assert opened.flags(0, *faint)
    assert opened.mask(0)[opened.found(0) > opened.rung].all()
    nothing = np.argwhere(codes == 0)
    if len(nothing):
        with pytest.raises(InputError, match="No event there"):
            tap(opened, 0, ADD_EVENT, *nothing[0], 0)


def test_masks_of_other_exposures_are_refused(path: Path, tmp_path: Path) -> None:
    opened = opened_at(path, tmp_path)
    save(opened, ["mask"])
    other = write_hst(tmp_path / "in" / "ivis02a0q_flc.fits", [np.full((40, 50), 30.0)] * 2)
    with pytest.raises(InputError, match=r"is the mask of ivis01a0q_flc\.fits, not of ivis02a0q_flc\.fits"):
        open_exposure(other, opened.mask_path, search)
    write_hst(path, [np.full((30, 50), 30.0)] * 2)
    with pytest.raises(InputError, match="of 30 x 50 pixels"):
        open_exposure(path, opened.mask_path, search)
    for name in ("in/ivis02a0q_flc.fits", "text"):
        (tmp_path / "text").write_text("not a mask")
        with pytest.raises(InputError, match=r"not written by this package|cannot be read as a mask"):
            open_exposure(other, tmp_path / name, search)


def test_predict_leaves_a_mended_mask_alone(path: Path, tmp_path: Path, trained: Path, run_script: Run) -> None:
    opened = opened_at(path, tmp_path)
    draw(opened, 0, PENCIL, [5], [5], 0)
    save(opened, ["mask"])
    written = opened.mask_path.read_bytes()
    for overrides in (["overwrite=true"], ["products=[clean]"]):
        result = predict(run_script, trained, path, *overrides)
        assert result.status == 1
        assert "was edited by hand" in result.err
        assert [made.name for made in (tmp_path / "out").glob("*.fits")] == [opened.mask_path.name]
    assert opened.mask_path.read_bytes() == written


def test_predict_and_the_page_count_alike(path: Path, tmp_path: Path, trained: Path, run_script: Run) -> None:
    assert predict(run_script, trained, path, "save_probability=true", "threshold=0.2").status == 0
    opened = open_exposure(path, tmp_path / "out" / "ivis01a0q_crmask.fits", no_search)
    for threshold, grow in ((0.03, 0), (0.05, 2)):
        opened.rung, opened.grow = opened.rungs.index(threshold), grow
        settings = [f"threshold={threshold}", f"grow={grow}"]
        assert predict(run_script, trained, path, *settings, output=f"out{grow}").status == 0
        for chip in (0, 1):
            made = fits.getdata(tmp_path / f"out{grow}" / "ivis01a0q_crmask.fits", ("CRMASK", chip + 1)) > 0
            assert made.any()
            np.testing.assert_array_equal(opened.mask(chip), made)


@pytest.mark.parametrize("name", ["M31_\u00e9\u661f", "n" * 80, " blank"])
def test_masks_of_odd_names_are_known_again(tmp_path: Path, name: str) -> None:
    exposure = read_exposure(write_hst(tmp_path / f"{name}_flt.fits", [np.ones((8, 9))], ROOTNAME="x"))
    masks = [np.eye(8, 9, dtype=bool)]
    write_mask(tmp_path / "m.fits", exposure, masks, Provenance("best.ckpt", "ab" * 32, 0.5, 0))
    np.testing.assert_array_equal(read_mask_file(tmp_path / "m.fits", exposure).masks, masks)
