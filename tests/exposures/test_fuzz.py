"""Damaged and odd files: a clear error or a correct result, never a hang, a crash or a wrong mask."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import write_hst

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.predictor import ExposurePredictor

SHAPE = (24, 31)


@pytest.fixture(scope="module")
def network(trained: Path) -> ExposurePredictor:
    return ExposurePredictor(load_model(trained / "checkpoints" / "best.ckpt"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same two-chip exposure plain and tile-compressed."""
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(3)
    images = [rng.normal(30, 6, SHAPE) for _ in range(2)]
    dq = [rng.choice([0, 0, 4, 64], SHAPE) for _ in range(2)]
    path = write_hst(folder / "ivis01a0q_flc.fits", images, dq, NEXTEND=6)
    packed = io.BytesIO()
    with fits.open(path) as hdus:
        parts = [fits.CompImageHDU(h.data, h.header, h.name, compression_type="GZIP_2") for h in hdus[1:]]
        fits.HDUList([hdus[0], *parts]).writeto(packed)
    return {"plain": path.read_bytes(), "packed": packed.getvalue()}


def check(path: Path, network: ExposurePredictor) -> Exposure | None:
    """Read a file that may be damaged, and map it if it could be read."""
    message = ""
    try:
        exposure = read_exposure(path)
    except InputError as error:
        message = str(error)
    if message:
        assert str(path) in message, "the message names the file"
        assert len(message.splitlines()) == 1
        return None
    for chip, probability in zip(exposure.chips, network.probabilities(exposure), strict=True):
        assert np.isfinite(chip.electrons).all()
        assert probability.shape == chip.electrons.shape
        assert np.isfinite(probability).all()
    return exposure


@pytest.mark.filterwarnings("ignore")  # astropy says much about damaged files; what counts is what comes of them
@pytest.mark.parametrize("form", ["plain", "packed"])
def test_flipped_bits(whole: dict[str, bytes], form: str, network: ExposurePredictor, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    read = 0
    for n in range(120):
        damaged = bytearray(whole[form])
        # Half of the hits go into headers, where they hurt.
        for _ in range(int(rng.integers(1, 6))):
            place = int(rng.integers(0, 2880 * 2 if n % 2 else len(damaged)))
            damaged[place] ^= 1 << int(rng.integers(0, 8))
        path = tmp_path / "a_flc.fits"
        path.write_bytes(damaged)
        read += check(path, network) is not None
    assert 0 < read < 120, "some hits are harmless and some are not"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["plain", "packed"])
def test_cut_anywhere(whole: dict[str, bytes], form: str, network: ExposurePredictor, tmp_path: Path) -> None:
    original, rng = whole[form], np.random.default_rng(12)
    path = tmp_path / "a_flc.fits"
    for length in rng.integers(0, len(original) - 2880, 60):
        path.write_bytes(original[:length])
        assert check(path, network) is None, f"a file of {length} of {len(original)} bytes passes for whole"


def test_the_last_rows_of_a_chip_are_mapped(trained: Path, network: ExposurePredictor, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(30, 6, (2051 % 256 + 64, 70))
    image[-2:, 20:24] += 3000
    exposure = read_exposure(write_hst(tmp_path / "a_flc.fits", [image]))
    [probability] = network.probabilities(exposure)
    assert (probability[-2:, 20:24].max(axis=1) > 0.5).all()
    assert probability[-12:-4].max() < 0.1


def test_every_chip_is_found(network: ExposurePredictor, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    exposure = read_exposure(write_hst(tmp_path / "a_flc.fits", [rng.normal(30, 6, (40, 40)) for _ in range(4)]))
    assert len(network.probabilities(exposure)) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, -1e30])
def test_one_wild_pixel_does_not_empty_the_mask(value: float, network: ExposurePredictor, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    image = rng.normal(30, 6, (64, 64))
    image[20, 20:26] += 2000
    [before] = network.probabilities(read_exposure(write_hst(tmp_path / "a_flc.fits", [image])))
    image[50, 50] = value
    [after] = network.probabilities(read_exposure(write_hst(tmp_path / "b_flc.fits", [image])))
    np.testing.assert_allclose(after[:36], before[:36], atol=2e-3)


@pytest.mark.parametrize("name", ["WFC3-UVIS", "ACS-WFC"])
@pytest.mark.parametrize("bunit", ["ELECTRONS", "ELECTRONS/S"])
def test_published_weights_see_the_same_in_any_unit(name: str, bunit: str, tmp_path: Path) -> None:
    pytest.importorskip("deepCR")
    rng = np.random.default_rng(7)
    image = rng.normal(30, 6, (64, 64))
    image[20, 20:26] += 5000
    network = ExposurePredictor(load_model(name))
    [expected] = network.probabilities(read_exposure(write_hst(tmp_path / "a_flc.fits", [image])))
    image[50, 50] = np.nan
    scaled = image / 500 if bunit.endswith("/S") else image
    path = write_hst(tmp_path / "b_flc.fits", [scaled], bunit=bunit)
    [found] = network.probabilities(read_exposure(path))
    np.testing.assert_allclose(found[:36], expected[:36], atol=2e-3)
    assert found[20, 20:26].max() > 0.1


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (700, 2)])
def test_tiny_chips(shape: tuple[int, int], network: ExposurePredictor, tmp_path: Path) -> None:
    image = np.random.default_rng(8).normal(30, 6, shape)
    assert check(write_hst(tmp_path / "a_flc.fits", [image]), network) is not None


def test_cubes_are_refused(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.ones((2, 8, 8), np.float32)).writeto(tmp_path / "cube.fits")
    with pytest.raises(InputError, match="contains no 2-D image"):
        read_exposure(tmp_path / "cube.fits")


def test_dq_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = write_hst(tmp_path / "a_flc.fits", [np.ones((8, 8))], [np.zeros((4, 4))])
    with pytest.raises(InputError, match="DQ has shape"):
        read_exposure(path)


@pytest.mark.parametrize("kind", [">f8", ">f4", ">i2", ">i4", "u2"])
def test_every_way_to_store_pixels(kind: str, tmp_path: Path) -> None:
    image = np.random.default_rng(9).integers(0, 30000, SHAPE)
    header = fits.Header({"EXPTIME": 10.0, "BUNIT": "COUNTS", "GAIN": 1.5})
    fits.PrimaryHDU(image.astype(kind), header).writeto(tmp_path / "a.fits")
    [chip] = read_exposure(tmp_path / "a.fits").chips
    np.testing.assert_allclose(chip.electrons, 1.5 * image, rtol=1e-6)
    assert chip.electrons.dtype == np.dtype("f4").newbyteorder("=")
