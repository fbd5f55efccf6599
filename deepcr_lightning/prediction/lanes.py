"""Several chips under way at once: while one is copied to a GPU or back, another is worked on there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_lanes(work: Callable[[Item, int], Made], items: Iterable[Item], lanes: int) -> Iterator[Made]:
    """Do some work on each of many items, several at a time.

    Parameters
    ----------
    work : callable
        Takes an item and the number of its lane, from 0; no two items are in one lane at a time.
    items : iterable
        The next one is taken when a lane is free for it.
    lanes : int
        How many items are under way at a time, each in a thread; with 1 there is no thread.

    Yields
    ------
    Any
        What comes of each item, in order. What `work` raises is raised when its turn comes.
    """
    if lanes == 1:
        for item in items:
            yield work(item, 0)
        return
    with ThreadPoolExecutor(lanes, thread_name_prefix="lane") as pool:
        under_way: deque[Future[Made]] = deque()
        for place, item in enumerate(items):
            if len(under_way) == lanes:
                yield under_way.popleft().result()
            under_way.append(pool.submit(work, item, place % lanes))
        while under_way:
            yield under_way.popleft().result()


@contextmanager
def own_stream(device: torch.device, lane: int) -> Iterator[None]:
    """Let what follows in this thread run on a GPU beside what other lanes do there; elsewhere nothing changes.

    Parameters
    ----------
    device : torch.device
    lane : int
    """
    if device.type != "cuda":
        yield
        return
    stream = _stream(device, lane)
    # The weights of the network may still be on their way.
    stream.wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.stream(stream):
        yield


@cache
def _stream(device: torch.device, lane: int) -> torch.cuda.Stream:
    # One for good: PyTorch keeps the memory that a stream has used for that stream alone.
    return torch.cuda.Stream(device)


def to_device(planes: Sequence[NDArray], device: torch.device) -> Tensor:
    """Copy planes of equal shape to a device, without waiting for it.

    Parameters
    ----------
    planes : sequence of ndarray, shape (H, W)
    device : torch.device

    Returns
    -------
    Tensor, shape (B, H, W)
        On the CPU a single plane is not copied.
    """
    together = torch.from_numpy(planes[0][None] if len(planes) == 1 else np.stack(planes))
    if device.type == "cuda":
        # PyTorch keeps the pinned memory until it is copied.
        return together.pin_memory().to(device, non_blocking=True)
    return together.to(device)


def to_host(made: Tensor) -> NDArray:
    """Copy what was made on a device into an array, and wait for it.

    Parameters
    ----------
    made : Tensor

    Returns
    -------
    ndarray
    """
    if made.device.type != "cuda":
        return made.cpu().numpy()
    pinned = torch.empty(made.shape, dtype=made.dtype, pin_memory=True)
    pinned.copy_(made, non_blocking=True)
    torch.cuda.current_stream(made.device).synchronize()
    # A user who keeps many maps is not to keep memory that cannot be swapped.
    return pinned.numpy().copy()
