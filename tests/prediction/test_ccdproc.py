"""The step of a pipeline of ccdproc that docs/guide/arrays.md shows."""

from __future__ import annotations

import re
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from conftest import REPOSITORY
from numpy.typing import NDArray
from skies import scene

import deepcr_lightning

ccdproc = pytest.importorskip("ccdproc", reason="it brings a dozen packages more, which nothing else here needs")

PAGE = (REPOSITORY / "docs" / "guide" / "arrays.md").read_text()
[PIPELINE] = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "ccdproc" in code]
GAIN, BIAS, NOISE = 1.4, 300.0, 4.0


@pytest.fixture
def field() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return electrons of a field, and where cosmic rays of three pixels lie in it."""
    rng = np.random.default_rng(1)
    light = scene((96, 128), rng, stars=12).astype(float)
    hit = np.zeros(light.shape, bool)
    for row, column in rng.integers(8, 88, (12, 2)):
        hit[row, column : column + 3] = True
    return light + 900 * hit, hit


def test_the_step_works_between_the_others(field: tuple[NDArray, NDArray]) -> None:
    light, hit = field
    flat = 1 + 0.05 * np.sin(np.arange(light.shape[1]) / 40) * np.ones(light.shape)
    ccd = CCDData(light * flat / GAIN + BIAS, unit=u.adu, meta={"OBJECT": "M31"})
    ccd = ccdproc.create_deviation(ccd, gain=GAIN * u.electron / u.adu, readnoise=NOISE * u.electron)
    *earlier, step = PIPELINE.splitlines()
    assert "deepcr_lightning.clean" in step
    names: dict[str, Any] = {"ccdproc": ccdproc, "deepcr_lightning": deepcr_lightning, "u": u, "ccd": ccd}
    names["bias"] = CCDData(np.full(light.shape, BIAS), unit=u.adu)
    names["flat"] = CCDData(flat, unit=u.dimensionless_unscaled)
    exec("\n".join(earlier), names)
    before = names["ccd"]
    exec(step, names)
    ccd = names["ccd"]
    assert isinstance(ccd, CCDData)
    assert ccd.unit == u.electron
    assert ccd.meta["OBJECT"] == "M31"
    assert ccd.mask[hit].mean() > 0.9
    assert ccd.mask[~hit].mean() < 0.01
    assert np.array_equal(ccd.flags > 0, ccd.mask)
    assert np.array_equal(ccd.data[~ccd.mask], before.data[~ccd.mask])
    assert ccd.data[hit & ccd.mask].max() < before.data[hit].min()
    part = ccdproc.trim_image(ccd[8:88])
    assert part.mask.sum() == ccd.mask[8:88].sum()
    assert np.array_equal(part.add(part).mask, part.mask)
