"""The networks by name: ours, those that other packages bring, and those of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from deepcr_lightning.errors import InputError
from deepcr_lightning.named import find_named, first_line
from deepcr_lightning.networks.own import OwnNetwork
from deepcr_lightning.networks.unet import UNet

Network = UNet | OwnNetwork
Choice = str | Callable[..., nn.Module]
"""A name, or the class itself where a user of Python has it at hand."""
UNET = "unet"
NETWORKS: dict[str, Callable[..., UNet]] = {UNET: UNet}
"""Ours by the name that ``model.network=`` takes; a checkpoint with one of them needs no word of the user."""
ENTRY_POINTS = "deepcr_lightning.networks"
"""Group of entry points in which other packages offer networks."""


def make_network(chosen: Choice, settings: Mapping[str, Any], option: str = "network") -> Network:
    """Make a network.

    Parameters
    ----------
    chosen : str or callable
        A name of `NETWORKS`, of an entry point, or as Python imports it; or a class. It comes from the user, never from
        a file.
    settings : mapping of str
        Parameters that it is made with.
    option : str
        Option that names it, for the message of an error.

    Returns
    -------
    UNet or OwnNetwork

    Raises
    ------
    InputError
        If there is no such network, it cannot be made, or it lacks what it needs (`networks.own.PixelNetwork`).
    """
    if isinstance(chosen, str) and chosen in NETWORKS:
        return NETWORKS[chosen](**settings)
    make = _found(chosen, option)
    name = name_of(chosen)
    if not callable(make):
        raise InputError(f"{option}={name}: is a {type(make).__name__}; name a class or function that makes a network")
    try:
        net = make(**settings)
    except Exception as error:  # whatever the user's own code raises
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items()) or "no settings"
        raise InputError(f"{option}={name}: cannot be made with {given} ({first_line(error)})") from error
    if not isinstance(net, nn.Module):
        raise InputError(f"{option}={name}: makes a {type(net).__name__}; it must make a torch.nn.Module")
    return OwnNetwork(name, net)


def name_of(chosen: Choice) -> str:
    """Name a network as a checkpoint does.

    Parameters
    ----------
    chosen : str or callable
        A name, which stays as it is, or a class.

    Returns
    -------
    str
    """
    if isinstance(chosen, str):
        return chosen
    return f"{getattr(chosen, '__module__', '')}.{getattr(chosen, '__qualname__', type(chosen).__qualname__)}"


def is_named(recorded: str, chosen: Choice, option: str = "network") -> bool:
    """Tell whether the user names the network that a checkpoint was trained with.

    Parameters
    ----------
    recorded : str
        Name that the checkpoint gives. It is compared, and never imported.
    chosen : str or callable
        What the user names.
    option : str
        Option that names it, for the message of an error.

    Returns
    -------
    bool
        True as well where the checkpoint has the name under which the class was defined.

    Raises
    ------
    InputError
        If what the user names cannot be imported.
    """
    if name_of(chosen) == recorded:
        return True
    if isinstance(chosen, str) and chosen in NETWORKS:
        return False
    return name_of(_found(chosen, option)) == recorded


def _found(chosen: Choice, option: str) -> Any:
    return find_named(option, chosen, NETWORKS, ENTRY_POINTS) if isinstance(chosen, str) else chosen


def described(net: nn.Module) -> str:
    """Say in a few words what a network is: its class and the number of its weights."""
    made = net.net if isinstance(net, OwnNetwork) else net
    return f"{type(made).__name__}, {sum(weight.numel() for weight in made.parameters()):,} weights"
