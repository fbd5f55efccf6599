from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from conftest import PLAIN, TINY, Result, add_cosmic_rays, call_script, scene
from numpy.typing import NDArray

from deepcr_lightning.batches.normalise import denormalise, normalise
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.networks.holes import PLANES, bridge, saturated_by_stars, spread_over_stars
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.prediction.fill import FILLS
from deepcr_lightning.prediction.network_fill import CosmicRayFiller, load_filler
from deepcr_lightning.training.checkpoint import DESCRIPTION_KEY, load_model
from deepcr_lightning.training.fill_checkpoint import FillModel, load_fill_model
from deepcr_lightning.training.inpainter import CosmicRayInpainter, square_error

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


@pytest.fixture
def exposure() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return an image, the same with cosmic rays, and where these are; sides that divide by nothing."""
    rng = np.random.default_rng(3)
    clean = scene((75, 101), rng, stars=12).astype(np.float32)
    image = clean.copy()
    return clean, image, add_cosmic_rays(image, rng, 30)


def test_the_scale_goes_back() -> None:
    electrons = torch.tensor([[-30.0, 0.0, 20.0, 21.0, 500.0, 7e4]])
    assert torch.allclose(denormalise(normalise(electrons, 20.0, 5.0), 20.0, 5.0), electrons, rtol=1e-4, atol=1e-3)


def test_a_bridge_keeps_what_is_known_and_does_not_see_what_is_not() -> None:
    image = torch.randn(2, 1, 20, 24)
    known = torch.rand(2, 1, 20, 24) > 0.3
    known[1, :, 3:19, 3:22] = False
    laid = bridge(image, known)
    assert torch.equal(laid[known], image[known])
    assert torch.equal(bridge(torch.where(known, image, 1e4), known), laid)
    assert laid.isfinite().all()
    ramp = torch.arange(24.0).expand(1, 1, 20, 24)
    one = torch.ones(1, 1, 20, 24, dtype=torch.bool)
    one[..., 10, 12] = False
    assert bridge(ramp, one)[0, 0, 10, 12] == pytest.approx(12, abs=1e-4)


def test_holes_are_added_cosmic_rays_and_their_truth_has_none(survey: Path) -> None:
    size = 32
    truth = torch.full((2, 1, size, size), 40.0) + torch.randn(2, 1, size, size)
    charge, mask = torch.zeros_like(truth), torch.zeros_like(truth)
    charge[..., 10, 5:9], mask[..., 10, 5:9] = 900.0, 1.0
    sky, noise = torch.full((2, 1, 1, 1), 40.0), torch.full((2, 1, 1, 1), 5.0)
    ignore = torch.zeros_like(truth, dtype=torch.bool)
    ignore[..., 10, 8] = True
    composed = {"image": normalise(truth + charge, sky, noise), "cr_mask": mask, "charge": charge}
    composed |= {"ignore": ignore, "unusable": ignore}
    module = CosmicRayInpainter(hidden=4, copies=0)
    holes = module.holes({**composed, "sky": sky, "noise": noise})
    assert torch.allclose(holes["truth"], normalise(truth, sky, noise), atol=1e-3)
    assert int(holes["scored"][0].sum()) == 3  # one of the four is of no use
    assert int(holes["scored"][1].sum()) == 17  # every fourth tile has its holes grown by a ring
    assert not holes["known"][..., 10, 5:9].any()
    # The tile's own CR is a hole that nobody knows the truth of, with all that touches it.
    struck = truth.clone()
    struck[..., 20, 15:18] += 900.0
    holes = module.holes({**composed, "image": normalise(struck + charge, sky, noise), "sky": sky, "noise": noise})
    assert not holes["known"][..., 19:22, 14:19].any()
    assert not holes["scored"][..., 15:, :].any()


def test_saturated_pixels_of_stars_are_told_unless_a_hole_hides_them() -> None:
    electrons = torch.full((1, 1, 12, 12), 40.0)
    usable, hole = torch.ones_like(electrons, dtype=torch.bool), torch.zeros_like(electrons, dtype=torch.bool)
    electrons[..., 2, :4] = torch.tensor([900.0, 68_000.0, 68_000.0, 300.0])
    usable[..., 2, 1:4] = False
    hole[..., 2, 2] = True
    electrons[..., 9, 8:11], usable[..., 9, 8:10], hole[..., 9, 10] = 68_000.0, False, True  # a CR, and all it touches
    electrons[..., 6, 0], usable[..., 6, 0] = torch.inf, False
    electrons[..., 6, 1], usable[..., 6, 1] = torch.nan, False
    saturated = saturated_by_stars(normalise(electrons, 40.0, 5.0), usable & ~hole, ~usable & ~hole)[0, 0]
    assert saturated.nonzero().tolist() == [[2, 1]]


def test_trails_of_saturated_stars_are_hit_as_stars_are() -> None:
    electrons = torch.full((4, 1, 64, 64), 40.0)
    electrons[..., 8:40, 30] = 68_000.0
    electrons[..., 40, 31:33] = 400.0  # the star, which lights its trail
    electrons[..., 8:40, 31] = 400.0
    unusable = electrons > 60_000
    mask = torch.zeros_like(unusable)
    mask[..., 50:53, 50] = True
    sky, noise = torch.full((4, 1, 1, 1), 40.0), torch.full((4, 1, 1, 1), 6.0)
    composed = {"image": normalise(electrons + 900 * mask, sky, noise), "cr_mask": mask.float(), "charge": 900.0 * mask}
    module = CosmicRayInpainter(hidden=4)
    module._own_logit = float("inf")  # nothing is an own CR
    holes = module.holes({**composed, "sky": sky, "noise": noise, "ignore": unusable, "unusable": unusable})
    assert holes["saturated"].any()
    assert not (holes["saturated"] & ~unusable).any()
    left = holes["scored"][2:, :, 8:40, 28:30]  # of tiles whose holes are not grown
    assert left.any(), "the dark side of a trail, which its light makes nobody hit"


def test_holes_are_cut_again_on_stars() -> None:
    hole = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    hole[0, 0, 4, 5:9] = True
    light = torch.zeros(2, 1, 32, 32)
    light[:, 0, 20, 20] = 30.0
    # A cosmic ray with a faint rim, of which the hole is the bright part.
    charge = torch.zeros(2, 1, 32, 32)
    charge[0, 0, 4, 4:10] = torch.tensor([7.0, 90.0, 80.0, 70.0, 60.0, 7.0])
    again = [spread_over_stars(hole, charge, light, 3, 6, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(again[0][0], again[1][0]), "the same generator cuts the same"
    for cut, spread in again:
        assert (hole <= cut).all(), "holes away from stars stay"
        assert cut[0, 0, 20, 20]
        assert cut[0].sum() == 8, "a star is hit by one copy at a time"
        assert not cut[1].any(), "a tile without holes gets none"
        assert torch.equal(spread > 50, cut), "the charge goes where the holes go"
        assert int((spread == 7).sum()) == 4, "with its rim"
    nothing, spread = spread_over_stars(hole, charge, torch.zeros_like(light), 3, 6, torch.Generator())
    assert torch.equal(nothing, hole), "nothing to hit"
    assert torch.equal(spread, charge)
    # At a corner, what would lie beyond it is left out.
    light[:, 0, 20, 20], light[:, 0, 31, 31] = 0.0, 30.0
    corner, _ = spread_over_stars(hole, charge, light, 1, 6, torch.Generator().manual_seed(0))
    assert corner.shape == hole.shape
    assert corner[0, 0, 31, 31]


def test_no_added_cosmic_ray_is_left_where_holes_are_cut_on_stars() -> None:
    rng = np.random.default_rng(4)
    truth = torch.from_numpy(scene((64, 64), rng, stars=20).astype(np.float32)).expand(4, 1, -1, -1).clone()
    mask = torch.from_numpy(add_cosmic_rays(np.zeros((64, 64), np.float32), rng, 25)).expand(4, 1, -1, -1)
    charge = mask * 2000.0
    sky, noise = torch.full((4, 1, 1, 1), 30.0), torch.full((4, 1, 1, 1), 6.0)
    none = torch.zeros_like(mask)
    composed = {"image": normalise(truth + charge, sky, noise), "cr_mask": mask.float(), "charge": charge}
    module = CosmicRayInpainter(hidden=4)
    holes = module.holes({**composed, "sky": sky, "noise": noise, "ignore": none, "unusable": none})
    assert (holes["known"] & mask).any(), "some have gone for a star's holes"
    assert torch.allclose(holes["image"][holes["known"]], holes["truth"][holes["known"]], atol=1e-3)
    assert holes["scored"][1].sum() > holes["scored"][2].sum(), "grown in every fourth tile"


def test_the_loss_is_between_ratios_and_noise() -> None:
    truth = torch.tensor([0.0, 40.0])
    scored = torch.tensor([True, True])
    weights = [
        square_error(truth + step, truth, scored) for step in (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    ]
    assert float(weights[1] / weights[0]) == pytest.approx(np.cosh(4.0) ** 0.5, rel=1e-4)
    assert square_error(truth + 1, truth, ~scored) == 0


def test_a_bridge_is_smooth_where_a_star_is() -> None:
    y, x = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    # The logarithm of a Gaussian is a paraboloid, and the smoothest surface through one is the paraboloid itself.
    star = (30 - ((y - 15.3) ** 2 + (x - 14.8) ** 2) / 4)[None, None]
    known = torch.ones_like(star, dtype=torch.bool)
    known[..., 14:17, 14:17] = False
    assert torch.allclose(bridge(star, known), star, atol=0.05)
    assert torch.equal(bridge(torch.where(known, star, torch.nan), known), bridge(star, known))


def test_training_keeps_a_checkpoint_that_says_it_fills(run_folder: Path, tmp_path: Path, run_script: Run) -> None:
    assert (run_folder / "figures" / "filled.png").is_file()
    assert (run_folder / "figures" / "history.png").is_file()
    page = (run_folder / "report.html").read_text()
    assert "fill=network" in page
    assert "fill_ckpt_path=" in page
    model = load_fill_model(run_folder / "checkpoints" / "best.ckpt")
    assert model.description["kind"] == "filler"
    assert set(model.description["data"]["filters"]) == {"F336W", "F814W"}
    result = run_script("train.py", f"ckpt_path={run_folder}/checkpoints/last.ckpt", "trainer.max_epochs=2")
    assert result.status == 0, result.err
    last = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 24, "two epochs of twelve steps"


def test_finders_and_fillers_are_told_apart(run_folder: Path, trained: Path, survey: Path, run_script: Run) -> None:
    filler, finder = run_folder / "checkpoints" / "best.ckpt", trained / "checkpoints" / "best.ckpt"
    with pytest.raises(InputError, match="fills cosmic rays and finds none"):
        load_model(filler)
    with pytest.raises(InputError, match="finds cosmic rays and fills none"):
        load_filler(finder)
    with pytest.raises(InputError, match="no such file"):
        load_filler("nowhere.ckpt")
    settings = (f"input={survey}/science", "output_dir=out", "products=[clean]", "fill=network")
    for given, message in (
        ((f"ckpt_path={filler}",), "finds none"),
        ((f"ckpt_path={finder}", f"fill_ckpt_path={finder}"), "fills none"),
        ((f"ckpt_path={finder}",), "fill=network needs fill_ckpt_path="),
    ):
        result = run_script("predict.py", *settings, *given)
        assert result.status == 1
        assert message in result.err
        assert result.err.count("\n") == 1
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    last = trained / "checkpoints" / "last.ckpt"
    result = run_script("train.py", "experiment=inpaint", *data, *PLAIN, f"ckpt_path={last}", "hydra.run.dir=run")
    assert result.status == 1
    assert "is of a finder" in result.err


def test_a_filler_of_an_earlier_version_is_refused(run_folder: Path, tmp_path: Path, run_script: Run) -> None:
    old = tmp_path / "old.ckpt"
    checkpoint = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    checkpoint[DESCRIPTION_KEY].pop("recipe")
    torch.save(checkpoint, old)
    with pytest.raises(InputError, match=r"of an earlier version.*train it again"):
        load_filler(old)
    config = (run_folder / "config.yaml").read_bytes()
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_bytes(config)
    (folder / "overrides.yaml").write_bytes((run_folder / "overrides.yaml").read_bytes())
    old.rename(folder / "checkpoints" / "last.ckpt")
    result = run_script("train.py", f"ckpt_path={folder}/checkpoints/last.ckpt", f"hydra.run.dir={folder}")
    assert result.status == 1
    assert "of an earlier version" in result.err
    assert "begin anew" in result.err


def test_pixels_that_are_no_number_spoil_none(exposure: tuple[NDArray, NDArray, NDArray]) -> None:
    _, image, mask = exposure
    torch.manual_seed(0)
    fill = CosmicRayFiller(FillModel(UNet(2, 4, inputs=PLANES).eval(), {}, Path("net.ckpt"), "0" * 64))
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
    torch.manual_seed(0)
    fill = CosmicRayFiller(FillModel(UNet(2, 4, inputs=PLANES).eval(), {}, Path("net.ckpt"), "0" * 64))
    before = image.copy()
    whole = fill(image, mask)
    monkeypatch.setattr("deepcr_lightning.prediction.network_fill._TILE", 32)
    assert np.allclose(fill(image, mask), whole, rtol=1e-4)
    assert np.array_equal(image, before)
    # What the charge was, and what stands on a pixel of no use, makes no difference.
    bad = np.zeros_like(mask)
    bad[40:42, 50:60] = True
    spoilt = np.where(mask, np.float32(6e4), np.where(bad, np.float32(3e3), image))
    usable = ~bad
    assert np.array_equal(fill(spoilt, mask, usable)[mask], fill(image, mask, usable)[mask])


@pytest.mark.parametrize("name", ["network", *FILLS])
def test_bad_masks_are_refused(name: str, exposure: tuple[NDArray, NDArray, NDArray]) -> None:
    _, image, mask = exposure
    net = FillModel(UNet(1, 2, inputs=PLANES).eval(), {}, Path("net.ckpt"), "0" * 64)
    fill = CosmicRayFiller(net) if name == "network" else FILLS[name]
    with pytest.raises(InputError, match=r"mask: has shape \(75, 100\) and the image \(75, 101\)"):
        fill(image, mask[:, :-1], np.ones_like(mask))
    with pytest.raises(InputError, match="mask: is of type uint8"):
        fill(image, mask.astype(np.uint8), np.ones_like(mask))  # type: ignore[arg-type]
    if name == "network":
        with pytest.raises(InputError, match="leaves no good pixel"):
            fill(image, np.ones_like(mask), np.ones_like(mask))
    assert np.array_equal(fill(image, np.zeros_like(mask), np.ones_like(mask)), image)
