"""Science tile + dark cosmic rays -> image, label, ignore: the heart of label-free training."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcr_lightning.batches.augment import Augmentation, hot_columns, hot_pixels, log_uniform, mirror, turn, uniform
from deepcr_lightning.batches.drawn_gaps import draw_gaps
from deepcr_lightning.batches.resampled import draw_resampling, noise_share, resample, touched
from deepcr_lightning.models.card import LABEL_SNR
from deepcr_lightning.networks.scale import OURS, normalise_batch
from deepcr_lightning.tiles.dark_cr import COSMIC_RAY, UNKNOWN


def dark_share(dark_time: Tensor, science_time: Tensor) -> Tensor:
    """Share of the CRs in a composed image that were added, ``c``.

    Parameters
    ----------
    dark_time : Tensor of float32, shape (B, n)
        CR-collecting seconds of each layer; 0 where there is none.
    science_time : Tensor of float32, shape (B,)
        CR-collecting seconds of the tile.

    Returns
    -------
    Tensor of float32, shape (B,)
        ``c = sum t_dark / (sum t_dark + t_science)``, in (0, 1].
    """
    added = dark_time.sum(-1)
    return added / (added + science_time)


def compose_batch(
    batch: dict[str, Tensor],
    generator: torch.Generator,
    augmentation: Augmentation | None = None,
    label_snr: float = LABEL_SNR,
    normalisation: str = OURS,
) -> dict[str, Tensor]:
    """Add dark CRs to science tiles and say where they are.

    A pure function of its tensors and the generator; everything stays on the device of the tiles.

    Parameters
    ----------
    batch : dict of Tensor
        ``electrons`` (B, S, S) float32 and ``usable`` (B, S, S) bool: the sky tiles; ``sky``, ``noise``,
        ``science_time`` (B,) float32; ``charge`` (B, n, S, S) float32 electrons and ``kind`` (B, n, S, S) uint8: the
        CR layers (`tiles.dark_cr.CRLayer`); ``dark_time`` and ``dark_noise`` (B, n)
        float32, of each layer. All are zero where a tile gets fewer than n. With the
        true charge ``own_charge`` (B, S, S) float32 of the tiles' own CRs these are labelled as well.
    generator : torch.Generator
        On the device of the tiles.
    augmentation : Augmentation, optional
        None changes nothing.
    label_snr : float
        A pixel is labelled where the added charge is at least this many times the noise of the composed
        image there, which is the tile's noise and the Poisson noise of the light above its sky.
    normalisation : str
        Scale of the image, by its name in `networks.scale.SCALES`.

    Returns
    -------
    dict of Tensor
        ``image`` (B, 1, S, S) float32, normalised; ``cr_mask`` (B, 1, S, S) float32, 1 on added CRs;
        ``ignore`` (B, 1, S, S) bool, pixels without a meaning; ``unusable`` (B, 1, S, S) bool, those of them that the
        science tile itself has, such as saturated ones, or that augmentation took from it; ``significance``
        (B, 1, S, S) float32, labelled
        charge over local noise; ``charge`` (B, 1, S, S) float32, that charge in electrons; ``sky`` and ``noise``
        (B, 1, 1, 1) float32 of the composed image; ``dark_share`` (B,) float32, the share of the CRs
        that is labelled: 1 where the tiles' own are.
    """
    augmentation = augmentation or Augmentation()
    tiles, count = batch["electrons"], batch["electrons"].shape[0]
    sky, noise = batch["sky"].view(-1, 1, 1), batch["noise"].view(-1, 1, 1)
    factor = log_uniform(augmentation.charge, count, generator)

    flux = log_uniform(augmentation.flux, count, generator)
    extra_sky = uniform(augmentation.sky, count, generator) * sky.clamp(min=0)
    extra_noise = uniform(augmentation.noise, count, generator) * noise
    # Scaling by f leaves f^2 of the variance where a real shorter exposure has f: the rest is added.
    thinning = flux * (1 - flux)
    added_variance = extra_sky.clamp(min=0) + extra_noise**2
    variance = thinning * tiles.clamp(min=0) + added_variance
    tiles = tiles * flux + extra_sky
    if augmentation.flux != (1.0, 1.0) or augmentation.sky != (0.0, 0.0) or augmentation.noise != (0.0, 0.0):
        tiles = tiles + variance.sqrt() * torch.randn(tiles.shape, generator=generator, device=tiles.device)
    if augmentation.hot > 0:
        for draw in (hot_pixels, hot_columns):
            tiles = tiles + noise * draw(count, tiles.shape[-1], augmentation.hot, generator)
    dark_variance = (batch["dark_noise"] ** 2).sum(-1).view(-1, 1, 1) * factor**2
    noise = (noise**2 * flux**2 + thinning * sky.clamp(min=0) + added_variance + dark_variance).sqrt()
    sky = sky * flux + extra_sky

    charge, kind = batch["charge"], batch["kind"]
    if augmentation.turns:
        charge, kind = mirror([charge, kind], generator)
    # Hot pixels of a dark hide its CRs: there the composed image has no label, and what lies around stands in.
    unknown = (kind == UNKNOWN).any(1)
    own = batch["own_charge"] * flux if "own_charge" in batch else torch.zeros_like(tiles)
    local_variance = noise**2 + (tiles - own - sky).clamp(min=0)
    # The noise of the darks goes everywhere, into own CRs as into added ones; only their CRs are labelled.
    labelled = torch.where(kind == COSMIC_RAY, charge, 0).sum(1) * factor
    labelled = labelled + own
    composed = tiles + charge.sum(1) * factor
    unusable = ~batch["usable"]
    if augmentation.resampled > 0:
        weights = draw_resampling(count, augmentation.resampled, generator)
        composed, labelled = resample(composed, weights), resample(labelled, weights)
        unusable, unknown = touched(unusable, weights), touched(unknown, weights)
        local_variance, noise = resample(local_variance, weights**2), noise * noise_share(weights)
    significance = labelled / local_variance.sqrt()
    cr_mask = significance >= label_snr
    image = normalise_batch(normalisation, composed, sky, noise)

    if augmentation.gaps > 0:
        unusable = unusable | draw_gaps(image, augmentation.gaps, generator)
    planes = [image, cr_mask & ~unknown, unusable | unknown, unusable, significance, labelled]
    if augmentation.turns:
        planes = turn(planes, generator)
    image, cr_mask, ignore, unusable, significance, labelled = (plane.unsqueeze(1) for plane in planes)
    share = dark_share(batch["dark_time"], batch["science_time"])
    return {
        "image": image,
        "cr_mask": cr_mask.to(image.dtype),
        "ignore": ignore,
        "unusable": unusable,
        "significance": significance,
        "charge": labelled,
        "sky": sky.unsqueeze(1),
        "noise": noise.unsqueeze(1),
        "dark_share": torch.ones_like(share) if "own_charge" in batch else share,
    }
