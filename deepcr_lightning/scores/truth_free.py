"""Completeness, purity and false-positive rate without truth: the bookkeeping of added and own cosmic rays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcr_lightning.scores.bins import BINS, LOGIT_RANGE, above, bin_centres, logit_bins

ANCHOR_COMPLETENESS = (0.1, 0.5)
ANCHOR_PROBABILITY = 0.95
"""What a map is that sure of, up to half of the added CR pixels but at least a tenth, is taken for CRs alone."""
UNMISTAKABLE = 20.0
"""Added charge of this many times the local noise is a CR beyond doubt."""
RATES = (0.5, 1.5)
"""CR rates of exposures lie within this range of the darks'; a network that makes it more is sure of what is no CR."""
MIN_ANCHOR_PIXELS = 100
"""Fewer CR pixels than this say nothing of the CR rate."""


@dataclass(frozen=True, eq=False)
class AddedCounts:
    """Histograms of the logit of images to which CRs were added; they add up.

    Attributes
    ----------
    added : Tensor of float64, shape (BINS,)
        Pixels of added CRs.
    rim : Tensor of float64, shape (BINS,)
        Pixels that touch one from outside.
    outside : Tensor of float64, shape (BINS,)
        All other pixels, the image's own CRs among them.
    own : Tensor of float64, shape (BINS,)
        Pixels of own CRs expected to be flagged outside, at each threshold, if CRs come as often as in the darks.
    own_rim : Tensor of float64, shape (BINS,)
        Pixels around them expected to be flagged with them.
    own_area : Tensor of float64, shape (1,)
        Pixels of own CRs and their rims expected outside.
    own_slope, own_rim_slope, own_area_slope : Tensor of float64
        By how much these grow with the rate of own CRs: a little less than in proportion, since CRs overlap.
    all_labelled : Tensor of float64, shape (BINS,)
        Pixels of `added` in images without an unlabelled CR (training on truth).
    unmistakable : Tensor of float64, shape (BINS,)
        Pixels of `added` that could be nothing else.
    """

    added: Tensor
    rim: Tensor
    outside: Tensor
    own: Tensor
    own_rim: Tensor
    own_area: Tensor
    own_slope: Tensor
    own_rim_slope: Tensor
    own_area_slope: Tensor
    all_labelled: Tensor
    unmistakable: Tensor

    def __add__(self, other: AddedCounts) -> AddedCounts:
        return AddedCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def count_added(logits: Tensor, batch: Mapping[str, Tensor], strict: bool = False) -> AddedCounts:
    """Count the pixels of composed images.

    Parameters
    ----------
    logits : Tensor of float, shape (B, 1, H, W)
    batch : dict of Tensor
        From `batches.compose.compose_batch`.
    strict : bool
        Count the rims of CRs as what they are, not CRs, instead of as neither.

    Returns
    -------
    AddedCounts

    Notes
    -----
    An image collected own CRs ``rho = (1 - c) / c`` times as long as the added ones were collected. Added CRs
    cover a share A of it, so own ones cover ``1 - (1 - A)^rho``; they are found as added ones are. Rims of added
    CRs hold own CRs by chance, which are taken out of the share of the rim that is flagged.
    """
    images, cr_mask, ignore = len(logits), batch["cr_mask"] > 0.5, batch["ignore"]
    place = logit_bins(logits) + BINS * torch.arange(images, device=logits.device).view(-1, 1, 1, 1)
    added = cr_mask & ~ignore
    rim = torch.zeros_like(added) if strict else _touching(cr_mask) & ~ignore
    outside = ~(added | rim | ignore)
    kinds = [_histograms(place[kind], images) for kind in (added, rim, outside)]
    share = batch["dark_share"].double().view(-1, 1)
    ratio = (1 - share) / share
    labelled = kinds[0] * (ratio == 0)
    unmistakable = _histograms(place[added & (batch["significance"] >= UNMISTAKABLE)], images)
    return AddedCounts(*(values.sum(0) for values in (*kinds, *_expected_own(kinds, ratio), labelled, unmistakable)))


def _histograms(place: Tensor, images: int) -> Tensor:
    return torch.bincount(place, minlength=images * BINS).view(images, BINS).double()


