"""Exposures read one ahead of the network."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from torch.utils.data import Dataset

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.prediction.predictor import Failure


class ExposureReader(Dataset[Exposure | Failure]):
    """Exposures in order; while one is worked on, a thread reads the next.

    A thread and not a loader process: a full frame would have to be copied through shared memory, which is
    small in many containers, and reading leaves the interpreter free.

    Parameters
    ----------
    paths : sequence of Path
    settings : ReadSettings
    """

    def __init__(self, paths: Sequence[Path], settings: ReadSettings) -> None:
        self.paths, self.settings = list(paths), settings
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
            return read_exposure(self.paths[index], self.settings)
        except InputError as error:
            return Failure(self.paths[index], str(error))
