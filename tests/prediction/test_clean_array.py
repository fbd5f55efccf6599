"""The array call: mask, cleaned image and probability at once, in the form in which the image came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.nddata.flag_collection import FlagCollection
from astropy.utils.masked import Masked
from conftest import Result, predict, write_hst
from skies import add_cosmic_rays, scene

import deepcr_lightning
from deepcr_lightning.errors import InputError
from deepcr_lightning.prediction.cleaned_array import values_of
from deepcr_lightning.prediction.finder import CosmicRayFinder

Run = Callable[..., Result]
LEVEL = 0.05
"""A threshold at which the tiny network flags some pixels of each image here, and not all."""


@pytest.fixture(scope="module")
def model(trained: Path) -> CosmicRayFinder:
    return deepcr_lightning.load_model(trained / "checkpoints" / "best.ckpt")


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(5)
    image = scene((60, 70), rng, 5)
    add_cosmic_rays(image, rng, 15)
    return image.astype(np.float32)


def test_an_array_gives_what_predict_writes(
    model: CosmicRayFinder, image: np.ndarray, trained: Path, run_script: Run, tmp_path: Path
) -> None:
    write_hst(tmp_path / "in" / "ivis01a0q_flc.fits", [image])
    settings = [f"threshold={LEVEL}", "grow=1", "products=[mask,clean]", "save_probability=true"]
    assert predict(run_script, trained, tmp_path / "in", *settings).status == 0
    mask, cleaned, probability = model.clean(image, threshold=LEVEL, grow=1)
    assert 0 < mask.mean() < 0.9
    with fits.open(tmp_path / "out" / "ivis01a0q_crmask.fits") as hdus:
        np.testing.assert_array_equal(mask, hdus["CRMASK"].data > 0)
        np.testing.assert_array_equal(probability, hdus["CRPROB"].data)
    np.testing.assert_array_equal(cleaned, fits.getdata(tmp_path / "out" / "ivis01a0q_crclean.fits", "SCI"))


def test_ccddata_keep_unit_header_and_uncertainty(model: CosmicRayFinder, image: np.ndarray) -> None:
    bad = np.zeros(image.shape, bool)
    bad[5, 5:9] = True
    counts = (image / 2).astype(np.float32)
    ccd = CCDData(
        counts.copy(), unit=u.adu, mask=bad, meta={"GAIN": 2.0, "OBJECT": "M31"}, uncertainty=StdDevUncertainty(counts)
    )
    found = model.clean(ccd, threshold=LEVEL)
    made = found.cleaned
    assert isinstance(made, CCDData)
    assert made.unit == u.adu
    assert made.meta == ccd.meta
    np.testing.assert_array_equal(made.uncertainty.array, counts)
    np.testing.assert_array_equal(made.mask, bad | found.mask)
    np.testing.assert_array_equal(made.flags, np.where(found.mask, 8192, 0))
    np.testing.assert_array_equal(made.data[~found.mask], counts[~found.mask])
    assert (made.data[found.mask] != counts[found.mask]).mean() > 0.9
    assert made.data[found.mask].mean() < counts[found.mask].mean()
    np.testing.assert_array_equal(ccd.data, counts, "the input is left alone")
    np.testing.assert_array_equal(ccd.mask, bad)
    assert ccd.flags is None
    assert not (found.mask & bad).any()


def test_flags_that_are_there_are_kept(model: CosmicRayFinder, image: np.ndarray) -> None:
    given = np.full(image.shape, 4, np.int16)
    found = model.clean(CCDData(image, unit=u.electron, flags=given), threshold=LEVEL)
    np.testing.assert_array_equal(found.cleaned.flags, np.where(found.mask, 4 | 8192, 4))
    named = FlagCollection(shape=image.shape)
    named["BAD"] = given
    found = model.clean(CCDData(image, unit=u.electron, flags=named), threshold=LEVEL)
    np.testing.assert_array_equal(found.cleaned.flags["COSMIC_RAY"], found.mask)
    np.testing.assert_array_equal(found.cleaned.flags["BAD"], given)
    assert list(named) == ["BAD"]


def hidden_rows(shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[..., 30:40, :] = True
    return mask


FORMS: dict[str, tuple[Callable[[np.ndarray], Any], dict[str, Any], float]] = {
    "quantity": (lambda image: image * u.electron, {}, 1),
    "rate": (lambda image: image * u.electron / u.s, {"exptime": 4 * u.s}, 4),
    "counts": (lambda image: image * u.adu, {"gain": 2}, 2),
    "masked": (lambda image: Masked(image, hidden_rows(image.shape)), {}, 1),
    "masked counts": (lambda image: Masked(image * u.adu, hidden_rows(image.shape)), {"gain": 2}, 2),
    "masked array": (lambda image: np.ma.MaskedArray(image, hidden_rows(image.shape)), {}, 1),
    "nddata of masked": (lambda image: NDData(Masked(image * u.adu, hidden_rows(image.shape))), {"gain": 2}, 2),
    "ccddata": (lambda image: CCDData(image, unit=u.adu, mask=hidden_rows(image.shape)), {"gain": 2}, 2),
}
"""Images made of an array, what is said of them, and electrons of a value of 1."""


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_what_came_with_a_unit_or_a_mask_goes_with_it(
    model: CosmicRayFinder, image: np.ndarray, form: str, stacked: bool
) -> None:
    make, said, factor = FORMS[form]
    plain = np.stack([image, image[::-1]]) / factor if stacked else image / factor
    plain = plain.astype(np.float32)
    given, own = make(plain.copy()), getattr(make(plain), "mask", None)
    found = model.clean(given, threshold=LEVEL, **said)
    expected = model.clean(plain * np.float32(factor), threshold=LEVEL, mask=own)
    made = found.cleaned
    assert type(made) is type(given)
    assert getattr(made, "unit", None) == getattr(given, "unit", None)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert found.mask.any()
    np.testing.assert_array_equal(found.probability, expected.probability)
    assert type(found.mask) is type(found.probability) is np.ndarray
    values = values_of(made)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[~found.mask], plain[~found.mask])
    np.testing.assert_allclose(values[found.mask] * factor, expected.cleaned[found.mask], rtol=1e-6)
    np.testing.assert_array_equal(values_of(given), plain, "the input is left alone")
    if own is not None:
        assert not (found.mask & own).any()
        np.testing.assert_array_equal(made.mask, own | found.mask if isinstance(given, NDData) else own)
        np.testing.assert_array_equal(given.mask, own)
        assert not np.shares_memory(made.mask, given.mask)


def test_what_is_saturated_is_left_alone(model: CosmicRayFinder, image: np.ndarray) -> None:
    level = float(np.percentile(image, 99))
    found = model.clean(image, threshold=LEVEL, saturation=level)
    np.testing.assert_array_equal(found.mask, model.find_cosmic_rays(image, threshold=LEVEL, saturation=level))
    assert not found.mask[image >= level].any()
    assert model.clean(image, threshold=LEVEL).mask[image >= level].any()


@pytest.mark.parametrize("kind", ["array", "list", "nddata", "masked"])
def test_a_stack_gives_what_its_images_give(model: CosmicRayFinder, image: np.ndarray, kind: str) -> None:
    stack = np.stack([image, image[::-1] + 50, 2 * image])
    bad = np.zeros(image.shape, bool)
    bad[30:40] = True
    forms = {
        "array": stack,
        "list": list(stack),
        "nddata": NDData(stack, unit=u.electron),
        "masked": np.ma.MaskedArray(stack, np.broadcast_to(bad, stack.shape)),
    }
    found = model.clean(forms[kind], threshold=LEVEL, mask=bad)
    pixels = found.cleaned.data if kind in ("nddata", "masked") else found.cleaned
    for n, single in enumerate(stack):
        alone = model.clean(single, threshold=LEVEL, mask=bad)
        np.testing.assert_array_equal(found.mask[n], alone.mask)
        np.testing.assert_array_equal(found.probability[n], alone.probability)
        np.testing.assert_array_equal(pixels[n], alone.cleaned)
    assert found.mask.any()
    assert not found.mask[:, bad].any()


@pytest.mark.parametrize("kind", [np.uint16, ">i2", np.float64])
def test_the_type_is_kept(model: CosmicRayFinder, image: np.ndarray, kind: str) -> None:
    given = np.rint(image).astype(kind)
    found = model.clean(given, threshold=LEVEL)
    assert found.cleaned.dtype == given.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found.cleaned[~found.mask], given[~found.mask])
    floats = model.clean(np.rint(image), threshold=LEVEL)
    np.testing.assert_allclose(found.cleaned, floats.cleaned, atol=0.5)


def test_a_way_to_fill_may_be_named_or_given(model: CosmicRayFinder, image: np.ndarray) -> None:
    def zero(electrons: np.ndarray, mask: np.ndarray, usable: np.ndarray) -> np.ndarray:
        return np.where(mask, 0, electrons)

    found = model.clean(image / 3, unit="counts", gain=3, threshold=LEVEL, fill=zero)
    assert not found.cleaned[found.mask].any()
    other = model.clean(image, threshold=LEVEL, fill="median_3")
    assert (other.cleaned != model.clean(image, threshold=LEVEL).cleaned).any()


def test_one_line_with_the_model_that_comes_along(image: np.ndarray) -> None:
    found = deepcr_lightning.clean(CCDData(image, unit=u.electron), grow=1)
    expected = deepcr_lightning.load_model().find_cosmic_rays(image, grow=1)
    assert expected.any()
    np.testing.assert_array_equal(found.mask, expected)


@pytest.mark.parametrize(
    ("bad", "settings", "message"),
    [
        (np.zeros((5, 5)), {"fill": "best"}, "fill=best: choose from median_3"),
        (np.zeros((2, 5, 5)), {"mask": np.zeros((3, 5, 5), bool)}, "mask: has shape"),
        (np.zeros((2, 2, 5, 5)), {}, "2-D"),
        (np.zeros((0, 5, 5)), {}, "empty stack"),
        (np.zeros((5, 5)), {"grow": 0.5}, "grow=0.5"),
        (np.ones((5, 5)) * u.Jy, {}, "image: its unit Jy"),
        (np.ones((2, 5, 5)) * u.Jy, {}, "image: its unit Jy"),
        (np.ones((5, 5)) * u.electron / u.s, {}, "exptime=SECONDS"),
        ([np.ones((5, 5)) * u.electron] * 2, {}, "a list of Quantity"),
        ([np.ma.ones((5, 5))] * 2, {}, "a list of MaskedArray"),
        ([CCDData(np.ones((5, 5)), unit=u.electron)] * 2, {}, "a list of CCDData"),
    ],
)
def test_bad_calls_are_said(model: CosmicRayFinder, bad: Any, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.clean(bad, **settings)
