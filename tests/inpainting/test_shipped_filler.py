"""The inpainting network of the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from conftest import Result

import deepcr_lightning
from deepcr_lightning.errors import InputError
from deepcr_lightning.inpainting.fill_model import load_fill_model
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.model_file import SHIPPED, SHIPPED_FILLER
from deepcr_lightning.prediction.fill import FILLS

Run = Callable[..., Result]


def test_the_shipped_file_is_small_and_plain() -> None:
    assert sum(file.stat().st_size for file in (SHIPPED_FILLER, *SHIPPED.values())) < 2_000_000
    checkpoint = torch.load(SHIPPED_FILLER, weights_only=True)
    assert set(checkpoint) == {"state_dict", DESCRIPTION_KEY}
    assert "/" not in json.dumps(checkpoint[DESCRIPTION_KEY])
    assert load_fill_model().sha256 == load_fill_model(SHIPPED_FILLER).sha256


@pytest.mark.parametrize("fwhm", [1.8, 3.5, 6.0])
def test_stars_of_any_width_come_back_and_the_sky_stays(fwhm: float) -> None:
    rng = np.random.default_rng(2)
    y, x = np.indices((256, 256))
    light, mask = np.full((256, 256), 50.0), np.zeros((256, 256), bool)
    core = fwhm / (2 * np.sqrt(2 ** (1 / 3) - 1))
    for n in range(49):
        row, column = 20 + 36 * (n // 7) + rng.random(), 20 + 36 * (n % 7) + rng.random()
        light += rng.uniform(1e3, 4e3) * (1 + ((y - row) ** 2 + (x - column) ** 2) / core**2) ** -3
        if n % 2:
            mask[int(row) - 1 : int(row) + 2, round(column)] = True
        mask[int(row) + 16, int(column) + 15 : int(column) + 18] = True
    image = (rng.poisson(light) + rng.normal(0, 4, light.shape)).astype(np.float32)
    noise = np.sqrt(light + 16)
    filled = {"network": deepcr_lightning.load_filler()(image, mask), "median": FILLS["median_5"](image, mask, ~mask)}
    error = {way: ((made - light) / noise)[mask & (light > 500)] for way, made in filled.items()}
    assert np.square(error["network"]).mean() < 0.2 * np.square(error["median"]).mean()
    sky = {way: ((made - light) / noise)[mask & (light < 60)] for way, made in filled.items()}
    assert np.square(sky["network"]).mean() < 0.2, "the noise of a pixel is 1"


def test_prediction_takes_it_by_itself(survey: Path, trained: Path, run_script: Run, tmp_path: Path) -> None:
    settings = ("products=[clean]", "fill=network", "threshold=0.05", "trainer.accelerator=cpu")
    source, finder = survey / "science" / "ivis01a0q_flc.fits", trained / "checkpoints" / "best.ckpt"
    result = run_script("predict.py", f"ckpt_path={finder}", f"input={source}", "output_dir=out", *settings)
    assert result.status == 0, result.err
    assert fits.getheader(tmp_path / "out" / "ivis01a0q_crclean.fits")["DCRFILL"].startswith("network filler.ckpt ")


def test_a_package_without_it_says_what_to_give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("deepcr_lightning.inpainting.fill_model.SHIPPED_FILLER", tmp_path / "filler.ckpt")
    with pytest.raises(InputError, match=r"no such file; give the best.ckpt of a run of experiment=inpaint"):
        deepcr_lightning.load_filler()
