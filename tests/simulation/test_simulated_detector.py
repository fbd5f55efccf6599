"""The simulated detector: hot pixels, noise, saturation and the converter."""

from __future__ import annotations

import numpy as np

from deepcr_lightning.exposures.dq import WFC3DQ
from deepcr_lightning.simulation.chip_defects import HOT_LIMIT, draw_chip
from deepcr_lightning.simulation.readout import (
    AD_MAXIMUM,
    BIAS_COUNTS,
    GAIN,
    bleed,
    digitise,
    expose,
)


def test_hot_pixels_are_subtracted_from_science_but_not_without_residue() -> None:
    rng = np.random.default_rng(2)
    shape = (200, 200)
    chip = draw_chip(shape, rng)
    light = np.full(shape, 0.02)
    none = np.zeros(shape, dtype=np.float32)
    options = {"seconds": 900.0, "flash": 10.0, "rng": rng}
    raw = expose(light, none, chip, subtract_dark=False, **options)
    calibrated = expose(light, none, chip, subtract_dark=True, **options)
    hot = chip.dark * 3600 > HOT_LIMIT
    excess = raw.science[hot].mean() - 0.02 * 900
    np.testing.assert_allclose(excess, chip.dark[hot].mean() * 900, rtol=0.1)
    assert np.median(calibrated.science[hot]) < 0.8 * np.median(raw.science[hot])
    plain = chip.dq == 0
    assert calibrated.science[hot].std() > 2 * calibrated.science[plain].std()
    np.testing.assert_allclose(np.median(calibrated.science[plain]), 18, atol=0.5)
    np.testing.assert_allclose(np.median(calibrated.error[plain]), 6.3, atol=0.3)
    # Hot pixels scale with time: some that are not flagged outshine the noise.
    unflagged = hot & ((chip.dq & (WFC3DQ.HOT.value | WFC3DQ.WARM.value)) == 0)
    assert 0.01 < unflagged.sum() / hot.sum() < 0.1


def test_noise_is_that_of_counting_and_reading() -> None:
    rng = np.random.default_rng(3)
    shape = (200, 200)
    chip = draw_chip(shape, rng)
    frame = expose(
        np.full(shape, 0.1),
        np.zeros(shape, dtype=np.float32),
        chip,
        seconds=1000,
        flash=0,
        subtract_dark=True,
        rng=rng,
    )
    plain = chip.dq == 0
    np.testing.assert_allclose(frame.science[plain].std(), np.median(frame.noise[plain]), rtol=0.1)


def test_saturated_stars_bleed_along_columns() -> None:
    charge = np.zeros((101, 9), dtype=np.float32)
    charge[50, 4] = 1e6
    full_well = np.full(charge.shape, 70000, dtype=np.float32)
    held, saturated = bleed(charge, full_well)
    np.testing.assert_allclose(held.sum(), 1e6, rtol=1e-6)
    assert held.max() <= 70000
    rows, columns = np.nonzero(saturated)
    assert set(columns) == {4}
    assert (rows.min(), rows.max()) == (44, 56)


def test_saturation_is_flagged() -> None:
    rng = np.random.default_rng(4)
    shape = (64, 64)
    light = np.full(shape, 0.1)
    light[30:33, 20:23] = 500.0
    rays = np.zeros(shape, dtype=np.float32)
    rays[10, 50] = 2e5
    chip = draw_chip(shape, rng)
    frame = expose(light, rays, chip, seconds=900, flash=0, subtract_dark=True, rng=rng)
    saturated = (frame.dq & WFC3DQ.SATURATED.value) != 0
    assert saturated[30:33, 20:23].all()
    assert saturated[10, 50]
    assert 9 < saturated.sum() < 120
    assert frame.science.max() < 73000


def test_converter_has_a_last_count() -> None:
    charge = np.array([[100.0, (AD_MAXIMUM - BIAS_COUNTS + 10) * GAIN]], dtype=np.float32)
    measured, over = digitise(charge, np.random.default_rng(0))
    assert over.tolist() == [[False, True]]
    np.testing.assert_allclose(measured[0, 0], 100, atol=GAIN)
    assert measured[0, 1] < charge[0, 1]


def test_static_flags() -> None:
    chip = draw_chip((512, 512), np.random.default_rng(7))
    shares = {bit: ((chip.dq & bit.value) != 0).mean() for bit in WFC3DQ}
    assert 0.025 < shares[WFC3DQ.HOT] < 0.035
    assert 0.02 < shares[WFC3DQ.WARM] < 0.06
    assert 0.005 < shares[WFC3DQ.CHARGE_TRAP] < 0.02
    assert shares[WFC3DQ.BAD_DETECTOR] < 0.02
