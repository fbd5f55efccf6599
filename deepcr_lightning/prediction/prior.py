"""Probabilities for a chip that fewer cosmic rays cover than the network supposes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TRUST = 0.3
"""Part of the change of the log odds that is made: a network is sure of fewer cosmic rays than there are, so that the
whole of it would lose faint ones."""
_MOST = 2.0
"""The log odds are lowered by no more than this: a single cosmic ray that is sure stays so."""
_BESIDE = 10.0
"""Pixels of cosmic rays that are supposed beside those of the chip, so that a small image says little of its share."""
_SMALL = 0.01
"""Below this a probability changes by the same factor as its odds, and their sum is enough."""
_LARGE = 1 << 20
"""Of chips with so many pixels a quarter of the rows is enough."""
_ROUNDS, _STEADY = 30, 1e-3
_BAND = 32


def lower_to_share(found: Tensor, usable: Tensor, supposed: float) -> None:
    """Lower the probabilities of chips that fewer cosmic rays cover than the network supposes, in place.

    The share that they cover is that of which the mean of the lowered probabilities gives itself again, by
    expectation-maximisation (Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21). Three tenths of the
    change of the log odds are made, and at most 2. Nothing is raised: where a network takes much for cosmic rays,
    stars may be among it.

    Parameters
    ----------
    found : Tensor of float32, shape (B, H, W)
        Probabilities, which change.
    usable : Tensor of bool, shape (B, H, W)
        Pixels that count.
    supposed : float
        Share of the pixels that cosmic rays cover where the probabilities are right, between 0 and 1.

    Notes
    -----
    The order of the pixels of a chip is as before.
    """
    for chip, counts in zip(found, usable, strict=True):
        rows = slice(None, None, 4 if chip.numel() >= _LARGE else 1)
        change = max(_TRUST * _asked(chip[rows], counts[rows], supposed), -_MOST)
        if change < 0:
            _lower(chip, math.exp(change))


def _asked(found: Tensor, usable: Tensor, supposed: float) -> float:
    """Change of the log odds that the share of a chip asks for, at most 0."""
    places = (found > _SMALL).flatten().nonzero().squeeze(1)
    large = found.flatten()[places]
    pixels = int(usable.count_nonzero())
    # Those of no use are few, or as empty as others: a sum over the others alone takes far longer.
    small = float(found.sum() - large.sum()) * pixels / usable.numel()
    # Few numbers, which a GPU would be asked for in every round.
    large = large[usable.flatten()[places]].cpu().double()
    odds, factor = supposed / (1 - supposed), 1.0
    for _ in range(_ROUNDS):
        rays = small * factor + float((large * factor / (large * factor + (1 - large))).sum())
        share = (rays + _BESIDE) / (pixels + _BESIDE / supposed)
        if share >= supposed:
            return 0.0
        before, factor = factor, share / (1 - share) / odds
        if factor > (1 - _STEADY) * before or _TRUST * math.log(factor) < -_MOST:
            break
    return math.log(factor)


def _lower(found: Tensor, factor: float) -> None:
    # A processor goes through a band of rows in its cache, ten times as fast.
    for rows in (found,) if found.is_cuda else found.split(_BAND):
        above = rows * factor
        # In this form rounding cannot make it more than 1.
        torch.div(above, rows.neg_().add_(1).add_(above), out=rows)
