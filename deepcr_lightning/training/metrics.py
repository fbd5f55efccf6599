"""Scores without truth that add up over batches and processes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from deepcr_lightning.scores.bins import BINS
from deepcr_lightning.scores.calibration import SHARES, count_labels
from deepcr_lightning.scores.truth_free import AddedCounts, count_added, curves_of, own_rate, plateau


class TruthFreeCurves(Metric):
    """Curves of completeness, purity and false positives from added CRs and exposure times alone.

    The bookkeeping is that of `scores.truth_free`. Scores are kept as histograms: the memory does not grow with
    the data, and processes add up.
    """

    full_state_update = False
    higher_is_better = None
    labels: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for field in fields(AddedCounts):
            length = 1 if "area" in field.name else BINS
            self.add_state(field.name, torch.zeros(length, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("labels", torch.zeros(SHARES, 2, BINS, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, batch: dict[str, Tensor]) -> None:
        """Count a composed batch (`batches.compose.compose_batch`) and its logits, shape (B, 1, H, W)."""
        for name, value in vars(count_added(logits, batch)).items():
            setattr(self, name, getattr(self, name) + value)
        self.labels = self.labels + count_labels(logits, batch)

    def counts(self) -> AddedCounts:
        """Return what was counted, on the CPU: cumulative sums have no reproducible form on a GPU."""
        return AddedCounts(*(getattr(self, field.name).cpu() for field in fields(AddedCounts)))

    def compute(self) -> dict[str, Tensor]:
        """Return the curves of `scores.truth_free.curves_of`, and ``own_rate``, ``plateau`` and ``labels``."""
        counts = self.counts()
        return {
            **curves_of(counts),
            "own_rate": own_rate(counts),
            "plateau": plateau(counts),
            "labels": self.labels,
        }
