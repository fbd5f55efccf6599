"""Completeness, purity and average precision of a run, without truth."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

BINS = 4000
LOGIT_RANGE = 20.0


class TruthFreeCurves(Metric):
    """Curves of completeness and purity from added CRs and exposure times alone.

    Completeness is measured on added CRs. The image's own CRs are as many times the added ones as the
    exposure times say, ``(1 - c) / c``, and are found just as well; so the true detections are the found
    added ones over c, and purity is their share of all that is flagged.

    Scores are kept as histograms of the logit: the memory does not grow with the data, and processes add up.
    """

    full_state_update = False
    higher_is_better = None
    added: Tensor
    expected: Tensor
    flagged: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("added", "expected", "flagged"):
            self.add_state(name, torch.zeros(BINS, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, cr_mask: Tensor, ignore: Tensor, dark_share: Tensor) -> None:
        """Count a batch; shapes as in `training.losses`."""
        place = (logits.detach().float() + LOGIT_RANGE) * (BINS / (2 * LOGIT_RANGE))
        bins = place.long().clamp(0, BINS - 1)
        counted = ~ignore
        positive = counted & (cr_mask > 0.5)
        share = dark_share.view(-1, 1, 1, 1).expand_as(logits)
        self.flagged += torch.bincount(bins[counted], minlength=BINS)
        self.added += torch.bincount(bins[positive], minlength=BINS)
        self.expected += torch.bincount(bins[positive], weights=(1 / share[positive]).double(), minlength=BINS)

    def compute(self) -> dict[str, Tensor]:
        """Return the curves.

        Returns
        -------
        dict of Tensor of float64, shape (BINS,)
            ``threshold`` on the probability, ascending; ``completeness``, ``purity`` and
            ``false_positive_rate`` of the mask above each.
        """
        added, expected, flagged = (above(counts) for counts in (self.added, self.expected, self.flagged))
        edges = torch.linspace(-LOGIT_RANGE, LOGIT_RANGE, BINS + 1, dtype=torch.float64, device=added.device)
        # The truth is an expectation: chance can put it a little above what was flagged.
        purity = torch.where(flagged > 0, (expected / flagged.clamp(min=1)).clamp(max=1), torch.ones_like(flagged))
        background = (flagged[0] - expected[0]).clamp(min=1)
        return {
            "threshold": torch.sigmoid(edges[:-1]),
            "completeness": added / added[0].clamp(min=1),
            "purity": purity,
            "false_positive_rate": ((flagged - expected).clamp(min=0) / background).clamp(max=1),
        }


def above(counts: Tensor) -> Tensor:
    """Sum a histogram from each bin to the last.

    Parameters
    ----------
    counts : Tensor, shape (BINS,)

    Returns
    -------
    Tensor, shape (BINS,)
    """
    return counts.flip(0).cumsum(0).flip(0)


def average_precision(curves: dict[str, Tensor]) -> Tensor:
    """Integrate purity over completeness, as a step function.

    Parameters
    ----------
    curves : dict of Tensor
        From `TruthFreeCurves`.

    Returns
    -------
    Tensor of float64, scalar
        0 to 1; 0 without a single CR.
    """
    completeness = curves["completeness"]
    steps = completeness - torch.cat([completeness[1:], completeness.new_zeros(1)])
    return (steps * curves["purity"]).sum()


def at_threshold(curves: dict[str, Tensor], threshold: float) -> dict[str, Tensor]:
    """Read the curves at one threshold.

    Parameters
    ----------
    curves : dict of Tensor
        From `TruthFreeCurves`.
    threshold : float
        On the probability.

    Returns
    -------
    dict of Tensor, scalar
        By the same names.
    """
    place = int(torch.searchsorted(curves["threshold"], threshold).clamp(max=BINS - 1))
    return {name: values[place] for name, values in curves.items()}
