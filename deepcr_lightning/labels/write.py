"""Write truth files of exposures, group by group."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from deepcr_lightning.atomic import make_folder_once
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.pointing import read_pointings
from deepcr_lightning.exposures.store_key import store_key
from deepcr_lightning.exposures.truth import ENDING, find_truths, write_truth
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.labels.groups import Member, group_exposures, read_groups
from deepcr_lightning.labels.label import label_group

log = logging.getLogger(__name__)

FORMAT = 2
"""Raised whenever labels change; those that stand are then made again."""


def write_labels(
    folder: Path,
    files: Sequence[Path],
    groups: Path | None = None,
    settings: ReadSettings | None = None,
    progress: bool = True,
) -> list[Path]:
    """Label exposures and write ``<root>_truth.fits`` of each. Never more than one group is in memory.

    Parameters
    ----------
    folder : Path
        Where the truth files go.
    files : sequence of Path
        The exposures.
    groups : Path, optional
        Table of groups (`labels.groups.read_groups`); by visit and filter without one.
    settings : ReadSettings, optional
    progress : bool
        Whether to show a progress bar on stderr.

    Returns
    -------
    list of Path
        The truth files. Exposures without a group have none.

    Raises
    ------
    InputError
        If a file cannot be read, groups do not hold together, or a file cannot be written.
    """
    table = None if groups is None else read_groups(groups)
    members = [Member.of(read_exposure(path, settings)) for path in files]
    sorted_in = group_exposures(members, table)
    written = []
    total = sum(len(group) for group in sorted_in)
    with tqdm(total=total, desc="Labelling", unit="exposure", disable=None if progress else True, leave=False) as bar:
        for group in sorted_in:
            exposures = [read_exposure(member.path, settings) for member in group]
            for exposure, chips in label_group(exposures, [read_pointings(exposure) for exposure in exposures]):
                path = folder / f"{exposure.root}{ENDING}"
                write_truth(path, exposure, chips, f"comparison of {len(group)} exposures")
                written.append(path)
                bar.update()
    return written


def stored_labels(
    store_dir: str | Path, files: Sequence[Path], groups: Path | None, settings: ReadSettings
) -> tuple[Path, dict[str, Path]]:
    """Label exposures into a folder beside the tile stores, or find them labelled.

    Parameters
    ----------
    store_dir : str or Path
        Folder of all stores.
    files : sequence of Path
    groups : Path, optional
    settings : ReadSettings

    Returns
    -------
    folder : Path
    truths : dict of str to Path
        Truth file by root.

    Raises
    ------
    InputError
        As `write_labels`.
    """
    sources = [*files] if groups is None else [*files, groups]
    try:
        key = store_key(FORMAT, sources, {"labels": True, "groups": groups is not None, **asdict(settings)})
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file") from error
    folder = Path(store_dir).expanduser() / f"labels-{key}"
    try:
        if make_folder_once(folder, lambda partial: write_labels(partial, files, groups, settings)):
            log.info("Labels of several exposures: %s", folder)
    except OSError as error:
        raise InputError(
            f"data.store_dir={store_dir}: cannot write labels there ({error.strerror or error})"
        ) from error
    return folder, find_truths("data.store_dir", folder)
