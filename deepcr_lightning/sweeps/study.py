"""A search: an Optuna study in SQLite, whose trials are jobs of a sweep."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from deepcr_lightning.errors import InputError
from deepcr_lightning.named import first_line
from deepcr_lightning.sweeps.result import RUNNING, read_result

FILE = "study.db"
_FIXED = "fixed overrides"


@contextmanager
def naming_errors(folder: Path) -> Iterator[None]:
    """Raise InputError for whatever SQLite, SQLAlchemy and Optuna raise where a study is damaged or the disk is full.

    Parameters
    ----------
    folder : Path
        Folder of the search.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of a dozen kinds
        raise InputError(
            f"{folder / FILE}: is damaged, or cannot be written ({first_line(error)}); if damaged, move it away "
            "to begin the search anew"
        ) from error


def open_study(folder: Path, fixed: Sequence[str], seed: int) -> optuna.Study:
    """Begin the study of a folder, or go on with it.

    Parameters
    ----------
    folder : Path
        Folder of the search.
    fixed : sequence of str
        The overrides that all trials share.
    seed : int

    Returns
    -------
    optuna.Study

    Raises
    ------
    InputError
        If the study was begun with other fixed overrides: its scores would not compare.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / FILE).resolve()}")
    with ExitStack() as opened:
        opened.callback(close, storage)
        study = optuna.create_study(study_name="search", storage=storage, direction="maximize", load_if_exists=True)
        weakref.finalize(study, opened.pop_all().close)
    before = study.user_attrs.get(_FIXED)
    if before is not None and sorted(before) != sorted(fixed):
        raise InputError(
            f"{folder}: its search was started with {' '.join(sorted(before)) or 'no overrides'}; give the same, "
            "or another hydra.sweep.dir"
        )
    study.set_user_attr(_FIXED, list(fixed))
    # The same seed in a search that goes on would draw its first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    return study


def close(storage: optuna.storages.RDBStorage) -> None:
    """Close the database of a study, which Optuna leaves open, and Python 3.13 warns of that."""
    storage.remove_session()
    storage.engine.dispose()


def distribution(override: Override) -> BaseDistribution:
    """Say what Optuna may draw for an option.

    Parameters
    ----------
    override : Override
        A sweep in Hydra's words: ``choice(a,b)`` or ``a,b``, ``range(2,5)``, ``interval(0.1,1)``,
        ``tag(log,interval(1e-4,1e-2))``, ``int(interval(8,64))``.

    Returns
    -------
    BaseDistribution
    """
    value = override.value()
    if isinstance(value, RangeSweep):
        steps = list(value.range())
        if steps and all(isinstance(step, int) for step in steps) and value.step > 0:
            return IntDistribution(int(steps[0]), int(steps[-1]), step=int(value.step))
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        log = "log" in value.tags
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log)
        return FloatDistribution(value.start, value.end, log=log)
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def ask(
    study: optuna.Study, space: Mapping[str, BaseDistribution], fixed: Sequence[str], count: int
) -> tuple[int, list[list[str]]]:
    """Draw the next trials.

    Parameters
    ----------
    study : optuna.Study
    space : mapping of str to BaseDistribution
        By option.
    fixed : sequence of str
        The overrides that all trials share.
    count : int

    Returns
    -------
    first : int
        Number of the first trial; the others follow.
    overrides : list of list of str
        Overrides of each trial.

    Raises
    ------
    InputError
        If the study was begun with other choices of an option.
    """
    try:
        trials = [study.ask(dict(space)) for _ in range(count)]
    except ValueError as error:
        raise InputError(
            f"the search was started with other choices ({error}); give another hydra.sweep.dir"
        ) from error
    # What else a study has of a trial comes from whoever wrote its file.
    drawn = [[*fixed, *(f"{name}={trial.params[name]}" for name in space)] for trial in trials]
    return trials[0].number, drawn


def settle(study: optuna.Study, folder: Path) -> None:
    """Tell the study what its open trials left in their folders.

    Parameters
    ----------
    study : optuna.Study
    folder : Path
        Folder of the search. A trial that failed, or was killed with the search, does not count; one that still runs
        stays open.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        result = read_result(folder / str(trial.number))
        if result is not None and result.score is not None:
            study.tell(trial.number, result.score)
        elif result is None or result.status != RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)


def completed(study: optuna.Study) -> int:
    """Count the trials that have a score."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def failures_in_a_row(study: optuna.Study, since: int) -> int:
    """Count the trials that failed after the last one that did not, from number `since` on."""
    count = 0
    for trial in reversed(study.get_trials(deepcopy=False)[since:]):
        if trial.state != TrialState.FAIL:
            break
        count += 1
    return count
