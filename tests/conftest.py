"""Synthetic exposures and a way to call the scripts."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("WANDB_MODE", "disabled")
# Networks this small run no faster on two threads, and much slower on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

REPOSITORY = Path(__file__).parents[1]
REAL_DATA = REPOSITORY.parent / "shared" / "data"

SKY, READ_NOISE = 30.0, 3.1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files with slow tests come first: of two processes none is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def fresh_remarks() -> None:
    """Let every test hear what is said once."""
    from deepcr_lightning.exposures.remarks import forget_remarks

    forget_remarks()


@dataclass
class Result:
    """How a script ended and what it printed."""

    status: int
    out: str
    err: str


def add_cosmic_rays(image: NDArray, rng: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Add short bright tracks to an image; return where."""
    mask = np.zeros(image.shape, bool)
    for _ in range(count):
        y, x = (rng.integers(2, length - 6) for length in image.shape)
        for step in range(rng.integers(2, 5)):
            place = (y + step * rng.integers(0, 2), x + step)
            image[place] += rng.uniform(200, 2000)
            mask[place] = True
    return mask


def scene(shape: tuple[int, int], rng: np.random.Generator, stars: int) -> NDArray:
    """Make a sky with round stars, in electrons, with Poisson and read noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    expected = np.full(shape, SKY)
    for _ in range(stars):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        expected += rng.uniform(200, 5000) / 5 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 1.6)
    return rng.poisson(expected) + rng.normal(0, READ_NOISE, shape)


def write_hst(
    path: Path,
    images: list[NDArray],
    dq: list[NDArray] | None = None,
    *,
    bunit: str | None = "ELECTRONS",
    **cards: object,
) -> Path:
    """Write a WFC3/UVIS-like file: primary header, then SCI, ERR and DQ for each chip."""
    header = {
        "TELESCOP": "HST",
        "INSTRUME": "WFC3",
        "DETECTOR": "UVIS",
        "IMAGETYP": "EXT",
        "TARGNAME": "FIELD",
        "ROOTNAME": path.name.split("_")[0],
        "FILTER": "F336W",
        "EXPTIME": 500.0,
        "FLASHDUR": 0.0,
        **cards,
    }
    primary = fits.PrimaryHDU()
    for key, value in header.items():
        if value is not None:
            primary.header[key] = value
    hdus = fits.HDUList([primary])
    for version, image in enumerate(images, start=1):
        sci = fits.ImageHDU(image.astype(np.float32), name="SCI", ver=version)
        if bunit is not None:
            sci.header["BUNIT"] = bunit
        hdus.append(sci)
        hdus.append(fits.ImageHDU(np.ones_like(image, np.float32), name="ERR", ver=version))
        bits = np.zeros(image.shape, np.int16) if dq is None else dq[version - 1].astype(np.int16)
        hdus.append(fits.ImageHDU(bits, name="DQ", ver=version))
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus.writeto(path, overwrite=True)
    return path


def write_truth(path: Path, mask: NDArray, charge: NDArray | None = None, field: str = "sparse") -> Path:
    """Write a truth file of one chip: CRTRUTH, IGNORE and, if given, CRCHARGE."""
    hdus = fits.HDUList([fits.PrimaryHDU(header=fits.Header({"FIELDTYP": field}))])
    hdus.append(fits.ImageHDU(mask.astype(np.uint8), name="CRTRUTH", ver=1))
    hdus.append(fits.ImageHDU(np.zeros(mask.shape, np.uint8), name="IGNORE", ver=1))
    if charge is not None:
        hdus.append(fits.ImageHDU(charge.astype(np.float32), name="CRCHARGE", ver=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    hdus.writeto(path, overwrite=True)
    return path


def reference(path: str) -> Path:
    """A file of reference data; the test that wants it is skipped where it is absent."""
    if not (REAL_DATA / path).exists():
        pytest.skip(f"reference data {path} is not beside this checkout")
    return REAL_DATA / path


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six science exposures of three visits in two filters with truth, and four darks, 64 x 96 pixels."""
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(7)
    for n in range(6):
        clean = scene((64, 96), rng, stars=6)
        image = clean.copy()
        mask = add_cosmic_rays(image, rng, 12)
        name = f"ivis0{n // 2 + 1}a{n % 2}q"
        write_hst(folder / "science" / f"{name}_flc.fits", [image], FILTER=("F336W", "F814W")[n % 2])
        write_truth(folder / "truth" / f"{name}_truth.fits", mask, image - clean, ("sparse", "cluster")[n // 3])
    for n in range(4):
        image = rng.normal(2, READ_NOISE, (64, 96))
        add_cosmic_rays(image, rng, 25)
        cards = {"IMAGETYP": "DARK", "TARGNAME": "DARK", "EXPTIME": 900.0}
        write_hst(folder / "darks" / f"idrk0{n + 1}d1q_flt.fits", [image], **cards)
    return folder


def call_script(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str, *overrides: str) -> int:
    """Call a script as the command line does, from a folder; return its status."""
    from hydra.core.global_hydra import GlobalHydra

    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [script, *overrides])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    GlobalHydra.instance().clear()
    try:
        runpy.run_path(str(REPOSITORY / script), run_name="__main__")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def run_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Result]:
    """Call train.py or predict.py as the command line does; relative paths lie in a fresh directory."""

    def run(script: str, *overrides: str) -> Result:
        status = call_script(monkeypatch, tmp_path, script, *overrides)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


TINY = (
    "data.tile_size=32",
    "data.batch_size=4",
    "data.tiles_per_epoch=48",
    "model.depth=2",
    "model.hidden=4",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=2",
    "keep_freed_memory=false",
)
"""Overrides that make a run of a second or two; its figures take as long again."""

PLAIN = (*TINY, "~callbacks.figures")
"""The same for runs at whose figures nobody looks."""


@pytest.fixture(scope="session")
def trained(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny network through train.py once; return the folder of its run."""
    folder = tmp_path_factory.mktemp("trained")
    data = [f"data.science={survey}/science", f"data.darks={survey}/darks", f"data.store_dir={folder}/tiles"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert call_script(monkeypatch, folder, "train.py", *data, *TINY, f"hydra.run.dir={folder}/run") == 0
    return folder / "run"
