"""The step of a pipeline of ccdproc that docs/guide/arrays.md shows."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData
from conftest import scene
from numpy.typing import NDArray

import deepcr_lightning

ccdproc = pytest.importorskip("ccdproc", reason="it brings a dozen packages more, which nothing else here needs")

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
    ccd = ccdproc.subtract_bias(ccd, CCDData(np.full(light.shape, BIAS), unit=u.adu))
    ccd = ccdproc.flat_correct(ccd, CCDData(flat, unit=u.dimensionless_unscaled), norm_value=1.0)
    before = ccdproc.gain_correct(ccd, GAIN * u.electron / u.adu)
    ccd = deepcr_lightning.clean(before).cleaned
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
