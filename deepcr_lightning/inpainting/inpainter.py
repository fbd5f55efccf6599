"""The LightningModule that learns what stood under cosmic rays."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.inpainting.hole_figure import plot_filled
from deepcr_lightning.inpainting.holes import saturated_by_stars, spread_over_stars
from deepcr_lightning.inpainting.network import Filler
from deepcr_lightning.inpainting.planes import PARTS, RECIPE, planes_of
from deepcr_lightning.models.card import DataCard, FillerCard
from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import UNIVERSAL
from deepcr_lightning.networks.gaps import close_gaps
from deepcr_lightning.networks.memory_layout import channels_last
from deepcr_lightning.networks.scale import OURS, SOFTENING, denormalise, normalise
from deepcr_lightning.training.module import CosmicRayModule
from deepcr_lightning.training.optimiser import ADAMW, check_rates, find_optimiser

_COPY_REACH = 8
# Light that a pixel beside a saturated one counts as, at least, when stars to hit are drawn. Normalised: about 500
# electrons above the sky.
_BESIDE_SATURATED = 20.0
_BRIGHT_POWER, _BRIGHTEST = 0.5, 50.0
SEEN = ("image", "known", "unusable", "noise")
"""What `inpainting.planes.planes_of` takes of `CosmicRayInpainter.holes`."""


class CosmicRayInpainter(CosmicRayModule):
    """Network that fills holes of the shape of cosmic rays, its loss and its optimiser.

    The holes are the pixels of added dark CRs, and the same shapes on stars; what stood there before is the target.
    The tiles' own CRs are targets nowhere: a finder marks them, and they are holes, too, as they are when the network
    is used.

    Parameters
    ----------
    depth, hidden, norm
        Shape of the U-Net (`inpainting.network.Filler`).
    optimiser, learning_rate, weight_decay, warmup, schedule
        The optimiser and its parameters (`training.optimiser.with_schedule`).
    copies : int
        Holes of each tile that are cut again, half of them on stars (`inpainting.holes.spread_over_stars`).
    cleaned_by : str
        Checkpoint, or its name, of the network that finds the tiles' own CRs; it must be on our normalisation.
    compile : bool
        Compile the network with torch.compile.

    Raises
    ------
    InputError
        If a parameter is out of its range, or `cleaned_by` is no such network.
    """

    card_class = FillerCard
    shape = ("depth", "hidden", "norm")
    recipe = RECIPE
    net: Filler

    def __init__(
        self,
        depth: int = 2,
        hidden: int = 32,
        norm: str = "none",
        optimiser: str = ADAMW,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-4,
        warmup: float = 0.1,
        schedule: str = "cosine",
        copies: int = 32,
        cleaned_by: str = UNIVERSAL,
        compile: bool = False,
    ) -> None:
        super().__init__()
        check_rates(learning_rate, warmup, schedule)
        if copies < 0:
            raise InputError(f"model.copies={copies}: must be 0 or more")
        self.save_hyperparameters()
        self.net = Filler(depth, hidden, norm)
        find_optimiser(optimiser, self.net.parameters())
        finder = load_model(cleaned_by)
        if finder.card.normalisation != OURS:
            raise InputError(
                f"model.cleaned_by={cleaned_by}: uses another normalisation; give a model made by train.py"
            )
        # A tuple hides it from Lightning, which would train and keep its weights with ours.
        self._finder = (finder.net.requires_grad_(False),)
        self._closes_gaps = finder.card.closes_gaps
        self._own_logit = math.log(finder.threshold / (1 - finder.threshold))

    def setup(self, stage: str) -> None:
        """See that the data are on the scale that the loss is computed on; compile if asked."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        if data.normalisation != OURS:
            raise InputError(f"data.normalisation={data.normalisation}: the inpainting network needs {OURS}")
        if self.hparams["compile"] and stage == "fit":
            self.net.unet.compile()

    def _own(self, image: Tensor, usable: Tensor) -> Tensor:
        """Find the CRs of science tiles, and a rim of a pixel."""
        if self._closes_gaps:
            image = close_gaps(image, usable)
        return _grown(self._finder[0].to(image.device)(channels_last(image)).float() > self._own_logit)

    def forward(self, image: Tensor, known: Tensor, unusable: Tensor, noise: Tensor) -> Tensor:
        """Fill normalised images where they are not known; the arguments are those of `inpainting.planes.planes_of`."""
        filled: Tensor = self.net(planes_of(self.net.stars, image, known, unusable, noise))
        return filled

    def holes(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cut holes where CRs were added to a composed batch.

        Parameters
        ----------
        batch : dict of Tensor
            From `batches.compose.compose_batch`.

        Returns
        -------
        dict of Tensor
            ``image`` (B, 1, S, S) float32, normalised, as ``truth``, that without the added CRs; and of bool
            ``known``, the pixels with a meaning, ``unusable``, those of no use, and ``scored``, those in holes of which
            the truth is known; and ``noise`` (B, 1, 1, 1), of the sky, in electrons.
        """
        levels = batch["sky"], batch["noise"]
        struck, charge = denormalise(batch["image"], *levels), batch["charge"]
        truth = normalise(struck - charge, *levels)
        own = self._own(truth, ~batch["unusable"])  # without added CRs: own ones below these are found as well
        hole = batch["cr_mask"] > 0.5
        # Masks are grown by some people and not by most: here those of every fourth tile.
        fourth = torch.arange(len(hole), device=hole.device).view(-1, 1, 1, 1) % 4 == 1
        hole = torch.where(fourth, _grown(hole), hole)
        unknown = own | batch["ignore"]
        # Validation is the same every epoch.
        generator = torch.Generator(hole.device).manual_seed(self.global_step if self.training else 0)
        light = torch.where(unknown, 0, truth)
        # Trails of saturated stars are hit as stars are, which the light beside them does not make likely.
        saturated = saturated_by_stars(truth, ~unknown, batch["unusable"])
        light = torch.where(_grown(saturated) & ~unknown, light.clamp(min=_BESIDE_SATURATED), light)
        hole, spread = spread_over_stars(hole, charge, light, self.hparams["copies"], _COPY_REACH, generator)
        image = normalise(struck + (spread - charge), *levels)
        known = ~(hole | unknown)
        made = {"image": image, "known": known, "scored": hole & ~unknown, "truth": truth}
        # Unusable pixels are never filled, so that no hole hides them.
        return {**made, "unusable": batch["unusable"], "noise": batch["noise"]}

    def _filled(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        holes = self.holes(batch)
        planes = planes_of(self.net.stars, *(holes[name] for name in SEEN))
        bridged, _, _, fits = planes.split(PARTS, dim=1)
        return holes, {"filled": self.net(planes), "stars": bridged + fits[:, :1], "bridged": bridged}

    def _validate(self, batch: dict[str, Tensor], side: str) -> None:
        holes, made = self._filled(batch)
        for name, image in (("loss", "filled"), ("star_loss", "stars"), ("bridge_loss", "bridged")):
            error = square_error(made[image], holes["truth"], holes["scored"])
            shown = name == "loss"
            self.log(f"{side}/{name}", error, prog_bar=shown, batch_size=len(batch["image"]), sync_dist=True)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of a composed batch."""
        holes, made = self._filled(batch)
        loss = square_error(made["filled"], holes["truth"], holes["scored"])
        self.log_training_loss(loss, batch)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Loss of a batch that is the same every epoch, beside that of fits of stars and of bridges."""
        self._validate(batch, "val")

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Loss of held-out tiles and darks."""
        self._validate(batch, "test")

    def card(self, data: DataCard) -> FillerCard:
        """Write the card of the network as it is now, trained on `data`."""
        return FillerCard(network=self.network, data=data, run=self.run_record, recipe=RECIPE)

    def shown(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the holes of a batch, and what fills them."""
        holes = self.holes(batch)
        return {**holes, "filled": self(*(holes[name] for name in SEEN))}

    def draw(self, folder: Path, shown: dict[str, Tensor]) -> str:
        """Draw holes and what fills them."""
        plot_filled(folder / "filled.png", shown, shown["filled"])
        return "filled"


def square_error(filled: Tensor, truth: Tensor, scored: Tensor) -> Tensor:
    """Mean square error of normalised images, the brighter a pixel is the more it counts.

    Parameters
    ----------
    filled, truth : Tensor of float32, shape (B, 1, S, S)
    scored : Tensor of bool, shape (B, 1, S, S)
        Pixels that count.

    Returns
    -------
    Tensor of float32, shape ()
        0 where none does.

    Notes
    -----
    The scale is that of the noise up to ten times the noise, and one of ratios above. Weights of ``cosh(truth / 10)``
    squared would make it that of the noise all the way up, where one star core in a thousand holes is nine tenths
    of the loss, and what is learned of it is lost in the noise of the gradient. The root of ``cosh`` lies between.
    """
    weight = torch.where(scored, torch.cosh(truth.clamp(0, _BRIGHTEST) / SOFTENING) ** _BRIGHT_POWER, 0)
    return (weight * (filled - truth) ** 2).sum() / weight.sum().clamp(min=1)


def _grown(mask: Tensor) -> Tensor:
    return F.max_pool2d(mask.float(), 3, stride=1, padding=1) > 0.5
