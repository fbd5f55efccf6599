"""Read exposures one ahead of the network, shared among the processes of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import Protocol

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.prediction.mapping import Failure


class Passing(Protocol):
    """Inputs that come when they are wanted, and may go when they are done with."""

    def fetch(self, path: Path, following: Sequence[Path] = ()) -> None:
        """Wait until a file is there, and begin with those that follow."""

    def drop(self, path: Path) -> None:
        """Say that a file is done with."""


class ExposureReader(Dataset[Exposure | Failure]):
    """Exposures in order; while one is worked on, a thread reads the next.

    A thread and not a loader process: a full frame would have to be copied through shared memory, which is
    small in many containers, and reading leaves the interpreter free.

    Parameters
    ----------
    paths : sequence of Path
    settings : ReadSettings
    passing : Passing, optional
        Brings the files; they are there already by default.
    """

    def __init__(self, paths: Sequence[Path], settings: ReadSettings, passing: Passing | None = None) -> None:
        self.paths, self.settings, self.passing = list(paths), settings, passing
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._ahead: dict[int, Future[Exposure | Failure]] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Exposure | Failure:
        current = self._ahead.pop(index, None) or self._thread.submit(self._read, index)
        if index + 1 < len(self.paths):
            self._ahead[index + 1] = self._thread.submit(self._read, index + 1)
        return current.result()

    def _read(self, index: int) -> Exposure | Failure:
        try:
            if self.passing is not None:
                self.passing.fetch(self.paths[index], self.paths[index + 1 :])
            return read_exposure(self.paths[index], self.settings, timed=False)
        except InputError as error:
            return Failure(self.paths[index], str(error))


class ExposureShares(pl.LightningDataModule):
    """The exposures of a run, shared by its processes: each takes every n-th, whatever the others do.

    Parameters
    ----------
    paths : sequence of Path
        All of them, the same in every process.
    missing : callable
        Tells for a path whether a product is still to be made. What is made already is left out of a share, after
        the shares are cut, since another process may make it while this one looks.
    settings : ReadSettings
    passing : Passing, optional
        Brings the files; they are there already by default.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        missing: Callable[[Path], bool],
        settings: ReadSettings,
        passing: Passing | None = None,
    ) -> None:
        super().__init__()
        # A restart may leave nothing for a process; it then has to wait for the others, not to fail.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.paths, self.missing, self.settings, self.passing = list(paths), missing, settings, passing

    def predict_dataloader(self) -> DataLoader[Exposure | Failure]:
        """Load this process' share, one exposure at a time."""
        rank, size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        mine = [path for path in self.paths[rank::size] if self.missing(path)]
        return DataLoader(ExposureReader(mine, self.settings, self.passing), batch_size=1, collate_fn=itemgetter(0))

    def transfer_batch_to_device(self, batch: object, device: torch.device, dataloader_idx: int) -> object:
        """Leave the exposure where it is; its tiles go to the device."""
        return batch
