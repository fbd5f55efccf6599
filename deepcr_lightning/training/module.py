"""Base of the two LightningModules: a network with its optimiser, its card and its figures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from deepcr_lightning.models.card import Card, DataCard, FillerCard, FinderCard
from deepcr_lightning.models.checkpoint import DESCRIPTION_KEY
from deepcr_lightning.networks.choice import NETWORKS, UNET
from deepcr_lightning.scores.reliability import Reliability
from deepcr_lightning.training.losses import LOSSES
from deepcr_lightning.training.optimiser import OPTIMISERS, ask_for_rate, with_schedule


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of the last side that a network was validated or tested on.

    Attributes
    ----------
    curves : dict of Tensor
        Curves of `scores.truth_free.curves_of`, over the calibrated threshold.
    threshold : float
        Default threshold of the network.
    reliability : Reliability
        How often pixels are CRs, against the probability that the map gives.
    """

    curves: dict[str, Tensor]
    threshold: float
    reliability: Reliability


class CosmicRayModule(pl.LightningModule, ABC):
    """A network with its optimiser, and the card that its checkpoints get.

    Attributes
    ----------
    net : nn.Module
        The network.
    run_record : dict or None
        Record of the run, which the card repeats (`runs.record.RunRecord`).
    """

    card_class: ClassVar[type[FinderCard] | type[FillerCard]]
    """Class of the cards of such networks, which tells what they do."""
    shape: ClassVar[tuple[str, ...]]
    """Names of the parameters that the network is built with."""
    recipe: ClassVar[int] = 0
    """As in the card (`models.card.Card`)."""
    net: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.run_record: dict[str, Any] | None = None

    @abstractmethod
    def card(self, data: DataCard) -> Card:
        """Write the card of the network as it is now, trained on `data`."""

    @abstractmethod
    def shown(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give what `draw` shows of a composed batch, made with the weights as they are now."""

    @abstractmethod
    def draw(self, folder: Path, shown: dict[str, Tensor]) -> str:
        """Draw what `shown` gave into a folder; return the name of the picture, without its ending."""

    def scored(self) -> Scored | None:
        """Give curves and reliability of the last side that was scored; None of a network that has none."""
        return None

    def log_outcome(self) -> None:
        """Log what a run came to beside its scores; nothing by default."""

    @property
    def network(self) -> dict[str, Any]:
        """Parameters that the network is built with."""
        return {name: self.hparams[name] for name in self.shape}

    @property
    def network_name(self) -> str:
        """Name of the network, as in the card of a finder."""
        return UNET

    def own_options(self) -> dict[str, str]:
        """Give the options that name something of the user's own, which no file can name for them."""
        known: dict[str, Mapping[str, Any]] = {"network": NETWORKS, "loss": LOSSES, "optimiser": OPTIMISERS}
        named = {name: self.hparams[name] for name in known if name in self.hparams}
        return {f"model.{name}": value for name, value in named.items() if value not in known[name]}

    def log_training_loss(self, loss: Tensor, batch: dict[str, Tensor]) -> None:
        """Log the loss of a training batch, by the step and by the epoch."""
        size = len(batch["image"])
        self.log("train/loss", loss, prog_bar=True, on_step=True, on_epoch=True, batch_size=size, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """Log the rate that the epoch ended with."""
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimiser, with warm-up and schedule by the step."""
        names = ("optimiser", "learning_rate", "weight_decay", "warmup", "schedule")
        return with_schedule(self.net, self.trainer, **{name: self.hparams[name] for name in names})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put beside the weights all that prediction needs to know of them."""
        datamodule = getattr(self.trainer, "datamodule", None)
        card = self.card(DataCard() if datamodule is None else datamodule.card())
        checkpoint[DESCRIPTION_KEY] = card.to_plain()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the rate that is asked for now."""
        ask_for_rate(checkpoint, self.hparams["learning_rate"])
