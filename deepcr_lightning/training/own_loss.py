"""A loss by name: ours, or one of the user's own, which is tried on a small batch first."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcr_lightning.errors import InputError
from deepcr_lightning.named import find_named, first_line
from deepcr_lightning.training.losses import LOSSES, Loss


def find_loss(name: str) -> Loss:
    """Find a loss.

    Parameters
    ----------
    name : str
        A name of `training.losses.LOSSES`, or that of the user's own as Python imports it, such as
        ``mypackage.my_loss``. It is called as ours are, with ``logits`` (B, 1, H, W) of float, ``cr_mask`` of the same
        shape, 1 on added CRs and else 0, ``ignore`` of bool, the pixels that do not count, and ``dark_share`` (B,), the
        share of the CRs of each image that are labelled; and gives a scalar with a gradient.

    Returns
    -------
    callable

    Raises
    ------
    InputError
        If there is no such loss, it fails on such a batch, or it gives anything but a scalar with a gradient.
    """
    loss: Loss = find_named("model.loss", name, LOSSES)
    if name not in LOSSES:
        _try(name, loss)
    return loss


def is_probability(loss: Loss) -> bool:
    """Tell whether the map of a network is a probability with a loss (`training.losses.gives_probability`)."""
    return bool(getattr(loss, "gives_probability", False))


def _try(name: str, loss: Loss) -> None:
    logits = torch.linspace(-3, 3, 32).view(2, 1, 4, 4).requires_grad_()
    cr_mask, ignore = (logits.detach() > 2).float(), logits.detach() < -2.5
    try:
        made = loss(logits, cr_mask, ignore, torch.tensor([0.4, 0.9]))
    except Exception as error:  # whatever the user's own code raises
        raise InputError(
            f"model.loss={name}: fails on logits, cr_mask, ignore (2, 1, 4, 4) and dark_share (2,): {first_line(error)}"
        ) from error
    if not isinstance(made, Tensor) or made.ndim:
        found = f"a tensor of shape {tuple(made.shape)}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
        raise InputError(f"model.loss={name}: gives {found}; it must give a scalar tensor, such as a mean over pixels")
    if not made.requires_grad:
        raise InputError(f"model.loss={name}: its value has no gradient with respect to the logits")
