"""Commands that a disk can disturb, and what is to be there when they have ended after all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from killed_downloads import complete, downloading
from killed_runs import other_weights
from watched import RIGHT, WRONG, Outcome
from works import cleaning_survey, left_behind, training, whole


@dataclass(frozen=True)
class Work:
    """A command that writes in one place.

    Attributes
    ----------
    begin : callable
        Takes the folder of the campaign and the place; gives what begins the work, or goes on with it.
    judge : callable
        Takes the same; says whether all is there that should be.
    """

    begin: Callable[[Path, Path], Callable[[], object]]
    judge: Callable[[Path, Path], Outcome]


def _downloading(place: Path) -> Callable[[], object]:
    def work() -> None:
        from deepcr_lightning.commands import download

        # Others may fill the disk after it was looked at.
        download.require_room = lambda folder, wanted: None
        downloading(place / "out", Path(f"{place}.run"))()

    return work


def _trained(folder: Path, place: Path) -> Outcome:
    if wrong := other_weights(place / "run", folder / "reference"):
        return Outcome(WRONG, f"other weights in {wrong}")
    left = left_behind(place)
    return Outcome(WRONG, f"left behind: {left}") if left else Outcome(RIGHT, "")


WORKS: Mapping[str, Work] = {
    "predict": Work(
        lambda folder, place: cleaning_survey(folder, place / "out", Path(f"{place}.run")),
        lambda folder, place: whole(folder, place / "out"),
    ),
    "train": Work(lambda folder, place: training(folder / "survey", place / "run"), _trained),
    "download": Work(
        lambda folder, place: _downloading(place),
        lambda folder, place: complete(folder, place / "out"),
    ),
}
"""The commands by name."""
