"""Where products go if the user names no place."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.products_folder import products_folder


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ("{here}/m31", "{here}/m31_cr"),
        ("{here}/m31/", "{here}/m31_cr"),
        ("file://{here}/m31", "{here}/m31_cr"),
        ("m31", "{here}/m31_cr"),
        (".", "{here}_cr"),
        ("m31/a_flc.fits.gz", "{here}/m31/a_flc_cr"),
        ("list.txt", "{here}/list_cr"),
        ("m31/*_flc.fits", "{here}/m31_cr"),
        ("m*/**/*.fits", "{here}_cr"),
        (["m31/a_flc.fits.gz", "m31/*.fits", "m31"], "{here}/m31_cr"),
        ("odd[1]", "{here}/odd[1]_cr"),
    ],
)
def test_it_is_beside_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: object, folder: str) -> None:
    (tmp_path / "m31").mkdir()
    (tmp_path / "odd[1]").mkdir()
    (tmp_path / "m31" / "a_flc.fits.gz").touch()
    monkeypatch.chdir(tmp_path)
    meant = given.format(here=tmp_path) if isinstance(given, str) else given
    assert products_folder(meant) == Path(folder.format(here=tmp_path))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("mast:16801", "mast:16801 is not a local file or folder"),
        ("s3://bucket/key", "is not a local file or folder"),
        (["/a/x.fits", "/b/x.fits"], "the input lies in 2 folders"),
        ("/", "there is no place beside /"),
    ],
)
def test_where_there_is_none_it_is_asked_for(given: object, reason: str) -> None:
    with pytest.raises(InputError, match="output_dir= is not given") as error:
        products_folder(given)
    assert reason in str(error.value)
