"""The data of a run that trains on labels from several exposures of each field."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepcr_lightning.batches.datamodule import LabelFreeDataModule
from deepcr_lightning.exposures.exposure import root_of
from deepcr_lightning.labels.write import stored_labels

log = logging.getLogger(__name__)


class MultiExposureDataModule(LabelFreeDataModule):
    """Science tiles whose own CRs are labelled by the other exposures of their field.

    The batches have the form of those of label-free training. Darks add CRs if they are given.

    Parameters
    ----------
    groups : str, optional
        Table of groups (`labels.groups.read_groups`); by visit, filter and camera without one.
    **settings
        Those of `batches.datamodule.LabelFreeDataModule`, without ``truth``.
    """

    def __init__(self, groups: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.groups = None if groups is None else Path(groups).expanduser()

    def _files(self) -> tuple[list[Path], list[Path], Mapping[str, Path]]:
        science = self._find("science")
        folder, truths = stored_labels(self.store_dir, science, self.groups, self.read_settings)
        self.truth = str(folder)
        labelled = [path for path in science if root_of(path) in truths]
        return labelled, self._find("darks") if self.darks else [], truths
