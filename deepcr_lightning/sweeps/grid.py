"""The jobs of a grid of values, before any has started."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deepcr_lightning.console.yaml_file import load_yaml
from deepcr_lightning.errors import InputError
from deepcr_lightning.sweeps.result import NOT_STARTED, Result

log = logging.getLogger(__name__)

MOST_JOBS = 100_000
"""Jobs of a larger grid are not named before they start."""
_GRID = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def is_grid(config: DictConfig) -> bool:
    """Whether the jobs of a sweep are all combinations of the values given, as in Hydra by default."""
    return OmegaConf.select(config, "hydra.sweeper._target_") == _GRID


def parse(config: DictConfig) -> list[Override]:
    """Parse what a sweep was asked for, in its config and on the command line.

    Parameters
    ----------
    config : DictConfig
        Config of the sweep, with ``hydra``.

    Returns
    -------
    list of hydra.core.override_parser.types.Override
        What is given twice counts as given last.
    """
    params: Mapping[str, Any] = OmegaConf.select(config, "hydra.sweeper.params") or {}
    texts = [f"{name}={value}" for name, value in params.items()] + list(config.hydra.overrides.task)
    parsed = OverridesParser.create().parse_overrides([str(text) for text in texts])
    return list({override.get_key_element(): override for override in parsed}.values())


def require_swept(config: DictConfig) -> None:
    """Refuse a grid without a job, and one that varies nothing.

    Parameters
    ----------
    config : DictConfig
        Config of the sweep, with ``hydra``.

    Raises
    ------
    InputError
        With what to type. A single job is let through to a launcher that takes it elsewhere, to a cluster say.
    """
    overrides = parse(config)
    for override in overrides:
        if override.is_range_sweep() and not list(override.sweep_string_iterator()):
            raise InputError(f"{override.input_line}: an empty range; nothing to sweep over")
    here = str(config.hydra.launcher._target_).endswith("BasicLauncher")
    if here and not any(override.is_sweep_override() for override in overrides):
        raise InputError("-m needs an option with several values, such as model.depth=2,3, or leave -m out")


def require_same(folder: Path, config: DictConfig) -> None:
    """Refuse to mix a grid with another that stands in its folder; the same one goes on.

    Parameters
    ----------
    folder : Path
        Folder of the sweep.
    config : DictConfig
        Config of the sweep that is asked for, with ``hydra``.

    Raises
    ------
    InputError
        If the folder does not say that its jobs are those of this sweep.
    """
    saved = sweep_config(folder)
    if saved is None or [o.input_line for o in parse(saved)] != [o.input_line for o in parse(config)]:
        raise InputError(f"hydra.sweep.dir={folder}: already contains another sweep; give another directory")
    log.info("Going on with %s: jobs that are done are not repeated", folder)


def not_started(config: DictConfig, results: Sequence[Result]) -> list[Result]:
    """Name the jobs of a grid that never left a folder.

    Parameters
    ----------
    config : DictConfig
        Config of the sweep, with ``hydra``.
    results : sequence of Result
        Results of the jobs that started.

    Returns
    -------
    list of Result
        Empty where the jobs cannot be told beforehand: a search, a glob, shuffled values.
    """
    overrides = parse(config)
    told = all(not o.is_sweep_override() or (o.is_discrete_sweep() and not _unforeseen(o)) for o in overrides)
    seen = {result.job for result in results}
    if not is_grid(config) or not told or not all(name.isdigit() for name in seen):
        return []
    values = [_texts(override) for override in overrides]
    if math.prod(map(len, values)) > MOST_JOBS:
        return []
    jobs = itertools.product(*values)
    reason = "the sweep ended before it"
    return [Result(str(n), NOT_STARTED, job, reason=reason) for n, job in enumerate(jobs) if str(n) not in seen]


def sweep_config(folder: Path) -> DictConfig | None:
    """Read the config that Hydra keeps of a sweep; None where it kept none."""
    saved = folder / "multirun.yaml"
    config = load_yaml(saved) if saved.is_file() else None
    if not isinstance(config, DictConfig):
        return None
    try:
        parse(config)
    except (HydraException, OmegaConfBaseException, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{saved}: is not a config of a sweep ({reason}); move it away") from error
    return config


def _unforeseen(override: Override) -> bool:
    return override.value_type is ValueType.GLOB_CHOICE_SWEEP or bool(getattr(override.value(), "shuffle", False))


def _texts(override: Override) -> list[str]:
    values: Iterable[str]
    values = override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
    # One more than are ever named: a range of a thousand million values is no reason to write them all down.
    return [f"{override.get_key_element()}={value}" for value in itertools.islice(values, MOST_JOBS + 1)]
