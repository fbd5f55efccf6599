from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from conftest import PLAIN, Result
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning.callbacks import ModelCheckpoint

from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.errors import InputError
from deepcr_lightning.models.checkpoint import read_checkpoint
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.scale import OURS
from deepcr_lightning.training.averaging import WarmEMA
from deepcr_lightning.training.losses import LOSSES, calibrated_bce_with_logits, masked_bce_with_logits
from deepcr_lightning.training.segmenter import CosmicRaySegmenter
from deepcr_lightning.training.two_phases import TwoPhases

NOTHING = torch.zeros(1, 1, 1, 1, dtype=torch.bool)
largest = float(np.finfo(np.float32).max)


def pixel(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


@given(
    st.floats(-largest, largest, width=32),
    st.sampled_from([0.0, 1.0]),
    st.floats(0, 1, exclude_min=True, allow_subnormal=False, width=32),
)
def test_losses_are_finite_for_any_finite_logit(logit: float, label: float, share: float) -> None:
    for loss in LOSSES.values():
        logits = pixel(logit).requires_grad_()
        value = loss(logits, pixel(label), NOTHING, torch.tensor([share]))
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]


def test_many_huge_losses_do_not_overflow() -> None:
    logits = torch.full((1, 1, 64, 64), -largest)
    for loss in LOSSES.values():
        value = loss(logits, torch.ones_like(logits), torch.zeros_like(logits, dtype=torch.bool), torch.tensor([1.0]))
        assert torch.isfinite(value)


@given(st.floats(-15, 15), st.sampled_from([0.0, 1.0]), st.floats(0.01, 1))
def test_calibrated_loss_is_the_likelihood(logit: float, label: float, share: float) -> None:
    q = 1 / (1 + math.exp(-logit))
    expected = -math.log(share * q) if label else -math.log(1 - share * q)
    loss = calibrated_bce_with_logits(
        pixel(logit).double(), pixel(label).double(), NOTHING, torch.tensor([share], dtype=torch.float64)
    )
    assert float(loss) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_with_everything_labelled_both_losses_agree() -> None:
    logits, labels = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    ignore = torch.rand(2, 1, 8, 8) > 0.7
    plain, calibrated = (loss(logits, labels, ignore, torch.ones(2)) for loss in LOSSES.values())
    torch.testing.assert_close(plain, calibrated)


@pytest.mark.parametrize("share", [0.3, 0.72])
def test_optimum_is_the_probability_of_a_cosmic_ray(share: float) -> None:
    """Of pixels that are CRs with chance 0.6, a share c carries the label: the loss must find 0.6, plain BCE 0.6 c."""
    chance = 0.6
    for loss, optimum in ((calibrated_bce_with_logits, chance), (masked_bce_with_logits, chance * share)):
        q = torch.linspace(0.001, 0.999, 999)
        logits = torch.logit(q).view(-1, 1, 1, 1)
        labelled = chance * share
        losses = [
            labelled * loss(z.view(1, 1, 1, 1), pixel(1.0), NOTHING, torch.tensor([share]))
            + (1 - labelled) * loss(z.view(1, 1, 1, 1), pixel(0.0), NOTHING, torch.tensor([share]))
            for z in logits
        ]
        assert float(q[torch.stack(losses).argmin()]) == pytest.approx(optimum, abs=0.002)


