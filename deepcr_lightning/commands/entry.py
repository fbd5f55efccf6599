"""One command from what was typed to its end: the same for the console command and for the scripts.

PyTorch takes seconds to import: help, completion, a mistyped option and a missing one do not wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from deepcr_lightning.console.added_configs import refuse_hidden_configs
from deepcr_lightning.console.arguments import fail, fine_tuning_overrides, resume_overrides
from deepcr_lightning.console.config_folder import config_folder
from deepcr_lightning.console.help_page import help_page, show
from deepcr_lightning.console.hydra_errors import hydra_errors_in_a_line
from deepcr_lightning.console.required import refuse_unknown, require_options
from deepcr_lightning.console.run_folder import discard, discard_unused, with_writable_folder
from deepcr_lightning.console.typed import understood
from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps.launchers import require_launcher


def run(name: str, arguments: Sequence[str], before: Sequence[str] = ()) -> None:
    """Run a command with what the user typed; what is wrong with that ends in one line and exit status 1.

    Parameters
    ----------
    name : str
        Name of the command: of its config, and of the function in the module of ``commands`` that does the work.
    arguments : sequence of str
        What was typed behind it.
    before : sequence of str
        What stands before these on the command line of this process: the name of the command, or nothing for a script.
    """
    if not {"--help", "-h"}.isdisjoint(arguments):
        show(help_page(name))
        return
    try:
        typed = understood(arguments, name)
        refuse_hidden_configs(typed)
        if name == "train":
            typed = resume_overrides(fine_tuning_overrides(typed))
            require_launcher(typed)
        typed = with_writable_folder(typed)
    except InputError as error:
        fail(str(error))
    sys.argv[1:] = typed  # which Hydra reads
    try:
        with hydra_errors_in_a_line() as marked:
            run_by_hydra = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=name)
            run_by_hydra(marked(_task(name, typed, before)))()
    finally:
        discard_unused()  # Hydra refused an option


def _task(name: str, typed: Sequence[str], before: Sequence[str]) -> Callable[[DictConfig], float | None]:
    def task(cfg: DictConfig) -> float | None:
        # Lightning starts the other processes of a distributed run by the command line.
        sys.argv[1:] = [*before, *typed]
        if name == "train" and HydraConfig.get().mode == RunMode.MULTIRUN:
            from deepcr_lightning.sweeps.job import run_job

            return run_job(lambda cfg: _work(name)(_checked(name, cfg)), cfg, before)
        try:
            _checked(name, cfg)
        except InputError as error:
            if cfg.get("debug"):
                raise
            discard(Path(HydraConfig.get().runtime.output_dir))
            fail(str(error))
        work = _work(name)
        from deepcr_lightning.console.command import command  # behind Lightning, which it quietens

        with command(cfg):
            work(cfg)
        return None

    return task


def _checked(name: str, cfg: DictConfig) -> DictConfig:
    refuse_unknown(name, cfg)
    require_options(name, cfg)
    return cfg


def _work(name: str) -> Callable:
    return getattr(import_module(f"deepcr_lightning.commands.{name}"), name)
