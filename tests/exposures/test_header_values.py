"""What headers say of units, gain and time, in the ways in which cameras write it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures import cards as cards_module
from deepcr_lightning.exposures.cards import filter_of, sound
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.units import ReadSettings, canonical_unit

IMAGE = np.arange(48, dtype=np.float32).reshape(6, 8)
PLAIN = {"EXPTIME": 300.0, "BUNIT": "ADU", "GAIN": 1.5}


def written(folder: Path, settings: ReadSettings | None = None, timed: bool = True, **cards: object) -> Exposure:
    """Read a plain image with some cards; None removes one of the usual ones."""
    header = fits.Header({key: value for key, value in (PLAIN | cards).items() if value is not None})
    fits.PrimaryHDU(IMAGE, header).writeto(folder / "a.fits", overwrite=True)
    return read_exposure(folder / "a.fits", settings, timed)


@pytest.mark.parametrize(
    ("unit", "known"),
    [
        ("ct", "COUNTS"),
        ("cts", "COUNTS"),
        ("ct/s", "COUNTS/S"),
        ("ADUs", "COUNTS"),
        ("adu/pixel", "COUNTS"),
        ("electron / pix", "ELECTRONS"),
        ("electrons/s/pixel", "ELECTRONS/S"),
        ("electron/pix/s", "ELECTRONS/S"),
        ("e- s^-1", "ELECTRONS/S"),
        ("adu s**-1", "COUNTS/S"),
        ("ct.s-1", "COUNTS/S"),
        ("electrons pixel-1 s-1", "ELECTRONS/S"),
        ("counts per second", "COUNTS/S"),
        ("electrons/s/s", None),
        ("Jy/pixel", None),
        ("e/sr", None),
    ],
)
def test_units_as_cameras_write_them(unit: str, known: str | None) -> None:
    assert canonical_unit(unit) == known


@pytest.mark.parametrize(
    ("cards", "seconds", "gain"),
    [
        ({"EXPTIME": "300.0", "GAIN": "1.5"}, 300.0, 1.5),
        ({"EXPTIME": " 3.0D2 "}, 300.0, 1.5),
        ({"EXPTIME": None, "EXPOSURE": 60}, 60.0, 1.5),
        ({"EXPTIME": 0.0, "EXPOSURE": 60}, 60.0, 1.5),
        ({"EXPTIME": None, "TEXPTIME": 70.0}, 70.0, 1.5),
        ({"ATODGAIN": 7.0, "GAIN": None, "CCDGAIN": 8}, 300.0, 7.0),
        ({"ATODGAIN": 0.0, "GAIN": None, "CCDGAIN": 1}, 300.0, 1.0),
        ({"ATODGNA": 1.0, "ATODGNB": 2.0}, 300.0, 1.5),
        ({"EGAIN": 0.25, "GAIN": 100}, 300.0, 0.25),
    ],
)
def test_numbers_as_cameras_write_them(tmp_path: Path, cards: dict, seconds: float, gain: float) -> None:
    exposure = written(tmp_path, **cards)
    assert exposure.exposure_time == seconds
    assert exposure.chips[0].electrons_per_unit == pytest.approx(gain)


def test_a_gain_that_is_a_setting_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path, EGAIN=1.45)
    assert not caplog.messages, "they agree"
    written(tmp_path, EGAIN=0.25, GAIN=100)
    assert "EGAIN 0.25 is used" in caplog.messages[0]
    caplog.clear()
    assert written(tmp_path, ReadSettings(gain=0.3), EGAIN=0.25, GAIN=100).chips[0].electrons[0, 1] == np.float32(0.3)
    assert "gain=0.3 is used; the header says EGAIN is 0.25" in caplog.messages[0]


def test_all_that_is_missing_is_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        written(tmp_path, BUNIT=None, EXPTIME=None, GAIN=None)
    for part in ("BUNIT is missing", "no card has a gain", "EXPTIME is missing", "data.exposure_time="):
        assert part in str(error.value)
    with pytest.raises(InputError, match="no card has a gain and EXPTIME is missing") as error:
        written(tmp_path, BUNIT="ADU/s", EXPTIME=None, GAIN=None)
    assert "give gain=VALUE (electrons per count) and exposure_time=SECONDS (train" in str(error.value)
    settings = ReadSettings(units="counts", gain=2.0, exposure_time=5.0)
    assert written(tmp_path, settings, BUNIT=None, EXPTIME=None, GAIN=None).chips[0].electrons[0, 1] == 2


def test_time_is_asked_for_where_it_is_needed(tmp_path: Path) -> None:
    exposure = written(tmp_path, timed=False, BUNIT="ELECTRONS", EXPTIME=None)
    assert math.isnan(exposure.exposure_time)
    assert math.isnan(exposure.cr_time)
    np.testing.assert_array_equal(exposure.chips[0].electrons, IMAGE)
    with pytest.raises(InputError, match="EXPTIME is missing; give exposure_time=SECONDS"):
        written(tmp_path, timed=False, BUNIT="ELECTRONS/S", EXPTIME=None)
    with pytest.raises(InputError, match="EXPTIME is missing"):
        written(tmp_path, BUNIT="ELECTRONS", EXPTIME=None)


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        ({"FILTER1": "OPEN1-6", "FILTER2": "r_G0303"}, "R_G0303"),
        ({"FILTER1": "AIR", "FILTER2": "V"}, "V"),
        ({"FILTER1": "EMPTY_8", "FILTER2": "B"}, "B"),
        ({"FILTER1": "N/A", "FILTER2": "Open"}, "NONE"),
        ({"FILTER1": "CLEAR1S", "FILTER2": "F435W"}, "F435W"),
        ({"FILTNAM1": "F814W", "FILTNAM2": ""}, "F814W"),
        ({"FILTER": "Airy"}, "AIRY"),
        ({"FILTER": "OIII"}, "OIII"),
        ({}, "NONE"),
    ],
)
def test_holes_of_filter_wheels_are_no_filters(cards: dict[str, str], name: str) -> None:
    assert filter_of([fits.Header(cards)]) == name
    assert filter_of([fits.Header(), fits.Header(cards)]) == name


def broken(path: Path, key: str, card: bytes) -> Path:
    """Put a card into a file that is none."""
    raw = path.read_bytes()
    place = raw.index(f"{key:8}=".encode())
    path.write_bytes(raw[:place] + card.ljust(80) + raw[place + 80 :])
    return path


def test_broken_cards_do_harm_only_where_they_are_needed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path, AIRTEMP=1.0)
    exposure = read_exposure(broken(tmp_path / "a.fits", "AIRTEMP", b"AIRTEMP = 12,5 C"))
    assert exposure.chips[0].electrons[0, 1] == 1.5
    assert not caplog.messages
    written(tmp_path, FILTER="r")
    assert read_exposure(broken(tmp_path / "a.fits", "FILTER", b"FILTER  = r")).filter == "NONE"
    assert "a.fits: FILTER is not a valid card and is treated as missing (said once)" in caplog.messages
    with pytest.raises(InputError, match="BUNIT is not a valid card; give units=ELECTRONS"):
        read_exposure(broken(tmp_path / "a.fits", "BUNIT", b"BUNIT   = ADU"))


@pytest.mark.filterwarnings("ignore:Error validating header")  # what astropy says of the same
@pytest.mark.filterwarnings("ignore:The indent function")  # by which astropy 7.0 says it
def test_bytes_after_the_last_extension(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(tmp_path)
    whole = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(whole + b" " * 500)
    assert read_exposure(tmp_path / "a.fits").chips[0].electrons[0, 1] == 1.5
    assert "500 bytes after the last extension are not read" in caplog.messages[0]
    for rest in (b"XTENSION= 'IMAGE   '", b"XTE", b"junk" * 1000 + b"XTENSION= 'IMAGE   '"):
        (tmp_path / "a.fits").write_bytes(whole + rest)
        with pytest.raises(InputError, match="truncated"):
            read_exposure(tmp_path / "a.fits")
    written(tmp_path, NEXTEND=3)
    (tmp_path / "a.fits").write_bytes((tmp_path / "a.fits").read_bytes() + b" " * 500)
    with pytest.raises(InputError, match="truncated"):
        read_exposure(tmp_path / "a.fits")


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"EXPTIME": "300 s"}, "EXPTIME is '300 s'; give exposure_time=SECONDS"),
        ({"EXPTIME": -5.0}, "EXPTIME is -5.0; give"),
        ({"EXPTIME": "NaN"}, "EXPTIME is 'NaN'; give"),
        ({"EXPTIME": True}, "EXPTIME is True; give"),
        ({"EXPTIME": "00:05:00"}, "EXPTIME is '00:05:00'; give"),
        ({"EXPTIME": None, "EXPOSURE": 0}, "EXPOSURE is 0; give"),
        ({"GAIN": "1.5 e-/ADU"}, "GAIN is '1.5 e-/ADU'; give gain=VALUE"),
        ({"GAIN": None, "EGAIN": -1}, "EGAIN is -1; give gain=VALUE"),
        ({"GAIN": fits.card.Undefined()}, "GAIN is empty; give gain=VALUE"),
    ],
)
def test_values_of_no_use_are_shown(tmp_path: Path, cards: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        written(tmp_path, **cards)


def test_a_gain_that_no_ccd_has_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert written(tmp_path, GAIN=14.0).chips[0].electrons_per_unit == 14
    assert not caplog.messages
    assert written(tmp_path, GAIN=100).chips[0].electrons_per_unit == 100
    assert "GAIN 100 is used as electrons per count, but is unusually high" in caplog.messages[0]
    caplog.clear()
    written(tmp_path, ReadSettings(gain=0.25), GAIN=100)
    written(tmp_path, BUNIT="ELECTRONS", GAIN=120)
    assert len(caplog.messages) == 1
    assert "gain=0.25 is used" in caplog.messages[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain": "abc"}, "^gain=abc: must be a positive number"),
        ({"gain": math.inf}, "^gain=inf: must be"),
        ({"gain": [1, 2]}, r"^gain=\[1, 2\]: must be"),
        ({"exposure_time": "300s"}, "^exposure_time=300s: must be"),
        ({"exposure_time": True}, "^exposure_time=True: must be"),
        ({"saturation": -1}, "^saturation=-1: must be"),
        ({"units": 5}, "^units=5: not a known unit"),
        ({"trim": "no"}, "^trim=no: must be true or false"),
        ({"extensions": 1.5}, r"^extensions=\[1.5\]: give names or numbers"),
        ({"extensions": True}, r"^extensions=\[True\]: give"),
        ({"extensions": []}, r"^extensions=\[\]: give"),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReadSettings.of(options)
    assert ReadSettings.of({"gain": "1.5"}).gain == 1.5


SIGNS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
CARDS = st.one_of(
    st.tuples(st.sampled_from(["FILTER", "A", "D2IM1-X_"]), SIGNS).map(lambda card: f"{card[0]:8}= {card[1]}"),
    st.tuples(SIGNS, SIGNS).map(lambda card: f"TEXT    = '{card[0]}' / {card[1]}"),
    st.tuples(st.from_regex(r"[+-]?[0-9]{0,3}[.]?[0-9]{0,3}([EDe][+-]?[0-9]{0,2})?", fullmatch=True), SIGNS).map(
        lambda card: f"NUMBER  = {card[0]:>20} / {card[1]}"
    ),
    st.tuples(st.sampled_from(["COMMENT ", "HISTORY ", "COMMENT= ", "HISTORY\x07"]), SIGNS).map("".join),
    st.tuples(st.sampled_from(["'def'", "'def&' / y", "def", "'not closed", ""]), st.sampled_from(["abc", "abc&"])).map(
        lambda card: f"TEXT    = '{card[1]}' / x".ljust(80) + f"CONTINUE  {card[0]}"
    ),
    st.sampled_from(["TRUTH   =                    T", "TABBED  = 'a\tb'", "FLAW    = 'not closed", "LOW     = 1.5 x"]),
)


@given(st.lists(CARDS, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
@pytest.mark.filterwarnings("ignore")  # astropy says of each odd card what it thinks of it
def test_cards_known_by_their_look_are_those_that_are_understood(made: list[str]) -> None:
    text = "".join(f"{line:80}" for card in made for line in (card[:80], card[80:160]) if line)
    quick, broken = sound("a.fits", fits.Header.fromstring(text))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(cards_module, "_PLAIN", re.compile("(?!)"))
        careful, expected = sound("a.fits", fits.Header.fromstring(text))
    assert broken == expected
    assert [(card.keyword, str(card.value), card.comment) for card in quick.cards] == [
        (card.keyword, str(card.value), card.comment) for card in careful.cards
    ]
