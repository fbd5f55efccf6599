"""The LightningModule that learns to find the added cosmic rays."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.models.card import DataCard, FinderCard
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.networks.choice import NETWORKS, UNET, Network, make_network
from deepcr_lightning.networks.gaps import close_gaps
from deepcr_lightning.networks.memory_layout import channels_last, for_training
from deepcr_lightning.scores.calibration import fit_scale
from deepcr_lightning.scores.curves import at_threshold, average_precision_of, kept_curves
from deepcr_lightning.scores.reliability import reliability_without_truth
from deepcr_lightning.scores.targets import Target, check_target, resolve_threshold
from deepcr_lightning.training.metrics import TruthFreeCurves
from deepcr_lightning.training.module import CosmicRayModule, Scored
from deepcr_lightning.training.optimiser import ADAMW, check_rates, find_optimiser
from deepcr_lightning.training.own_loss import find_loss, is_probability
from deepcr_lightning.training.tile_figure import plot_tiles

log = logging.getLogger(__name__)

CALIBRATED_THRESHOLD = 0.5


class CosmicRaySegmenter(CosmicRayModule):
    """Network, loss and optimiser of one run.

    Parameters
    ----------
    network : str
        A name of `networks.choice.NETWORKS`, of an entry point, or of a network of the user's own as Python imports it.
    depth, hidden, norm, contrast, fold
        Shape of the U-Net (`networks.unet.UNet`).
    settings : mapping of str, optional
        Parameters of another network.
    loss : str
        ``"calibrated_bce"``, ``"bce"``, with which the map saturates at the dark share, or a name as Python imports it
        (`training.own_loss.find_loss`).
    optimiser : str
        ``"adamw"``, or a name as Python imports it (`training.optimiser.find_optimiser`).
    learning_rate : float
        Highest rate of the optimiser.
    weight_decay : float
        Weight decay of the optimiser.
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

    card_class = FinderCard
    shape = ("depth", "hidden", "norm", "contrast", "fold")
    net: Network

    def __init__(
        self,
        network: str = UNET,
        depth: int = 2,
        hidden: int = 16,
        norm: str = "none",
        contrast: bool = False,
        fold: int = 1,
        settings: Mapping[str, Any] | None = None,
        loss: str = "calibrated_bce",
        optimiser: str = ADAMW,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        warmup: float = 0.1,
        schedule: str = "cosine",
        threshold: Target = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        check_rates(learning_rate, warmup, schedule)
        check_target(threshold)
        self.save_hyperparameters()
        if settings is not None and not isinstance(settings, Mapping):
            raise InputError(f"model.settings={settings}: must be names with values, such as {{width: 32}}")
        if network in NETWORKS and settings:
            raise InputError(f"model.settings={dict(settings)}: {network} takes model.depth= and the like instead")
        self.net = make_network(network, self.network, "model.network")
        self.loss = find_loss(loss)
        self.calibrated = is_probability(self.loss)
        find_optimiser(optimiser, self.net.parameters())
        self.threshold = CALIBRATED_THRESHOLD
        self.plateau: float | None = None
        self.scale, self.shift = 1.0, 0.0
        self.unreached: str | None = None
        self.last_curves: dict[str, Tensor] = {}
        self.last_labels: Tensor | None = None
        self.curves = TruthFreeCurves()

    @property
    def network_name(self) -> str:
        """Name of the network, as the user gave it."""
        return str(self.hparams["network"])

    @property
    def network(self) -> dict[str, Any]:
        """Parameters that the network is built with."""
        return super().network if self.network_name in NETWORKS else dict(self.hparams["settings"] or {})

    def setup(self, stage: str) -> None:
        """Compile if asked, once: the same network validates and tests afterwards."""
        if self.hparams["compile"] and stage == "fit":
            self.net.compile()

    def forward(self, image: Tensor) -> Tensor:
        """Logits of normalised images, shape (B, 1, H, W)."""
        # The weights keep the usual layout, so that a state that was saved on one machine fits the other.
        return self.net(for_training(image, self.net.hidden) if self.training else channels_last(image))

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        # Half precision is for the convolutions; the loss and its logarithms are computed in full.
        logits = self(close_gaps(batch["image"], ~batch["unusable"])).float()
        return self.loss(logits, batch["cr_mask"], batch["ignore"], batch["dark_share"]), logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of a composed batch."""
        loss, _ = self._loss(batch)
        self.log_training_loss(loss, batch)
        return loss

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

    def card(self, data: DataCard) -> FinderCard:
        """Write the card of the network as it is now, trained on `data`."""
        return FinderCard(
            network=self.network,
            network_name=self.network_name,
            data=data,
            run=self.run_record,
            threshold=self.threshold,
            calibrated=self.calibrated,
            curves=kept_curves(self.last_curves) if self.last_curves else None,
            plateau=self.plateau,
            calibration=(self.scale, self.shift),
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the threshold and the calibration that belong to these weights, and the rate that is asked for now."""
        super().on_load_checkpoint(checkpoint)
        card = FinderCard.from_plain(checkpoint[DESCRIPTION_KEY])
        self.threshold, (self.scale, self.shift) = card.threshold, card.calibration

    def shown(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the batch and its logits."""
        return {**batch, "logits": self(batch["image"]).float()}

    def draw(self, folder: Path, shown: dict[str, Tensor]) -> str:
        """Draw tiles and what the network finds in them."""
        probability = torch.sigmoid(self.scale * shown["logits"] + self.shift)
        plot_tiles(folder / "tiles.png", shown, probability, self.threshold)
        return "tiles"

    def scored(self) -> Scored | None:
        """Give curves and reliability of the last side that was scored."""
        if self.last_labels is None:
            return None
        seen = reliability_without_truth(self.last_labels, self.scale, self.shift)
        return Scored(self.last_curves, self.threshold, seen)

    def log_outcome(self) -> None:
        """Log the threshold, and a threshold that was asked for and not reached."""
        if self.unreached:
            log.warning("%s; the checkpoint keeps %g", self.unreached, self.threshold)
        log.info("Threshold: %.3g", self.threshold)
