"""What Hydra calls before the first job of a sweep and after the last."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from deepcr_lightning.console.arguments import fail
from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps.collect import collect
from deepcr_lightning.sweeps.grid import is_grid, require_same, require_swept
from deepcr_lightning.sweeps.result import DONE, read_results


class SweepSummary(Callback):
    """Refuse an empty sweep; write and print the table and figure of one that ended, however it ended."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look at what is asked for, and keep what stands in the folder apart from it."""
        self.folder = Path(config.hydra.sweep.dir)
        self.before = {result.job for result in read_results(self.folder)}
        if is_grid(config):
            try:
                require_swept(config)
                if self.before:
                    require_same(self.folder, config)
            except InputError as error:
                fail(str(error))
            # A grid that goes on has no jobs but its own.
            self.before = set()
        # A launcher may give up, when a job of its is killed: the table is written then, too.
        atexit.register(self._collect_late, config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Collect; status 1 if any job of this sweep failed."""
        atexit.unregister(self._collect_late)
        results = [result for result in collect(self.folder, config) if result.job not in self.before]
        failed = sum(result.status != DONE for result in results)
        if failed:
            fail(f"{failed} of {len(results)} jobs failed; the table says why: {self.folder / 'sweep.csv'}")

    def _collect_late(self, config: DictConfig) -> None:
        if any(result.job not in self.before for result in read_results(self.folder)):
            collect(self.folder, config)
