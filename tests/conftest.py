"""Synthetic exposures in files, and a way to call the scripts."""

from __future__ import annotations

import logging
import os
import re
import resource
import runpy
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archive_server import StandIn

os.environ.setdefault("WANDB_MODE", "disabled")
# Networks this small run no faster on two threads, and much slower on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from omegaconf import DictConfig
from skies import READ_NOISE, add_cosmic_rays, scene

REPOSITORY = Path(__file__).parents[1]
REAL_DATA = REPOSITORY.parent / "shared" / "data"


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
    finally:
        # That of Hydra writes to the standard output of this test, which is closed when the next one logs.
        root = logging.getLogger()
        root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
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


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What runs scripts in forks of this process: they need not import anything, which takes five seconds each."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks" / "reliability"))
    import scripts_in_forks

    scripts_in_forks.warm_up()
    return scripts_in_forks


def wait_until(happened: Callable[[], bool], process: int) -> None:
    """Wait until something has happened, or a fork has ended."""
    end = time.monotonic() + 120
    while time.monotonic() < end and not happened():
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.05)


ON_CPU = ("trainer.accelerator=cpu", "keep_freed_memory=false")
"""Overrides for a command that runs a network in the process of the tests."""


def predict(
    run_script: Callable[..., Result], trained: Path, source: object, *overrides: str, output: str = "out"
) -> Result:
    """Clean exposures through predict.py with the network of a run."""
    return run_script(
        "predict.py",
        f"ckpt_path={trained}/checkpoints/best.ckpt",
        f"input={source}",
        f"output_dir={output}",
        *ON_CPU,
        *overrides,
    )


TINY = (
    "data.tile_size=32",
    "data.batch_size=4",
    "data.tiles_per_epoch=48",
    "model.depth=2",
    "model.hidden=4",
    *ON_CPU,
    "trainer.max_epochs=2",
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
def viewed(survey: Path, tmp_path: Path) -> Path:
    """A folder for the page of view: two exposures, a truth file, and a file that is no image."""
    folder = tmp_path / "in"
    folder.mkdir()
    for n in (1, 2):
        shutil.copy(survey / "science" / f"ivis0{n}a0q_flc.fits", folder)
    write_truth(folder / "ivis01a0q_truth.fits", np.eye(64, 96) > 0)
    (folder / "ivis03a0q_flc.fits").write_text("no image")
    return folder


@pytest.fixture
def view_config(viewed: Path, trained: Path, tmp_path: Path) -> DictConfig:
    """The config of view for that folder, with the tiny network."""
    overrides = [f"ckpt_path={trained}/checkpoints/best.ckpt", f"input={viewed}", f"output_dir={tmp_path}/out"]
    return composed("view", [*overrides, "trainer=cpu", "threshold=0.05", "products=[mask,clean]"], tmp_path)


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
