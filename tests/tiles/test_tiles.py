from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from conftest import REPOSITORY, write_hst, write_truth
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.tiles.build import build_store
from deepcr_lightning.tiles.dark_cr import COSMIC_RAY, UNKNOWN, extract_cr_layers, middle_rates, static_rate
from deepcr_lightning.tiles.sky_tiles import cut_sky_tiles, tile_offsets
from deepcr_lightning.tiles.store import TileStore

DARK = {"IMAGETYP": "DARK", "TARGNAME": "DARK", "EXPTIME": 900.0}


def test_sky_and_noise_see_through_stars() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(50, 6, (300, 300)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] += 5000
    sky, noise = sky_and_noise(image)
    assert sky == pytest.approx(50, abs=0.3)
    assert noise == pytest.approx(6, rel=0.05)


def test_sky_of_a_constant_image_has_noise() -> None:
    assert sky_and_noise(np.full((32, 32), 5, np.float32)) == (5.0, 0.1)


@given(st.integers(16, 400), st.integers(16, 64))
def test_offsets_cover_with_the_fewest_tiles(length: int, size: int) -> None:
    if length < size:
        return
    offsets = tile_offsets(length, size)
    covered = np.zeros(length, bool)
    for offset in offsets:
        assert 0 <= offset <= length - size
        covered[offset : offset + size] = True
    assert covered.all()
    assert len(offsets) == -(-length // size)


def test_tiles_know_where_they_come_from(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.normal(30 + 10 * n, 4, (40, 50)) for n in range(2)]
    dq = [np.zeros((40, 50), int), np.zeros((40, 50), int)]
    dq[1][:, 25:] = 4
    exposure = read_exposure(write_hst(tmp_path / "icau01abq_flc.fits", images, dq))
    tiles = list(cut_sky_tiles(exposure, 32))
    assert [(t.chip, t.y, t.x) for t in tiles] == [
        (1, 0, 0),
        (1, 0, 18),
        (1, 8, 0),
        (1, 8, 18),
        (2, 0, 0),
        (2, 8, 0),
    ], "tiles that are mostly unusable are left out"
    assert tiles[0].sky == pytest.approx(30, abs=0.5)
    assert tiles[-1].sky == pytest.approx(40, abs=0.5)
    assert tiles[0].visit == "icau01"
    np.testing.assert_array_equal(tiles[3].electrons, exposure.chips[0].electrons[8:40, 18:50])


def test_chip_smaller_than_a_tile(tmp_path: Path) -> None:
    exposure = read_exposure(write_hst(tmp_path / "icau01abq_flc.fits", [np.ones((40, 50))]))
    with pytest.raises(InputError, match=r"icau01abq_flc.fits\[SCI,1\]: 40 x 50.*tile of 64.*data.tile_size=32"):
        list(cut_sky_tiles(exposure, 64))


@settings(max_examples=60)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(2, 9), st.just(3), st.just(4)), elements=st.floats(-50, 50, width=16))
)
def test_static_rate_is_the_median_of_the_others(darks: np.ndarray) -> None:
    times = np.ones(len(darks))
    middle = middle_rates(list(darks), times)
    for index in range(len(darks)):
        expected = np.median(np.delete(darks, index, axis=0), axis=0)
        np.testing.assert_allclose(static_rate(darks[index], middle, len(darks)), expected, rtol=1e-6)


