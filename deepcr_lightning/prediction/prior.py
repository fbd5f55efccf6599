"""Probabilities for a chip that fewer cosmic rays cover than those that taught the network."""

from __future__ import annotations

import math

from torch import Tensor

_TRUST = 0.5
"""Part of the change of the log odds that is made: on real images the whole of it loses faint cosmic rays."""
_MOST = 2.5
"""The log odds are lowered by no more than this: a single cosmic ray that is sure stays so."""
_SUPPOSED = 10.0
"""Pixels of cosmic rays that are supposed beside those of the chip, so that a small image says little of its share."""
_SMALL = 0.01
"""Below this a probability changes by the same factor as its odds, and their sum is enough."""
_ROUNDS = 30
_BAND = 32


def lower_to_share(found: Tensor, usable: Tensor, taught: float) -> None:
    """Lower the probabilities of chips that fewer cosmic rays cover than those that taught the network, in place.

    The share that they cover is that of which the mean of the lowered probabilities gives itself again, by
    expectation-maximisation (Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21, equation 2.6). Half of
    the change of the log odds is made, and at most 2.5. Nothing is raised: where a network takes much for cosmic rays,
    stars may be among it.

    Parameters
    ----------
    found : Tensor of float32, shape (B, H, W)
        Probabilities, which change.
    usable : Tensor of bool, shape (B, H, W)
        Pixels that count.
    taught : float
        Share of the pixels that cosmic rays covered in training, between 0 and 1.

    Notes
    -----
    The order of the pixels of a chip is as before.
    """
    for chip, counts in zip(found, usable, strict=True):
        change = max(_TRUST * _asked(chip, counts, taught), -_MOST)
        if change < 0:
            _lower(chip, math.exp(change))


def _asked(found: Tensor, usable: Tensor, taught: float) -> float:
    """Change of the log odds that the share of a chip asks for, at most 0."""
    places = (found > _SMALL).flatten().nonzero().squeeze(1)
    large = found.flatten()[places]
    pixels = int(usable.count_nonzero())
    # Those of no use are few, or as empty as others: a sum over the others alone takes far longer.
    small = float(found.sum() - large.sum()) * pixels / usable.numel()
    # Few numbers, which a GPU would be asked for in every round.
    large = large[usable.flatten()[places]].cpu().double()
    odds, factor = taught / (1 - taught), 1.0
    for _ in range(_ROUNDS):
        rays = small * factor + float(_lowered(large, factor).sum())
        share = (rays + _SUPPOSED) / (pixels + _SUPPOSED / taught)
        if share >= taught:
            return 0.0
        factor = share / (1 - share) / odds
    return math.log(factor)


def _lowered(found: Tensor, factor: float) -> Tensor:
    # In this form rounding cannot make it more than 1.
    above = found * factor
    return above / (above + (1 - found))


def _lower(found: Tensor, factor: float) -> None:
    # A processor goes through a band of rows in its cache, ten times as fast.
    for rows in (found,) if found.is_cuda else found.split(_BAND):
        rows.copy_(_lowered(rows, factor))
