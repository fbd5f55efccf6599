"""The result that a job of a sweep writes into its folder."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepcr_lightning.atomic import process_alive, write_json
from deepcr_lightning.console.yaml_file import load_yaml
from deepcr_lightning.errors import InputError

FILE = "result.json"
SCORE = "val/average_precision"
"""What a sweep is ranked by and a search maximises. The loss is no rank: another loss, other labels or other
layers a tile change its scale; purity against completeness means the same in all of them."""
_LARGEST_PROCESS = 1 << 31
DONE, FAILED, RUNNING, KILLED, NOT_STARTED = "done", "failed", "running", "killed", "not started"


@dataclass(frozen=True)
class Result:
    """How a job stands.

    Attributes
    ----------
    job : str
        Name of its folder: its number in the sweep.
    status : {"done", "failed", "running", "killed", "not started"}
    overrides : list of str
        What it was started with.
    scores : dict of str to float
        Scores of the checkpoint that it kept, by the names that were logged.
    checkpoint : str
        Its best checkpoint; empty where there is none.
    seconds : float, optional
        Time it took.
    reason : str
        Why it failed, in a line.
    host : str
    process : int
        Where it ran.
    """

    job: str
    status: str
    overrides: Sequence[str] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    checkpoint: str = ""
    seconds: float | None = None
    reason: str = ""
    host: str = field(default_factory=platform.node)
    process: int = field(default_factory=os.getpid)

    @property
    def score(self) -> float | None:
        """Average precision on the validation side; None unless the job is done and has one."""
        return self.scores.get(SCORE) if self.status == DONE else None

    @property
    def options(self) -> dict[str, str]:
        """Overrides by their names."""
        pairs = (text.partition("=") for text in self.overrides)
        return {name.lstrip("+"): value for name, _, value in pairs}


def write_result(folder: Path, result: Result) -> None:
    """Write the result of a job whole or not at all.

    Parameters
    ----------
    folder : Path
        Folder of the job.
    result : Result

    Raises
    ------
    InputError
        If it cannot be written.
    """
    values = {name: value for name, value in vars(result).items() if name != "job"}
    values["overrides"], values["scores"] = list(result.overrides), dict(result.scores)
    write_json(folder / FILE, values)


def read_result(folder: Path) -> Result | None:
    """Read how a job stands.

    Parameters
    ----------
    folder : Path
        Folder of the job.

    Returns
    -------
    Result or None
        Result of the job, "killed" if it ended without a result; None for a folder that is not that of a job.
    """
    try:
        result = _checked(Result(job=folder.name, **json.loads((folder / FILE).read_text())))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        saved = folder / ".hydra" / "overrides.yaml"
        if not saved.is_file():
            return None
        try:
            overrides = [text for text in load_yaml(saved) if isinstance(text, str)]
        except InputError:  # Hydra wrote half of it, or the power went meanwhile
            overrides = []
        return Result(folder.name, KILLED, overrides, reason="ended before it could say why")
    if result.status == RUNNING:
        status, reason = RUNNING, f"still running on {result.host}, or killed there"
        if result.host == platform.node():
            alive = process_alive(result.process)
            status, reason = (RUNNING, "still running") if alive else (KILLED, "its process was killed")
        return Result(**{**vars(result), "status": status, "reason": reason})
    return result


def _checked(result: Result) -> Result:
    """Return a result that a file gave, or raise ValueError or TypeError if its values are of other kinds."""
    texts = [result.status, result.checkpoint, result.reason, result.host, *result.overrides, *result.scores]
    if not all(isinstance(text, str) for text in texts) or result.status not in (DONE, FAILED, RUNNING):
        raise ValueError("its texts are none")
    numbers = [*result.scores.values(), 0.0 if result.seconds is None else result.seconds]
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        raise ValueError("its numbers are none")
    if not isinstance(result.process, int) or not 0 < result.process < _LARGEST_PROCESS:
        raise ValueError("it has no process")
    return result


def read_results(folder: Path) -> list[Result]:
    """Read the results of all jobs of a sweep, in the order of their numbers.

    Parameters
    ----------
    folder : Path
        Folder of the sweep.

    Returns
    -------
    list of Result
    """
    places = sorted(folder.iterdir(), key=_number) if folder.is_dir() else []
    results = (read_result(place) for place in places if place.is_dir())
    return [result for result in results if result is not None]


def _number(place: Path) -> tuple[int, str]:
    return (int(place.name) if place.name.isdigit() else 0, place.name)


def best_of(results: Sequence[Result]) -> Result | None:
    """Choose the job with the highest average precision; None where no job has one."""
    scored = [result for result in results if result.score is not None]
    return max(scored, key=lambda result: result.score or 0.0) if scored else None


def swept_options(results: Sequence[Result]) -> list[str]:
    """Name the options in which jobs differ, in the order in which they were given.

    Parameters
    ----------
    results : sequence of Result

    Returns
    -------
    list of str
    """
    names = dict.fromkeys(name for result in results for name in result.options)
    return [name for name in names if len({result.options.get(name) for result in results}) > 1]
