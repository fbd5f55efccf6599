"""What `label_study.py` tries that the project does not offer: changes to the method, and exposures judged before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from astropy.io import fits
from numpy.typing import NDArray
from torch import Tensor

from deepcr_lightning.batches import normalise
from deepcr_lightning.exposures.dq import WFC3DQ
from deepcr_lightning.exposures.exposure import root_of
from deepcr_lightning.training.segmenter import CosmicRaySegmenter

SURE = 0.9
"""From this probability a pixel of the training exposures is left out in the self-cleaning round."""


def soften_earlier() -> None:
    """Let the asinh of the scale set in at 5 sigma."""
    normalise.SOFTENING = 5.0


def weigh_light() -> None:
    """Count pixels on light above 3 sigma four times: stars, and what is near them."""

    def weighted(self: CosmicRaySegmenter, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits = self(batch["image"]).float()
        # The median of nine pixels leaves stars and drops most CRs: not the CRs are to weigh more.
        around = F.unfold(F.pad(batch["image"], (1, 1, 1, 1), mode="reflect"), 3).median(1).values
        dim = around.view_as(logits) <= 3
        parts = [(batch["ignore"], 1.0)] + ([(batch["ignore"] | dim, 3.0)] if self.training else [])
        weights = [share * (~ignore).sum() for ignore, share in parts]
        losses = [self.loss(logits, batch["cr_mask"], ignore, batch["dark_share"]) for ignore, _ in parts]
        total = sum(weight * loss for weight, loss in zip(weights, losses, strict=True))
        return torch.as_tensor(total / sum(weights)), logits

    CosmicRaySegmenter._loss = weighted  # type: ignore[method-assign]


def mark_found(science: Path, maps: Path, out: Path) -> None:
    """Copy exposures with what a first network is sure of marked as bad: neither CR nor sky in the next round."""
    out.mkdir(parents=True)
    for path, probability in _judged(science, maps):
        with fits.open(path) as hdus:
            hdus["DQ", 1].data[probability > SURE] |= int(WFC3DQ.BAD_DETECTOR)
            hdus.writeto(out / path.name)


def sample_labels(science: Path, maps: Path, out: Path, seed: int) -> None:
    """Write truth files that are a draw from a first network's map: the E-step of a stochastic EM.

    Celeux & Diebolt 1985. The charge is what stands above the median of 5 x 5 pixels, as far as that can be told.
    """
    out.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for path, probability in _judged(science, maps):
        image = torch.from_numpy(fits.getdata(path, ("SCI", 1)).astype(np.float32))[None, None]
        patches = F.unfold(F.pad(image, (2, 2, 2, 2), mode="reflect"), 5)
        background = patches.median(1).values.view_as(image)[0, 0].numpy()
        drawn = rng.random(probability.shape) < probability
        charge = np.where(drawn, np.maximum(image[0, 0].numpy() - background, 0), 0).astype(np.float32)
        planes = {"CRTRUTH": drawn.astype(np.uint8), "IGNORE": np.zeros(drawn.shape, np.uint8), "CRCHARGE": charge}
        hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(plane, name=name, ver=1) for name, plane in planes.items())]
        fits.HDUList(hdus).writeto(out / f"{root_of(path)}_truth.fits")


def _judged(science: Path, maps: Path) -> Iterator[tuple[Path, NDArray[np.float32]]]:
    for path in sorted(science.iterdir()):
        [found] = maps.rglob(f"{root_of(path)}_crmask.fits")
        yield path, fits.getdata(found, ("CRPROB", 1))
