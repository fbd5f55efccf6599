"""The LightningModule that learns to find the added cosmic rays."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.networks.gaps import close_gaps
from deepcr_lightning.networks.layout import channels_last, for_training
from deepcr_lightning.networks.unet import UNet
from deepcr_lightning.scores.calibration import fit_scale
from deepcr_lightning.scores.curves import at_threshold, average_precision_of, kept_curves
from deepcr_lightning.scores.targets import Target, check_target, resolve_threshold
from deepcr_lightning.training.checkpoint import DESCRIPTION_KEY, describe
from deepcr_lightning.training.losses import LOSSES
from deepcr_lightning.training.metrics import TruthFreeCurves
from deepcr_lightning.training.optimiser import adamw, ask_for_rate, check_rates

CALIBRATED_THRESHOLD = 0.5


class CosmicRaySegmenter(pl.LightningModule):
    """U-Net, loss and optimiser of one run.

    Parameters
    ----------
    depth, hidden, norm, contrast, fold
        Shape of the network (`networks.unet.UNet`).
    loss : {"calibrated_bce", "bce"}
        `training.losses`; with ``bce`` the map saturates at the dark share.
    learning_rate : float
        Highest rate of AdamW.
    weight_decay : float
        Of AdamW.
    warmup : float
        Share of the steps in which the rate rises from 0.
    schedule : {"cosine", "constant"}
        What the rate does then.
    threshold : float, str or dict, optional
        Default threshold of the checkpoint, or how to choose it on the validation side (`scores.targets`).
        0.5 by default; half of its plateau for a map trained with ``bce``.
    compile : bool
        Compile the network with torch.compile.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    def __init__(
        self,
        depth: int = 2,
        hidden: int = 16,
        norm: str = "none",
        contrast: bool = False,
        fold: int = 1,
        loss: str = "calibrated_bce",
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        warmup: float = 0.1,
        schedule: str = "cosine",
        threshold: Target = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise InputError(f"model.loss={loss}: must be one of {', '.join(LOSSES)}")
        check_rates(learning_rate, warmup, schedule)
        check_target(threshold)
        self.save_hyperparameters()
        self.net = UNet(depth, hidden, norm, contrast=contrast, fold=fold)
        self.loss = LOSSES[loss]
        self.calibrated = loss == "calibrated_bce"
        self.threshold = CALIBRATED_THRESHOLD
        self.plateau: float | None = None
        self.scale, self.shift = 1.0, 0.0
        self.unreached: str | None = None
        self.last_curves: dict[str, Tensor] = {}
        self.last_labels: Tensor | None = None
        self.run_record: dict[str, Any] | None = None
        self.curves = TruthFreeCurves()

    def setup(self, stage: str) -> None:
        """Compile if asked, once: the same network validates and tests afterwards."""
        if self.hparams["compile"] and stage == "fit":
            self.net.compile()

    def forward(self, image: Tensor) -> Tensor:
        """Logits of normalised images, shape (B, 1, H, W)."""
        # The weights keep the usual layout, so that a state that was saved on one machine fits the other.
        return self.net(for_training(image, self.hparams["hidden"]) if self.training else channels_last(image))

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        # Half precision is for the convolutions; the loss and its logarithms are computed in full.
        logits = self(close_gaps(batch["image"], ~batch["unusable"])).float()
        return self.loss(logits, batch["cr_mask"], batch["ignore"], batch["dark_share"]), logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of a composed batch."""
        loss, _ = self._loss(batch)
        self.log(
            "train/loss",
            loss,
            prog_bar=True,
            on_step=True,
            on_epoch=True,
            batch_size=len(batch["image"]),
            sync_dist=True,
        )
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the rate that the epoch ended with."""
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Loss and curves of a batch that is the same every epoch."""
        self._evaluate(batch, "val")

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Loss and curves of held-out tiles and darks."""
        self._evaluate(batch, "test")

    def _evaluate(self, batch: dict[str, Tensor], side: str) -> None:
        loss, logits = self._loss(batch)
        self.log(f"{side}/loss", loss, prog_bar=True, batch_size=len(batch["image"]), sync_dist=True)
        self.curves.update(logits, batch)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the epoch."""
        self._log_curves("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores of the test side."""
        self._log_curves("test")

    def _log_curves(self, side: str) -> None:
        scores = {name: values.cpu() for name, values in self.curves.compute().items()}
        rate, level, labels = (scores.pop(name) for name in ("own_rate", "plateau", "labels"))
        self.last_labels = labels
        if side == "val":
            self.plateau = None if math.isnan(level) else float(level)
            if self.calibrated:
                self.scale, self.shift = fit_scale(labels)
        logit = self.scale * torch.logit(scores["threshold"]) + self.shift
        self.last_curves = {**scores, "threshold": torch.sigmoid(logit)}
        if side == "val":
            self.threshold = self._choose_threshold()
        self.log(f"{side}/own_rate", rate.float(), sync_dist=True)
        here = at_threshold(self.last_curves, self.threshold)
        self.log(f"{side}/average_precision", average_precision_of(self.last_curves), prog_bar=True, sync_dist=True)
        for name in ("completeness", "purity"):
            self.log(f"{side}/{name}", here[name].float(), sync_dist=True)
        self.curves.reset()

    def _choose_threshold(self) -> float:
        target = self.hparams["threshold"]
        if target is None:
            # A plain map is c times the probability: one half of it lies at half of c.
            return CALIBRATED_THRESHOLD * (1.0 if self.calibrated else self.plateau or 1.0)
        self.unreached = None
        try:
            return resolve_threshold(target, kept_curves(self.last_curves))
        except InputError as error:
            self.unreached = str(error)
            return CALIBRATED_THRESHOLD

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, with warm-up and schedule by the step."""
        names = ("learning_rate", "weight_decay", "warmup", "schedule")
        return adamw(self.net, self.trainer, **{name: self.hparams[name] for name in names})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put beside the weights all that prediction needs to know of them."""
        datamodule = getattr(self.trainer, "datamodule", None)
        data = datamodule.description() if datamodule is not None else {}
        network = {name: self.hparams[name] for name in ("depth", "hidden", "norm", "contrast", "fold")}
        curves = kept_curves(self.last_curves) if self.last_curves else None
        calibration = (self.scale, self.shift)
        checkpoint[DESCRIPTION_KEY] = describe(
            network, self.threshold, self.calibrated, data, curves, self.plateau, calibration, self.run_record
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the threshold and the calibration that belong to these weights, and the rate that is asked for now."""
        description = checkpoint[DESCRIPTION_KEY]
        ask_for_rate(checkpoint, self.hparams["learning_rate"])
        self.threshold, (self.scale, self.shift) = description["threshold"], description["calibration"]