def test_ignored_pixels_do_not_count() -> None:
    logits, labels = torch.randn(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    ignore = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    ignore[..., 2:] = True
    for loss in LOSSES.values():
        changed = torch.where(ignore, logits + 50, logits)
        torch.testing.assert_close(*(loss(x, labels, ignore, torch.tensor([0.5])) for x in (logits, changed)))
        assert float(loss(logits, labels, torch.ones_like(ignore), torch.tensor([0.5]))) == 0


class Losses(pl.Callback):
    """Keep every training loss, and stop after an epoch as a kill would."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.values: list[float] = []
        self.stop_after = stop_after

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: dict, *_: object) -> None:
        self.values.append(float(outputs["loss"]))

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.stop_after is not None and trainer.current_epoch == self.stop_after:
            raise KeyboardInterrupt


def fit(survey: Path, folder: Path, losses: Losses, ckpt_path: Path | None = None) -> None:
    pl.seed_everything(5 if ckpt_path is None else 99, workers=True, verbose=False)
    augmentation = {"turns": True, "flux": [0.5, 1.0], "layers": [1, 2]}
    data = LabelFreeDataModule(
        str(survey / "science"),
        str(survey / "darks"),
        tile_size=32,
        batch_size=4,
        augmentation=augmentation,
        store_dir=str(folder / "tiles"),
    )
    checkpoint = ModelCheckpoint(folder / "checkpoints", "best", monitor="val/loss", save_last=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=4,
        logger=False,
        callbacks=[checkpoint, WarmEMA(decay=0.9), losses],
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(CosmicRaySegmenter(hidden=4), data, ckpt_path=ckpt_path, weights_only=True)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_a_resumed_run_goes_on_as_it_was(survey: Path, tmp_path: Path) -> None:
    straight, first, second = Losses(), Losses(stop_after=2), Losses()
    fit(survey, tmp_path / "straight", straight)
    with pytest.raises(SystemExit):
        fit(survey, tmp_path / "stopped", first)
    fit(survey, tmp_path / "stopped", second, tmp_path / "stopped" / "checkpoints" / "last.ckpt")
    steps = len(straight.values) // 4
    assert len(first.values) == len(second.values) == 2 * steps
    np.testing.assert_allclose(first.values + second.values, straight.values, rtol=1e-6)
    weights = [load_model(tmp_path / n / "checkpoints" / "last.ckpt").net.state_dict() for n in ("straight", "stopped")]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], msg=lambda text, name=name: f"{name}: {text}")


def test_checkpoint_is_plain_and_says_what_it_is(trained: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    description = checkpoint["deepcr_lightning"]
    assert description["network"] == {"depth": 2, "hidden": 4, "norm": "none", "contrast": False, "fold": 1}
    assert (description["normalisation"], description["threshold"], description["calibrated"]) == (
        OURS,
        0.5,
        True,
    )
    data = description["data"]
    assert data["filters"] == ["F336W", "F814W"]
    assert data["label_snr"] == 2.0
    assert len(data["science"]) == 2
    assert len(data["darks"]) == 2


def test_checkpoint_holds_the_averaged_weights(trained: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    averaged = load_model(trained / "checkpoints" / "best.ckpt").net.state_dict()
    name = "out.weight"
    torch.testing.assert_close(averaged[name], checkpoint["state_dict"][f"net.{name}"])
    assert not torch.equal(averaged[name], checkpoint["current_model_state"][f"net.{name}"])


def test_average_forgets_the_first_weights_early() -> None:
    average = WarmEMA(decay=0.99)._kwargs["avg_fn"]
    value = torch.tensor(0.0)
    for step in range(1, 30):
        value = average(value, torch.tensor(1.0), step)
    assert 0.98 < float(value) < 1
    late = average(torch.tensor(0.0), torch.tensor(1.0), 100_000)
    assert float(late) == pytest.approx(0.01)
    with pytest.raises(InputError, match="decay=1"):
        WarmEMA(1.0)


class Trap:
    """Pickled, it would write a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (open, (str(self.path), "w"))  # type: ignore[return-value]


def test_checkpoints_that_are_refused(tmp_path: Path, trained: Path) -> None:
    def refused(name: str, message: str) -> None:
        with pytest.raises(InputError, match=f"{name}.*{message}"):
            read_checkpoint(tmp_path / name)

    refused("none.ckpt", "no such file")
    (tmp_path / "text.ckpt").write_text("hello")
    refused("text.ckpt", "not a PyTorch checkpoint")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    refused("other.ckpt", "another program")
    torch.save({"deepcr_lightning": {"format": 1}, "x": Trap(tmp_path / "executed")}, tmp_path / "trap.ckpt")
    refused("trap.ckpt", "never executed")
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps(Trap(tmp_path / "executed")))
    refused("old.ckpt", "not a PyTorch checkpoint")
    assert not (tmp_path / "executed").exists()
    whole = (trained / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    refused("cut.ckpt", "not a PyTorch checkpoint, or truncated")
    description = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    description["deepcr_lightning"]["normalisation"] = "of-another-version"
    torch.save(description, tmp_path / "scale.ckpt")
    refused("scale.ckpt", "cannot read")
    description["deepcr_lightning"]["normalisation"] = OURS
    description["deepcr_lightning"]["network"]["hidden"] = 5
    torch.save(description, tmp_path / "shape.ckpt")
    with pytest.raises(InputError, match=r"shape.ckpt.*do not fit"):
        load_model(tmp_path / "shape.ckpt")


@pytest.mark.parametrize("settings", [{"loss": "hinge"}, {"learning_rate": 0.0}, {"warmup": 1.0}])
def test_settings_are_checked(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"model.{next(iter(settings))}="):
        CosmicRaySegmenter(**settings)  # type: ignore[arg-type]


def test_plain_bce_gets_the_threshold_of_its_plateau(
    survey: Path, run_script: Callable[..., Result], tmp_path: Path
) -> None:
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    result = run_script("train.py", *data, *PLAIN, "loss=bce", "augmentation=none", "hydra.run.dir=run")
    assert result.status == 0, result.err
    description = read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")["deepcr_lightning"]
    assert not description["calibrated"]
    assert 0 < description["plateau"] < 1
    assert description["threshold"] == pytest.approx(0.5 * description["plateau"])


def test_deepcr_trains_in_two_phases(survey: Path, run_script: Callable[..., Result], tmp_path: Path) -> None:
    """Batch norm keeps its statistics and the rate falls; the map is on the published scale, and is predicted so."""
    data = (f"data.science={survey}/science", f"data.darks={survey}/darks")
    settings = ("experiment=chen_2024", "model.norm=batch", *data, *PLAIN, "trainer.max_epochs=5")
    seen: list[tuple[int, float, torch.Tensor]] = []

    def look(self: TwoPhases, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        statistics = module.net.down[0][1].running_mean.clone()  # type: ignore[index,union-attr]
        seen.append((trainer.current_epoch, trainer.optimizers[0].param_groups[0]["lr"], statistics))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TwoPhases, "on_train_epoch_end", look)
        result = run_script("train.py", *settings, "hydra.run.dir=run")
    assert result.status == 0, result.err
    assert [rate for _, rate, _ in seen] == pytest.approx([0.005, 0.005, 0.002, 0.002, 0.002])
    assert not torch.equal(seen[0][2], seen[1][2])
    assert torch.equal(seen[1][2], seen[4][2])
    model = load_model(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert model.card.normalisation == "standard"
    electrons = np.random.default_rng(0).normal(100, 5, (40, 60)).astype(np.float32)
    assert model.scale.levels(electrons, electrons > 0) == pytest.approx((electrons.mean(), electrons.std()))