def _expected_own(kinds: list[Tensor], ratio: Tensor) -> tuple[Tensor, ...]:
    totals = [histogram.sum(1, keepdim=True) for histogram in kinds]
    pixels = sum(totals[1:], totals[0]).clamp(min=1)
    found, rim_flagged = (above(h) / n.clamp(min=1) for h, n in zip(kinds[:2], totals[:2], strict=True))
    depths = [-ratio * torch.log1p(-(area / pixels).clamp(max=0.99)) for area in (totals[0], totals[0] + totals[1])]
    cover, reach = (-torch.expm1(-depth) for depth in depths)
    cover_slope, reach_slope = (depth * torch.exp(-depth) for depth in depths)
    rim_flagged = ((rim_flagged - cover * found) / (1 - cover)).clamp(min=0)
    return (
        totals[2] * cover * found,
        totals[2] * (reach - cover) * rim_flagged,
        totals[2] * reach,
        totals[2] * cover_slope * found,
        totals[2] * (reach_slope - cover_slope) * rim_flagged,
        totals[2] * reach_slope,
    )


def own_rate(counts: AddedCounts) -> Tensor:
    """Estimate how often own CRs come, in units of the rate of the darks.

    The pixels that a network is surest of stand so far above everything else that they are CRs alone; their number
    over the one that added CRs make expect is the rate. It is an upper limit where the network is sure of what is no
    CR, and low where it tells own CRs from added ones.

    Parameters
    ----------
    counts : AddedCounts

    Returns
    -------
    Tensor of float64, scalar
        About 1, within the scatter of CR rates from exposure to exposure, and never outside `RATES`. 1 where too
        few CRs say anything.
    """
    added = above(counts.added)
    tenth, half = (int((added >= share * added[0]).sum()) - 1 for share in ANCHOR_COMPLETENESS)
    level = float(plateau(counts).nan_to_num(1.0))
    sure = int((bin_centres(added.device) < math.log(1 / (1 - ANCHOR_PROBABILITY * level) - 1)).sum())
    place = min(tenth, max(half, sure))
    expected = (counts.own + counts.own_rim)[place]
    if added[0] < MIN_ANCHOR_PIXELS or expected < MIN_ANCHOR_PIXELS / 2:
        return torch.ones_like(expected)
    excess = above(counts.outside)[place] - expected
    return (1 + excess / (counts.own_slope + counts.own_rim_slope)[place]).clamp(*RATES)


def plateau(counts: AddedCounts) -> Tensor:
    """Estimate the value at which a map saturates: what it says of CRs that are beyond doubt.

    Parameters
    ----------
    counts : AddedCounts

    Returns
    -------
    Tensor of float64, scalar
        The label frequency c of a map that was trained with plain BCE, about 1 for a calibrated one; NaN
        without a single unmistakable CR pixel.

    References
    ----------
    Elkan & Noto 2008 (KDD), estimator e1, restricted to pixels where P(CR) is 1 in all likelihood.
    """
    weights = counts.unmistakable
    return (torch.sigmoid(bin_centres(weights.device)) * weights).sum() / weights.sum()


def curves_of(counts: AddedCounts, rate: Tensor | float | None = None) -> dict[str, Tensor]:
    """Turn counts into curves for the images as they are, without the added CRs.

    Parameters
    ----------
    counts : AddedCounts
    rate : float, optional
        Rate of own CRs in units of that of the darks; `own_rate` by default.

    Returns
    -------
    dict of Tensor of float64, shape (BINS,)
        ``threshold`` on the probability, ascending; ``completeness``, ``purity`` and ``false_positive_rate`` of
        the mask above each. Of images whose CRs are all labelled the purity is that of the labels.
    """
    rate = own_rate(counts) if rate is None else rate
    added, outside = above(counts.added), above(counts.outside)
    own = counts.own + (rate - 1) * counts.own_slope
    own_rim = counts.own_rim + (rate - 1) * counts.own_rim_slope
    own_area = counts.own_area + (rate - 1) * counts.own_area_slope
    # A lower threshold flags no fewer: what a higher one has wrong, it has wrong too.
    false = torch.cummax((outside - own - own_rim).clamp(min=0).flip(-1), -1).values.flip(-1)
    true = own + above(counts.all_labelled)
    flagged = true + false
    edges = torch.linspace(-LOGIT_RANGE, LOGIT_RANGE, BINS + 1, dtype=torch.float64, device=added.device)
    return {
        "threshold": torch.sigmoid(edges[:-1]),
        "completeness": added / added[0].clamp(min=1),
        "purity": torch.where(flagged > 0, true / flagged.clamp(min=1e-9), torch.ones_like(flagged)),
        "false_positive_rate": (false / (outside[0] - own_area).clamp(min=1)).clamp(max=1),
    }


def _touching(mask: Tensor) -> Tensor:
    return (F.max_pool2d(mask.float(), 3, 1, 1) > 0.5) & ~mask
