"""hydra/sweeper=study: an Optuna study that goes on where it stopped.

It lies here because Hydra takes sweepers from `hydra_plugins` alone.
"""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)

_GIVE_UP = 3
"""Failures in a row: what all trials share is then wrong."""


class StudySweeper(Sweeper):
    """Search for the options with the highest average precision.

    Parameters
    ----------
    trials : int
        Trials with a score that the study is to have; those of earlier commands count.
    at_once : int
        Trials that are drawn together, for a launcher that runs them side by side.
    params : dict of str to str
        What to search, in Hydra's words, by option; the command line wins.
    """

    def __init__(self, trials: int, at_once: int, params: dict[str, str]) -> None:
        self.trials, self.at_once, self.params = trials, at_once, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher that the user chose."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run trials until the study has as many as wanted."""
        # Imported here: Hydra imports this file in every run of every script.
        from filelock import FileLock, Timeout

        from deepcr_lightning.atomic import write_atomically
        from deepcr_lightning.console.arguments import fail
        from deepcr_lightning.errors import InputError

        assert self.config is not None
        folder = Path(self.config.hydra.sweep.dir)
        try:
            write_atomically(folder / "multirun.yaml", lambda partial: OmegaConf.save(self.config, partial))
            with FileLock(folder / ".study.lock", timeout=0):
                self._search(folder)
        except Timeout:
            fail(f"{folder}: another search runs there; wait for it, or give another hydra.sweep.dir")
        except InputError as error:
            fail(str(error))
        except OSError as error:  # under Hydra's own files
            fail(f"{error.filename or folder}: {error.strerror or error}")

    def _search(self, folder: Path) -> None:
        from deepcr_lightning.errors import InputError
        from deepcr_lightning.sweeps import study as studies
        from deepcr_lightning.sweeps.grid import parse

        assert self.config is not None
        assert self.launcher is not None
        overrides = parse(self.config)
        space = {o.get_key_element(): studies.distribution(o) for o in overrides if o.is_sweep_override()}
        fixed = [o.input_line for o in overrides if not o.is_sweep_override() and o.input_line]
        if not space or min(self.trials, self.at_once) < 1:
            raise InputError("a search needs options with several values, and trials and at_once of at least 1")
        with studies.naming_errors(folder):
            study = studies.open_study(folder, fixed, self.config.seed)
            studies.settle(study, folder)
            started, scored = len(study.trials), studies.completed(study)
        if started:
            log.info(f"Going on with {folder}: {scored} of {self.trials} trials are done")
        while scored < self.trials:
            with studies.naming_errors(folder):
                first, batch = studies.ask(study, space, fixed, min(self.trials - scored, self.at_once))
            try:
                self.validate_batch_is_legal(batch)
                self.launcher.launch(batch, initial_job_idx=first)
            finally:
                with studies.naming_errors(folder):
                    studies.settle(study, folder)
                    scored, failures = studies.completed(study), studies.failures_in_a_row(study, started)
            if failures >= _GIVE_UP:
                log.error(f"{_GIVE_UP} trials failed in a row: the search ends")
                break