def darks_with(hot: tuple[int, int], cosmic_ray: tuple[int, int], count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    darks = [rng.normal(2, 3, (64, 64)).astype(np.float32) for _ in range(count)]
    for dark in darks:
        dark[hot] += 800
    darks[0][cosmic_ray] += 500
    darks[0][cosmic_ray[0], cosmic_ray[1] + 1] += 20
    return darks


def test_cosmic_rays_are_separated_from_hot_pixels() -> None:
    darks = darks_with(hot=(10, 10), cosmic_ray=(30, 30), count=5)
    good = [np.zeros((64, 64), bool)] * 5
    layers = list(extract_cr_layers(darks, good, [900.0] * 5))
    assert layers[0].charge[30, 30] == pytest.approx(500, abs=15)
    assert layers[0].charge[30, 31] == pytest.approx(20, abs=15)
    assert (layers[0].kind[30, 30:32] == COSMIC_RAY).all()
    assert 2 <= (layers[0].kind == COSMIC_RAY).sum() < 20
    assert layers[0].charge[5, 5] != 0, "the noise of the dark is kept everywhere"
    assert layers[0].noise > 0
    for layer in layers:
        assert np.argwhere(layer.kind == UNKNOWN).tolist() == [[10, 10]], "what a hot pixel hides is unknown"
        around = layer.charge[9:12, 9:12].copy()
        around[1, 1] = 0
        assert layer.charge[10, 10] == pytest.approx(around.sum() / 8, abs=1e-3), "and no hole"
    assert sum((layer.kind == COSMIC_RAY).sum() for layer in layers[1:]) < 20


def test_a_hot_pixel_scales_with_exposure_time() -> None:
    darks = darks_with(hot=(10, 10), cosmic_ray=(30, 30), count=4)
    darks[3] = darks[3] / 3
    layers = list(extract_cr_layers(darks, [np.zeros((64, 64), bool)] * 4, [900.0, 900.0, 900.0, 300.0]))
    assert layers[3].kind[10, 10] == UNKNOWN
    assert layers[0].charge[30, 30] > 450


def test_a_single_dark_relies_on_dq() -> None:
    dark = darks_with(hot=(10, 10), cosmic_ray=(30, 30), count=1)[0]
    hot = np.zeros((64, 64), bool)
    hot[10, 10] = True
    (layer,) = extract_cr_layers([dark], [hot], [900.0])
    assert layer.kind[10, 10] == UNKNOWN
    assert layer.charge[30, 30] == pytest.approx(500, abs=15)


def files(folder: Path, kind: str) -> list[Path]:
    return sorted((folder / kind).iterdir())


def test_store_holds_what_the_files_hold(survey: Path, tmp_path: Path) -> None:
    store = build_store(tmp_path, files(survey, "science"), files(survey, "darks"), 32)
    assert len(store) == 6 * 6
    assert store.electrons.shape == (36, 32, 32)
    assert set(store.table["filter"]) == {"F336W", "F814W"}
    assert set(store.table["visit"]) == {"ivis01", "ivis02", "ivis03"}
    chip = read_exposure(files(survey, "science")[0]).chips[0].electrons
    np.testing.assert_array_equal(store.electrons[0], chip[:32, :32])
    assert len(store.layers) == 4
    assert store.layers[0].cr_time == pytest.approx(900, abs=1)
    for layer in range(4):
        charge = store.charge(layer)
        assert charge.shape == (64, 96)
        assert 0.005 < (charge > 100).mean() < 0.1


def test_store_is_built_once_and_again_when_something_changes(survey: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(survey, folder)
    science, darks = files(folder, "science"), files(folder, "darks")

    def built(size: int = 32) -> tuple[Path, int]:
        store = build_store(tmp_path / "stores", science, darks, size)
        return store.folder, (store.folder / "store.json").stat().st_mtime_ns

    first = built()
    assert built() == first
    assert built(size=48)[0] != first[0]
    os.utime(science[0], ns=(1, 1))
    assert built()[0] != first[0]
    darks.pop()
    assert built()[0] != first[0]


def test_two_runs_at_once_share_a_store(survey: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from deepcr_lightning.tiles.build import build_store;"
        "folders = [sorted(Path(f).iterdir()) for f in sys.argv[2:]];"
        "print(build_store(sys.argv[1], *folders, 32).folder)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(survey / "science"), str(survey / "darks")]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) for _ in range(2)]
    folders = {run.communicate()[0].strip() for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert len(folders) == 1
    assert [str(path) for path in tmp_path.iterdir() if path.is_dir()] == list(folders)
    assert len(TileStore(Path(folders.pop()))) == 36


def test_a_store_that_was_not_finished_is_built_again(survey: Path, tmp_path: Path) -> None:
    store = build_store(tmp_path, files(survey, "science"), files(survey, "darks"), 32)
    (store.folder / "store.json").unlink()
    (store.folder / "tiles.bin").write_bytes(b"")
    again = build_store(tmp_path, files(survey, "science"), files(survey, "darks"), 32)
    assert len(again) == 36


def test_kinds_are_not_mixed_up(survey: Path, tmp_path: Path) -> None:
    science, darks = files(survey, "science"), files(survey, "darks")
    with pytest.raises(
        InputError, match=r"idrk01d1q_flt.fits: a dark exposure.*given among the science; give it among the darks"
    ):
        build_store(tmp_path, darks, science, 32)
    with pytest.raises(
        InputError, match=r"ivis01a0q_flc.fits: a science exposure.*given among the darks; give it among the science"
    ):
        build_store(tmp_path, science, science, 32)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "nothing remains of a store that failed"


def test_a_saturated_pixel_of_a_dark_is_charge_and_a_hot_one_is_unknown(survey: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    darks = []
    for n in range(3):
        image, dq = rng.normal(2, 3, (64, 96)), np.zeros((64, 96), int)
        image[20, 20:23], dq[20, 21] = (20_000, 66_000, 20_000), 256
        dq[40, 40], dq[50, 50] = 16, 16 | 256
        image = image if n == 0 else rng.normal(2, 3, (64, 96))
        darks.append(write_hst(tmp_path / f"idrk0{n}d1q_flt.fits", [image], [dq], **DARK))
    store = build_store(tmp_path / "s", files(survey, "science")[:1], darks, 32)
    assert store.charge(0)[20, 21] == pytest.approx(66_000, abs=30)
    assert store.kind(0)[20, 21] == COSMIC_RAY
    assert store.kind(0)[40, 40] == store.kind(0)[50, 50] == UNKNOWN


def test_darks_of_other_places_do_not_mix(survey: Path, tmp_path: Path) -> None:
    darks = []
    for n in range(4):
        image = np.random.default_rng(n).normal(2, 3, (64, 96))
        image[10, 10 + n // 2] += 900
        path = write_hst(tmp_path / f"idrk0{n}d1q_flt.fits", [image], **DARK)
        with fits.open(path, mode="update") as hdus:
            hdus["SCI"].header["LTV2"] = -512.0 * (n // 2)
        darks.append(path)
    store = build_store(tmp_path / "s", files(survey, "science")[:1], darks, 32)
    for n in range(4):
        assert store.kind(n)[10, 10 + n // 2] == UNKNOWN, "the hot pixel of its own place"
        assert abs(store.charge(n)[10, 11 - n // 2]) < 20
        assert not (store.kind(n)[10, 10:12] == COSMIC_RAY).any()


@pytest.mark.parametrize(
    ("cards", "camera"),
    [
        ({"INSTRUME": "ACS", "DETECTOR": "WFC"}, "ACS WFC 1x1"),
        ({"BINAXIS1": 2, "BINAXIS2": 2}, "WFC3 UVIS 2x2"),
        ({"CCDSUM": "3 1"}, "WFC3 UVIS 3x1"),
    ],
)
def test_darks_of_another_camera_or_binning_are_refused(
    survey: Path, tmp_path: Path, cards: dict[str, object], camera: str
) -> None:
    dark = write_hst(tmp_path / "idrk01d1q_flt.fits", [np.ones((64, 96))], **(DARK | cards))
    with pytest.raises(InputError, match=rf"idrk01d1q_flt.fits: of {camera}, but ivis01a0q_flc.fits of WFC3 UVIS 1x1"):
        build_store(tmp_path / "s", files(survey, "science"), [dark], 32)


def test_a_dark_alone_is_said(survey: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        build_store(tmp_path, files(survey, "science")[:1], files(survey, "darks")[:1], 32)
    assert "the only dark of its chip" in caplog.text


def test_store_dir_must_be_writable(survey: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"data\.store_dir="):
        build_store(tmp_path / "file", files(survey, "science"), files(survey, "darks"), 32)


def test_small_darks_are_refused(survey: Path, tmp_path: Path) -> None:
    dark = write_hst(tmp_path / "idrk01d1q_flt.fits", [np.ones((24, 24))], **DARK)
    with pytest.raises(InputError, match=r"a dark of 24 x 24 pixels, smaller than a tile of 32"):
        build_store(tmp_path / "s", files(survey, "science"), [dark], 32)


def test_cosmic_rays_of_unknown_charge_become_gaps(survey: Path, tmp_path: Path) -> None:
    first, *_ = files(survey, "science")
    mask = np.zeros((64, 96), bool)
    mask[20, 30:34] = True
    truth = write_truth(tmp_path / "ivis01a0q_truth.fits", mask)
    store = build_store(tmp_path / "s", [first], files(survey, "darks"), 32, truths={"ivis01a0q": truth})
    assert store.own_charge is not None
    assert not store.own_charge.any()
    (tile,) = (n for n in range(len(store)) if (store.table["y"][n], store.table["x"][n]) == (0, 0))
    assert not store.usable[tile][19:22, 29:].any()
    assert store.usable[tile].mean() > 0.9
