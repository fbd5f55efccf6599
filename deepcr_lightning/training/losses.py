"""Losses of label-free training, as functions of tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def gives_probability(loss: Loss) -> Loss:
    """Say of a loss that it makes the map of a network the probability of a cosmic ray.

    Parameters
    ----------
    loss : callable
        A loss whose optimum is ``sigmoid(logits) = P(CR)``.

    Returns
    -------
    callable
        The same.
    """
    loss.gives_probability = True  # type: ignore[attr-defined]
    return loss


def masked_bce_with_logits(logits: Tensor, cr_mask: Tensor, ignore: Tensor, dark_share: Tensor) -> Tensor:
    """Binary cross-entropy over the pixels that count: the loss of the paper.

    Its optimum is ``sigmoid(logits) = c P(CR)`` with the dark share c: the map saturates near c, not 1.

    Parameters
    ----------
    logits : Tensor of float, finite, shape (B, 1, H, W)
        Logits of the network.
    cr_mask : Tensor of float, shape (B, 1, H, W)
        1 on added CRs, else 0.
    ignore : Tensor of bool, shape (B, 1, H, W)
        Pixels that do not count.
    dark_share : Tensor of float, shape (B,)
        Not used; stands here so that the losses are called alike.

    Returns
    -------
    Tensor, scalar
        Mean over the pixels that count; 0 where none does.

    Shape
    -----
    logits, cr_mask, ignore : (B, 1, H, W)

    References
    ----------
    Zhang & Bloom 2020, ApJ 889, 24, section 3; Chen et al. 2024, ApJ 962, 7.
    """
    del dark_share
    return _mean_where(F.binary_cross_entropy_with_logits(logits, cr_mask, reduction="none"), ~ignore)


@gives_probability
def calibrated_bce_with_logits(logits: Tensor, cr_mask: Tensor, ignore: Tensor, dark_share: Tensor) -> Tensor:
    """Likelihood of the labels given that only a known share of the CRs carries one.

    A pixel is labelled if it is a CR, probability ``q = sigmoid(logits)``, and an added one, probability c.
    So ``-[y log(c q) + (1 - y) log(1 - c q)]``, whose optimum is ``q = P(CR)``. With c = 1 it is the plain
    binary cross-entropy.

    Parameters
    ----------
    logits : Tensor of float, finite, shape (B, 1, H, W)
        Logits of the network.
    cr_mask : Tensor of float, shape (B, 1, H, W)
        1 on added CRs, else 0.
    ignore : Tensor of bool, shape (B, 1, H, W)
        Pixels that do not count.
    dark_share : Tensor of float, in (0, 1], shape (B,)
        c of each image, from exposure times alone (`batches.compose.dark_share`).

    Returns
    -------
    Tensor, scalar
        Mean over the pixels that count; 0 where none does. Finite for finite logits.

    References
    ----------
    Forward correction for positive-unlabelled data: Patrini et al. 2017 (CVPR, arXiv 1609.03683), theorem 2;
    the share c: Elkan & Noto 2008 (KDD), lemma 1.
    """
    share = dark_share.to(logits.dtype).view(-1, 1, 1, 1)
    log_share, log_rest = share.log(), torch.log1p(-share)
    log_labelled = log_share + F.logsigmoid(logits)
    # 1 - c q = (1 - c) + c (1 - q), added in logarithms: nothing cancels however sure the network is.
    log_unlabelled = torch.logaddexp(log_rest, log_share + F.logsigmoid(-logits))
    return _mean_where(-(cr_mask * log_labelled + (1 - cr_mask) * log_unlabelled), ~ignore)


def _mean_where(values: Tensor, counted: Tensor) -> Tensor:
    # Weights before the sum: a sum of many large losses would overflow where their mean does not.
    weights = counted.to(values.dtype) / counted.sum().clamp(min=1)
    return (values * weights).sum()


LOSSES: dict[str, Loss] = {
    "bce": masked_bce_with_logits,
    "calibrated_bce": calibrated_bce_with_logits,
}
"""Ours by the name that ``model.loss=`` takes."""
