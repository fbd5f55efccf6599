"""Arrays with units, masks and headers of their own: as a CCDData of the same, or refused."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.utils.masked import Masked

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.memory import electrons_of_array

IMAGE = np.random.default_rng(3).normal(60, 8, (20, 30))
MASK = IMAGE > 70


@pytest.mark.parametrize(
    ("image", "said", "factor"),
    [
        (IMAGE, {}, 1.0),
        (IMAGE * u.electron / u.s, {"exptime": 300}, 300.0),
        (IMAGE * u.electron / u.s, {"exptime": 5 * u.min}, 300.0),
        (IMAGE * u.electron / u.min, {"exptime": 300}, 5.0),
        (IMAGE * u.Unit(1000 * u.electron), {}, 1000.0),
        (IMAGE * u.adu, {"gain": 2}, 2.0),
        (IMAGE * u.adu, {"gain": 2 * u.electron / u.adu}, 2.0),
        (IMAGE * u.ct / u.s, {"gain": np.float32(2), "exptime": np.int64(4)}, 8.0),
        (IMAGE * u.electron / u.pix, {}, 1.0),
        (IMAGE, {"unit": u.adu, "gain": "2.0"}, 2.0),
        (IMAGE, {"unit": u.electron}, 1.0),
        (CCDData(IMAGE, unit="adu", meta={"gain": "2.0"}), {}, 2.0),
        (CCDData(IMAGE, unit="adu", meta={"Gain": 2 * u.electron / u.adu}), {}, 2.0),
        (CCDData(IMAGE, unit="adu", meta={"ATODGAIN": np.float64(7)}), {}, 7.0),
        (CCDData(IMAGE, unit="adu", meta={"GAIN": 100, "EGAIN": 0.25}), {}, 0.25),
        (CCDData(IMAGE, unit="adu", meta={"GAIN": 100}), {"gain": 0.5}, 0.5),
        (CCDData(IMAGE, unit="ct", meta={"ATODGNA": 1.0, "ATODGNB": 2.0}), {}, 1.5),
        (CCDData(IMAGE, unit=u.electron / u.s, meta={"exptime": 2 * u.min}), {}, 120.0),
        (CCDData(IMAGE, unit=u.electron / u.s, meta={"EXPOSURE": "30"}), {}, 30.0),
        (CCDData(IMAGE, unit=u.electron / u.s, meta={"exptime": 2}), {"exptime": 3}, 3.0),
        (NDData(IMAGE, meta={"bunit": "adu", "gain": 2.0}), {}, 2.0),
        (CCDData(IMAGE, unit="adu"), {"unit": "ELECTRONS"}, 1.0),
        (Masked(IMAGE * u.adu, mask=MASK), {"gain": 2}, 2.0),
        ((IMAGE * u.adu).astype(">f4"), {"gain": 2}, 2.0),
    ],
)
def test_units_gains_and_times(image: Any, said: dict[str, Any], factor: float) -> None:
    electrons, unusable, told = electrons_of_array(image, **said)
    np.testing.assert_allclose(electrons[~unusable], factor * IMAGE[~unusable], rtol=1e-5)
    own = np.asarray(image.data if isinstance(image, NDData) else getattr(image, "value", image))
    np.testing.assert_allclose(told * own[~unusable], electrons[~unusable], rtol=1e-5)


@pytest.mark.parametrize(
    "image",
    [
        Masked(IMAGE, mask=MASK),
        Masked(IMAGE * u.electron, mask=MASK),
        np.ma.MaskedArray(IMAGE, MASK),
        CCDData(IMAGE, unit="electron", mask=MASK),
        NDData(Masked(IMAGE * u.electron, mask=MASK)),
        NDData(np.ma.MaskedArray(IMAGE, MASK), unit="electron"),
    ],
)
def test_masks_count(image: Any) -> None:
    np.testing.assert_array_equal(electrons_of_array(image)[1], MASK)
    both = electrons_of_array(image, mask=IMAGE < 50)[1]
    np.testing.assert_array_equal(both, MASK | (IMAGE < 50))


@pytest.mark.parametrize(
    ("image", "said", "message"),
    [
        (IMAGE * u.Jy, {}, r"^image: its unit Jy cannot be converted .* give unit="),
        (CCDData(IMAGE, unit="Jy"), {}, r"^image: its unit Jy cannot"),
        (u.Quantity(IMAGE), {}, r"^image: its unit \(none\) cannot"),
        (IMAGE, {"unit": u.Jy}, "^unit=Jy"),
        (IMAGE * u.electron / u.s, {}, "give exptime=SECONDS$"),
        (IMAGE * u.electron / u.s, {"exptime": 3 * u.m}, "^exptime=3.0 m: is not in s"),
        (IMAGE * u.electron / u.s, {"exptime": 0}, "^exptime=0: must be a positive number"),
        (IMAGE * u.adu, {}, r"no card has a gain; give gain=VALUE \(electrons per count\)$"),
        (IMAGE * u.adu, {"gain": 3 * u.s}, "^gain=3.0 s: is not in electron / adu"),
        (IMAGE * u.adu, {"gain": "much"}, "^gain=much: must be a positive number"),
        (CCDData(IMAGE, unit="adu", meta={"gain": 2 * u.m}), {}, r"^meta\['gain'\]=2.0 m: is not in"),
        (IMAGE, {"saturation": -1}, "^saturation=-1: must be"),
        (IMAGE * u.adu, {"gain": 1, "saturation": 3 * u.s}, "^saturation=3.0 s: is not in adu"),
        (IMAGE > 60, {}, "^image: has shape .* and type bool"),
        (IMAGE, {"mask": "bad.fits"}, "^mask: has shape .* give a boolean mask of the same shape"),
        (IMAGE, {"mask": MASK.T}, "^mask: has shape"),
        (CCDData(IMAGE, unit="adu", meta={"gain": "1.5 e/adu"}), {}, "GAIN is '1.5 e/adu'; give gain=VALUE"),
        (CCDData(IMAGE, unit="adu", meta={"gain": [1.5]}), {}, r"GAIN is '\[1.5\]'; give gain=VALUE"),
        (CCDData(IMAGE, unit="electron/s", meta={"exptime": np.nan}), {}, "EXPTIME is 'nan'; give exptime=SECONDS"),
    ],
)
def test_what_cannot_be_understood_is_refused(image: Any, said: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        electrons_of_array(image, **said)


def test_what_the_caller_says_wins_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    counts = CCDData(IMAGE, unit="adu", meta={"GAIN": 2.0, "EXPTIME": 10})
    np.testing.assert_allclose(electrons_of_array(counts, unit="counts/s", gain=3, exptime=2)[0], 6 * IMAGE, rtol=1e-6)
    told = " ".join(caplog.messages)
    for part in ("unit=COUNTS/S is used; the image says its unit is 'adu'", "gain=3 is used", "says 10 seconds"):
        assert part in told


def test_saturated_pixels_are_of_no_use() -> None:
    image = IMAGE.copy()
    image[5, 5] = 70000
    assert electrons_of_array(image, saturation=65000)[1].sum() == 1
    assert electrons_of_array(CCDData(image, unit="electron", meta={"SATURATE": 65000.0}))[1][5, 5]
    whole = np.full((20, 30), 900, np.uint16)
    whole[4, 4] = 65535
    assert electrons_of_array(whole)[1].sum() == 1
    assert not electrons_of_array(IMAGE)[1].any()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (IMAGE * u.electron, {"saturation": 75 * u.electron}),
        (IMAGE * u.electron, {"saturation": 0.075 * u.Unit(1000 * u.electron)}),
        (IMAGE, {"saturation": 75 * u.electron}),
        (IMAGE, {"saturation": 75 * u.adu, "unit": "adu", "gain": 2}),
        (CCDData(IMAGE, unit="adu", meta={"gain": 2, "saturate": 75 * u.adu}), {}),
        (CCDData(IMAGE, unit="adu", meta={"gain": 2, "SATURATE": "75"}), {}),
    ],
)
def test_saturation_may_have_a_unit(image: Any, said: dict[str, Any]) -> None:
    np.testing.assert_array_equal(electrons_of_array(image, **said)[1], IMAGE >= 75)


def test_headers_of_files_count_as_in_files(caplog: pytest.LogCaptureFixture) -> None:
    cards = ["GAIN    = 1.5", "GAIN    = 3.0", "AIRTEMP = 12,5 C", "HIERARCH ESO DET GAIN = 9"]
    header = fits.Header.fromstring("".join(card.ljust(80) for card in cards))
    assert electrons_of_array(CCDData(IMAGE, unit="adu", meta=header))[2] == 1.5
    assert electrons_of_array(CCDData(IMAGE, unit="adu", meta={"gain": 1.5, "GAIN": 3}))[2] == 1.5
    assert electrons_of_array(NDData(IMAGE, meta={"bunit": u.adu, "gain": 2}))[2] == 2
    assert not caplog.messages
    header = fits.Header.fromstring("GAIN    = 1,5".ljust(80))
    with pytest.raises(InputError, match="image: GAIN is not a valid card; give gain=VALUE"):
        electrons_of_array(CCDData(IMAGE, unit="adu", meta=header))


def test_what_stands_under_a_mask_is_not_seen() -> None:
    image = IMAGE.copy()
    image[MASK] = -999
    for dtype in (float, ">f4", np.int16):
        electrons, unusable, _ = electrons_of_array(image.astype(dtype), mask=MASK)
        np.testing.assert_array_equal(unusable, MASK)
        assert electrons.min() > 30
    assert (image[MASK] == -999).all()
