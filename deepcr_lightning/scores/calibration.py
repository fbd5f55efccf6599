"""Calibration of the logit: scale and shift, fitted on validation tiles without truth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcr_lightning.scores.bins import BINS, bin_centres, logit_bins

SHARES = 50
"""Bins of the dark share in (0, 1]."""
_STEPS = 40
_ENOUGH = 500


def count_labels(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Count pixels by dark share, label and logit: all that the fit needs to know.

    Parameters
    ----------
    logits : Tensor of float, shape (B, 1, H, W)
    batch : dict of Tensor
        From `batches.compose.compose_batch`.

    Returns
    -------
    Tensor of float64, shape (SHARES, 2, BINS)
        Unlabelled and labelled pixels; counts add up.
    """
    share = ((batch["dark_share"] * SHARES).ceil().long() - 1).clamp(0, SHARES - 1).view(-1, 1, 1, 1)
    label = (batch["cr_mask"] > 0.5).long()
    place = (share * 2 + label) * BINS + logit_bins(logits)
    counted = place[~batch["ignore"]]
    return torch.bincount(counted, minlength=SHARES * 2 * BINS).view(SHARES, 2, BINS).double()


# Lightning validates without a fit under inference mode, in which nothing can be fitted.
@torch.inference_mode(False)
def fit_scale(counts: Tensor) -> tuple[float, float]:
    """Find the scale and shift of the logit that make added CRs most likely.

    Training draws more CRs, other skies and other fluxes than validation; its 0.5 is then a little too high where
    CRs are fewer. The likelihood is that of the calibrated loss (`training.losses`), so no truth is needed.

    Parameters
    ----------
    counts : Tensor of float64, shape (SHARES, 2, BINS)
        From `count_labels`.

    Returns
    -------
    scale, shift : float
        ``probability = sigmoid(scale * logit + shift)``; 1 and 0 where too few pixels are labelled to tell.

    References
    ----------
    Platt 1999, Advances in Large Margin Classifiers; the likelihood of positive-unlabelled data as in
    `training.losses.calibrated_bce_with_logits`.
    """
    counts = counts.cpu().clone()
    if counts[:, 1].sum() < _ENOUGH:
        return 1.0, 0.0
    centres, share = bin_centres(counts.device), label_shares(counts)
    weights = counts / counts[:, 1].sum()
    scale, shift = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (1.0, 0.0))
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logit = scale * centres + shift
        labelled = share.log() + F.logsigmoid(logit)
        unlabelled = torch.logaddexp(torch.log1p(-share), share.log() + F.logsigmoid(-logit))
        loss = -(weights[:, 0] * unlabelled + weights[:, 1] * labelled).sum()
        loss.backward()
        return loss.detach()

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    if not (torch.isfinite(scale) and torch.isfinite(shift) and scale > 0.1):
        return 1.0, 0.0
    return float(scale.detach()), float(shift.detach())


def label_shares(counts: Tensor) -> Tensor:
    """Say which share of the CRs is labelled in each row of counts.

    Parameters
    ----------
    counts : Tensor of float64, shape (SHARES, 2, BINS)
        From `count_labels`.

    Returns
    -------
    Tensor of float64, shape (SHARES, 1)
        The middle of each bin of the dark share; 1 where all CRs are labelled (training on truth).
    """
    share = (torch.arange(SHARES, dtype=torch.float64) + 0.5).view(-1, 1) / SHARES
    all_labelled = counts[-1, 0].sum() > 0 and counts[:-1].sum() == 0
    return torch.ones_like(share) if all_labelled else share
