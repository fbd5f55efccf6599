from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from conftest import PLAIN, TINY, Result, call_script
from numpy.typing import NDArray
from skies import add_cosmic_rays, scene

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.inpainting.fill_model import FillModel, load_fill_model
from deepcr_lightning.inpainting.filler import CosmicRayFiller, load_filler
from deepcr_lightning.inpainting.network import Filler
from deepcr_lightning.models.card import FillerCard
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.models.model import load_model
from deepcr_lightning.prediction.fill import FILLS

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def run_folder(survey: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny network that fills, through train.py; return the folder of its run."""
    folder = tmp_path_factory.mktemp("inpaint")
    data = [f"data.science={survey}/science", f"data.darks={survey}/darks", f"data.store_dir={folder}/tiles"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        settings = ["experiment=inpaint", *data, *TINY, "trainer.max_epochs=1", f"hydra.run.dir={folder}/run"]
        assert call_script(monkeypatch, folder, "train.py", *settings) == 0
    return folder / "run"


def untrained() -> CosmicRayFiller:
    """Make a network of no use, whose U-Net has a say all the same."""
    torch.manual_seed(0)
    net = Filler(2, 4).eval()
    torch.nn.init.normal_(net.unet.out.weight, std=0.5)
    return CosmicRayFiller(FillModel(net, FillerCard(network={}), Path("net.ckpt"), "0" * 64))


@pytest.fixture
def exposure() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return an image, the same with cosmic rays, and where these are; sides that divide by nothing."""
    rng = np.random.default_rng(3)
    clean = scene((75, 101), rng, stars=12).astype(np.float32)
    image = clean.copy()
    return clean, image, add_cosmic_rays(image, rng, 30)


def test_training_keeps_a_checkpoint_that_says_it_fills(run_folder: Path, tmp_path: Path, run_script: Run) -> None:
    assert (run_folder / "figures" / "filled.png").is_file()
    assert (run_folder / "figures" / "history.png").is_file()
    page = (run_folder / "report.html").read_text()
    assert "fill=network" in page
    assert "fill_ckpt_path=" in page
    model = load_fill_model(run_folder / "checkpoints" / "best.ckpt")
    assert model.card.kind == "filler"
    assert set(model.card.data.filters) == {"F336W", "F814W"}
    result = run_script("train.py", f"ckpt_path={run_folder}/checkpoints/last.ckpt", "trainer.max_epochs=2")
    assert result.status == 0, result.err
    last = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 24, "two epochs of twelve steps"


def test_finders_and_fillers_are_told_apart(run_folder: Path, trained: Path, survey: Path, run_script: Run) -> None:
    filler, finder = run_folder / "checkpoints" / "best.ckpt", trained / "checkpoints" / "best.ckpt"
    with pytest.raises(InputError, match="is an inpainting network, not a detector"):
        load_model(filler)
    with pytest.raises(InputError, match="is a detector, not an inpainting network"):
        load_filler(finder)
    with pytest.raises(InputError, match="no such file"):
        load_filler("nowhere.ckpt")
    settings = (f"input={survey}/science", "output_dir=out", "products=[clean]", "fill=network")
    for given, message in (
        ((f"ckpt_path={filler}",), "not a detector; pass it as fill_ckpt_path="),
        ((f"ckpt_path={finder}", f"fill_ckpt_path={finder}"), "not an inpainting network"),
        ((f"ckpt_path={finder}", "fill_ckpt_path=nowhere.ckpt"), "fill_ckpt_path=nowhere.ckpt: no such file"),
    ):
        result = run_script("predict.py", *settings, *given)
        assert result.status == 1
        assert message in result.err
        assert result.err.count("\n") == 1
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    last = trained / "checkpoints" / "last.ckpt"
    result = run_script("train.py", "experiment=inpaint", *data, *PLAIN, f"ckpt_path={last}", "hydra.run.dir=run")
    assert result.status == 1
    assert "is a detector; resume without model=inpaint" in result.err


def test_a_filler_of_an_earlier_version_is_refused(run_folder: Path, tmp_path: Path, run_script: Run) -> None:
    old = tmp_path / "old.ckpt"
    checkpoint = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint[DESCRIPTION_KEY].pop("recipe")
    torch.save(checkpoint, old)
    with pytest.raises(InputError, match=r"by an earlier version.*train it again"):
        load_filler(old)
    config = (run_folder / "config.yaml").read_bytes()
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_bytes(config)
    (folder / "overrides.yaml").write_bytes((run_folder / "overrides.yaml").read_bytes())
    old.rename(folder / "checkpoints" / "last.ckpt")
    result = run_script("train.py", f"ckpt_path={folder}/checkpoints/last.ckpt", f"hydra.run.dir={folder}")
    assert result.status == 1
    assert "by an earlier version" in result.err
    assert "start a new run" in result.err


def test_pixels_that_are_no_number_spoil_none(exposure: tuple[NDArray, NDArray, NDArray]) -> None:
    _, image, mask = exposure
    fill = untrained()
    usable = np.ones_like(mask)
    usable[40, 50] = usable[41, 60] = usable[42, 70] = False
    spoilt = image.copy()
    spoilt[40, 50], spoilt[41, 60], spoilt[42, 70] = np.inf, np.nan, -np.inf
    expected = fill(image, mask, usable)[mask & usable]
    assert np.array_equal(fill(spoilt, mask, usable)[mask & usable], expected)
    assert np.array_equal(fill(spoilt, mask)[mask & usable], expected)


def test_prediction_fills_masked_pixels_and_no_others(
    run_folder: Path, trained: Path, survey: Path, run_script: Run, tmp_path: Path
) -> None:
    source, filler = survey / "science" / "ivis01a0q_flc.fits", run_folder / "checkpoints" / "best.ckpt"
    result = run_script(
        "predict.py",
        f"ckpt_path={trained}/checkpoints/best.ckpt",
        f"input={source}",
        "output_dir=out",
        "products=[mask,clean]",
        "threshold=0.05",
        "fill=network",
        f"fill_ckpt_path={filler}",
        "trainer.accelerator=cpu",
    )
    assert result.status == 0, result.err
    chip = read_exposure(source).chips[0]
    mask = fits.getdata(tmp_path / "out" / "ivis01a0q_crmask.fits", "CRMASK") > 0
    path = tmp_path / "out" / "ivis01a0q_crclean.fits"
    cleaned = fits.getdata(path, "SCI")
    assert mask.any()
    assert np.array_equal(cleaned[~mask], fits.getdata(source, "SCI")[~mask])
    expected = load_filler(filler)(chip.electrons, mask, ~chip.unusable)
    assert np.allclose(cleaned[mask], expected[mask], rtol=1e-5)
    assert fits.getheader(path)["DCRFILL"].startswith("network best.ckpt ")


def test_a_chip_in_tiles_is_that_of_the_whole(
    exposure: tuple[NDArray, NDArray, NDArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, image, mask = exposure
    fill = untrained()
    before = image.copy()
    whole = fill(image, mask)
    monkeypatch.setattr("deepcr_lightning.inpainting.filler._TILE", 32)
    assert np.allclose(fill(image, mask), whole, rtol=1e-4)
    assert np.array_equal(image, before)
    # What the charge was, and what stands on a pixel of no use, makes no difference.
    bad = np.zeros_like(mask)
    bad[40:42, 50:60] = True
    spoilt = np.where(mask, np.float32(6e4), np.where(bad, np.float32(3e3), image))
    usable = ~bad
    assert np.array_equal(fill(spoilt, mask, usable)[mask], fill(image, mask, usable)[mask])


@pytest.mark.parametrize(("stars", "bounded"), [(40, True), (1, False)])
def test_nothing_is_filled_fainter_or_brighter_than_what_is_known(stars: int, bounded: bool) -> None:
    rng = np.random.default_rng(8)
    image = rng.normal(30, 6, (96, 96)).astype(np.float32)
    y, x = np.indices(image.shape)
    places = rng.uniform(5, 91, (stars, 2))
    for row, column in places:
        image += 2e3 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2).astype(np.float32)
    mask = rng.random(image.shape) < 0.02
    row, column = np.rint(places[0]).astype(int)
    mask[row - 1 : row + 2, column - 1 : column + 2] = True
    for sign, holds in ((1, bounded), (-1, True)):
        fill = untrained()
        torch.nn.init.zeros_(fill.net.unet.out.weight)
        torch.nn.init.constant_(fill.net.unet.out.bias, 50.0 * sign)
        fill = CosmicRayFiller(FillModel(fill.net, FillerCard(network={}), Path("net.ckpt"), "0" * 64))
        made = fill(image, mask)[mask]
        known = image[~mask]
        inside = made.max() <= known.max() * (1 + 1e-5) and made.min() >= known.min() - 1e-2
        assert inside == holds


@pytest.mark.parametrize("name", ["network", *FILLS])
def test_bad_masks_are_refused(name: str, exposure: tuple[NDArray, NDArray, NDArray]) -> None:
    _, image, mask = exposure
    fill = untrained() if name == "network" else FILLS[name]
    with pytest.raises(InputError, match=r"mask: has shape \(75, 100\), but the image has \(75, 101\)"):
        fill(image, mask[:, :-1], np.ones_like(mask))
    with pytest.raises(InputError, match="mask: has type uint8"):
        fill(image, mask.astype(np.uint8), np.ones_like(mask))  # type: ignore[arg-type]
    if name == "network":
        with pytest.raises(InputError, match="no good pixel is left"):
            fill(image, np.ones_like(mask), np.ones_like(mask))
    assert np.array_equal(fill(image, np.zeros_like(mask), np.ones_like(mask)), image)
