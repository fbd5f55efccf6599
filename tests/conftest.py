"""Synthetic exposures and a way to call the scripts."""

from __future__ import annotations

import math
import os
import re
import resource
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archive_server import StandIn
    from torch import Tensor

os.environ.setdefault("WANDB_MODE", "disabled")
# Networks this small run no faster on two threads, and much slower on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from omegaconf import DictConfig

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


def moffat(y: NDArray, x: NDArray, fwhm: float, trail: float = 0.0) -> NDArray:
    """Moffat light of peak 1 around the origin, drawn out at 30 degrees."""
    scale = fwhm / (2 * math.sqrt(2**0.4 - 1))
    places = np.linspace(-trail / 2, trail / 2, 1 + 2 * int(trail))
    return np.mean([(1 + ((x - 0.87 * t) ** 2 + (y - 0.5 * t) ** 2) / scale**2) ** -2.5 for t in places], axis=0)


def star_field(fwhm: float, count: int, rng: np.random.Generator, size: int = 320, trail: float = 0.0) -> NDArray:
    """Stars with peaks of 30 to 1000 times the noise, integrated over the pixels."""
    light = np.zeros((size, size))
    fine_pixels = 3
    reach = int(4 * fwhm + trail) + 2
    fine = (np.arange((2 * reach + 1) * fine_pixels) + 0.5) / fine_pixels - 0.5 - reach
    for _ in range(count):
        row, column = rng.integers(reach, size - reach, 2)
        dy, dx = rng.uniform(-0.5, 0.5, 2)
        stamp = moffat(fine[:, None] - dy, fine[None, :] - dx, fwhm, trail)
        stamp = stamp.reshape(2 * reach + 1, fine_pixels, -1, fine_pixels).mean((1, 3))
        peak = 8 * 10 ** rng.uniform(1.5, 3)
        light[row - reach : row + reach + 1, column - reach : column + reach + 1] += peak * stamp / stamp.max()
    return light


def observe(light: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Observe light on a sky of 50 electrons, with a read noise of 4."""
    return (rng.poisson(50 + light) + rng.normal(0, 4, light.shape)).astype(np.float32)


SHAPE = (120, 120)
"""Shape of the images of `sky_of`."""


def sky_of(flux: NDArray, y: NDArray, x: NDArray, rng: np.random.Generator) -> NDArray:
    """Stars of the PSF that photometry can know, on a sky with noise, in electrons."""
    from deepcr_lightning.photometry.psf_of_stars import gaussian_psf

    expected = np.full(SHAPE, SKY)
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    stamps = gaussian_psf(1.8).stamps(y - row, x - column, 5) * flux[:, None, None]
    for top, left, stamp in zip(row - 5, column - 5, stamps, strict=True):
        expected[top : top + 11, left : left + 11] += stamp
    return rng.poisson(np.maximum(expected, 0)) + rng.normal(0, READ_NOISE, SHAPE)


def grid_of_stars(rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Places of 81 stars that do not touch."""
    y, x = (10 + 12 * axis.ravel() + rng.uniform(-2, 2, 81) for axis in np.mgrid[:9, :9])
    return y, x


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


def weights_of(norm: str, hidden: int = 4, prefix: str = "module.") -> dict[str, Tensor]:
    """Random weights under the names of the package deepCR."""
    import torch

    torch.manual_seed(3)
    convolutions = {"inc.conv.conv": (1, 1), "down1.mpconv.1.conv": (1, 2), "up8.conv.conv": (2, 1)}
    state: dict[str, Tensor] = {
        "up8.up.weight": torch.randn(2 * hidden, hidden, 2, 2) / 4,
        "up8.up.bias": torch.randn(hidden),
        "outc.conv.weight": torch.randn(1, hidden, 1, 1),
        "outc.conv.bias": torch.randn(1),
    }
    for name, (inputs, outputs) in convolutions.items():
        first = 1 if name.startswith("inc") else inputs * hidden
        for place, channels in enumerate((first, outputs * hidden)):
            key = f"{name}.{place * (2 if norm == 'weight' else 3)}"
            weight = torch.randn(outputs * hidden, channels, 3, 3) / 5
            state[f"{key}.bias"] = torch.randn(outputs * hidden)
            if norm == "weight":
                state |= {f"{key}.weight_v": weight, f"{key}.weight_g": torch.rand(outputs * hidden, 1, 1, 1) + 0.5}
            else:
                state[f"{key}.weight"] = weight
                after = f"{name}.{place * 3 + 1}"
                for kind in ("weight", "bias", "running_mean", "running_var"):
                    state[f"{after}.{kind}"] = torch.rand(outputs * hidden) + 0.2
                state[f"{after}.num_batches_tracked"] = torch.tensor(7)
    return {prefix + key: value for key, value in state.items()}


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


def last_line(text: str) -> str:
    """Return the last line of what a script printed."""
    # A progress bar that was wiped stands before the message, as on a terminal.
    return re.split(r"[\r\n]|\x1b\[A", text.strip())[-1].strip()


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def composed(name: str, overrides: list[str], run_dir: Path) -> DictConfig:
    """Compose a config as Hydra does for a script."""
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig

    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        cfg = compose(name, overrides, return_hydra_config=True)
    cfg.hydra.runtime.output_dir = str(run_dir)
    HydraConfig.instance().set_config(cfg)
    return cfg


def call_script(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str, *overrides: str) -> int:
    """Call a script, or a command of the console by its name, as the command line does; return its status."""
    from hydra.core.global_hydra import GlobalHydra

    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [script, *overrides])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    GlobalHydra.instance().clear()
    try:
        if script.endswith(".py"):
            runpy.run_path(str(REPOSITORY / script), run_name="__main__")
        else:
            from deepcr_lightning.__main__ import main

            sys.argv[:1] = ["deepcr-lightning", script]
            main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def run_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Result]:
    """Call train.py, or train of the console command; relative paths lie in a fresh directory."""

    def run(script: str, *overrides: str) -> Result:
        status = call_script(monkeypatch, tmp_path, script, *overrides)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


def predict(
    run_script: Callable[..., Result], trained: Path, source: object, *overrides: str, output: str = "out"
) -> Result:
    """Clean exposures through predict.py with the network of a run."""
    return run_script(
        "predict.py",
        f"ckpt_path={trained}/checkpoints/best.ckpt",
        f"input={source}",
        f"output_dir={output}",
        "trainer.accelerator=cpu",
        "keep_freed_memory=false",
        *overrides,
    )


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


@pytest.fixture
def archive(survey: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A stand-in for MAST that holds the survey and is what the package asks."""
    from archive_server import Running, StandIn

    pytest.importorskip("astroquery")
    held = StandIn()
    held.fill(survey)
    with Running(held):
        monkeypatch.setenv("DEEPCR_LIGHTNING_MAST", held.url)
        monkeypatch.delenv("MAST_API_TOKEN", raising=False)
        yield held
