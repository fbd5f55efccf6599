"""Write exposures and darks into a store on disk, whole or not at all."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tqdm import tqdm

from deepcr_lightning.atomic import make_folder_once
from deepcr_lightning.console.counts import counted
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, read_exposure
from deepcr_lightning.exposures.store_key import store_key
from deepcr_lightning.exposures.truth import read_matching_truth
from deepcr_lightning.exposures.units import ReadSettings
from deepcr_lightning.tiles.dark_cr import extract_cr_layers
from deepcr_lightning.tiles.sky_tiles import cut_sky_tiles
from deepcr_lightning.tiles.store import COLUMNS, LayerInfo, TileStore

log = logging.getLogger(__name__)

Cameras = dict[str, Path]
"""The cameras seen so far, each with its first file."""

FORMAT = 10
"""Raised whenever the meaning of the files changes; older stores are then built again."""
_LAST = "store.json"


def build_store(
    store_dir: str | Path,
    science: Sequence[Path],
    darks: Sequence[Path],
    tile_size: int,
    settings: ReadSettings | None = None,
    truths: Mapping[str, Path] | None = None,
) -> TileStore:
    """Cut and separate the exposures into a store, or open the one that stands.

    Two runs that start at once share one store: the second waits for the first. A store that was not
    finished leaves nothing that a later run could mistake for one. Never more than one exposure is in memory.

    Parameters
    ----------
    store_dir : str or Path
        Folder of all stores; each has a folder of its own, named by `store_key`.
    science, darks : sequence of Path
        Files of science and of dark exposures. Without science the store holds CR layers alone.
    tile_size : int
        Side of a tile in pixels.
    settings : ReadSettings, optional
    truths : mapping of str to Path, optional
        Truth file of each science exposure, by root: its true CR charge is kept too, and pixels of which it knows
        nothing are unusable; so are its CRs where it knows their places alone.

    Returns
    -------
    TileStore

    Raises
    ------
    InputError
        If a file cannot be read, is of the wrong kind, or is smaller than a tile; if an exposure has no truth
        where truth is asked for.
    """
    settings = settings or ReadSettings()
    files = [*science, *darks, *(truths or {}).values()]
    counts = {"tile_size": tile_size, "science": len(science), "truths": len(truths or {})}
    key = store_key(FORMAT, files, {**counts, **asdict(settings)})
    folder = Path(store_dir).expanduser() / key
    try:
        make_folder_once(
            folder, lambda partial: _build(partial, folder, science, darks, tile_size, settings, truths), _LAST
        )
    except OSError as error:
        raise InputError(
            f"data.store_dir={store_dir}: cannot write the tile store there ({error.strerror or error})"
        ) from error
    return TileStore(folder)


def _build(
    partial: Path,
    folder: Path,
    science: Sequence[Path],
    darks: Sequence[Path],
    size: int,
    settings: ReadSettings,
    truths: Mapping[str, Path] | None,
) -> None:
    seen: dict[str, Cameras] = {"science": {}, "dark": {}}
    tiles = _write_tiles(partial, science, size, settings, truths, seen["science"], bool(darks))
    layers = _write_layers(partial, darks, size, settings, seen["dark"])
    _require_darks(**seen)
    info = {"tile_size": size, "tiles": tiles, "layers": [asdict(layer) for layer in layers]}
    (partial / _LAST).write_text(json.dumps(info))
    what = f"{counted(tiles, 'tile')} of {size} px, " if science else ""
    log.info("Tile store %s: %s%s", folder, what, counted(len(layers), "dark CR layer"))


def _read_as(kind: str, path: Path, settings: ReadSettings, cameras: Cameras) -> Exposure:
    exposure = read_exposure(path, settings)
    if exposure.image_type != kind:
        other = "darks" if kind == "science" else "science"
        option = "science" if kind == "science" else "darks"
        raise InputError(
            f"{path}: a {exposure.image_type} exposure by its IMAGETYP or TARGNAME, given among the {option}; "
            f"give it among the {other}"
        )
    if exposure.camera:
        cameras.setdefault(exposure.camera, path)
    return exposure


def _require_darks(science: Cameras, dark: Cameras) -> None:
    """Refuse science exposures of a camera whose CRs no dark has; headers that name no camera are believed."""
    for camera, first in science.items():
        if dark and camera not in dark:
            other, its = next(iter(dark.items()))
            raise InputError(
                f"{its}: of {other}, but {first.name} of {camera} (camera, detector and binning); every camera of the "
                "science exposures needs darks of the same"
            )
    for camera in sorted(set(dark) - set(science)) if science else ():
        log.warning("Darks of %s are not used: no science exposure comes from that camera", camera)


def _write_tiles(
    folder: Path,
    science: Sequence[Path],
    size: int,
    settings: ReadSettings,
    truths: Mapping[str, Path] | None,
    cameras: Cameras,
    with_darks: bool,
) -> int:
    columns: dict[str, list[object]] = {name: [] for name in COLUMNS}
    with ExitStack() as stack:
        planes = {"electrons": "tiles.bin", "usable": "usable.bin"} | (
            {"own_charge": "own_charge.bin"} if truths else {}
        )
        files = {name: stack.enter_context((folder / file).open("wb")) for name, file in planes.items()}
        for path in tqdm(science, desc="Cutting science tiles", unit="exposure", leave=False, disable=None):
            exposure = _read_as("science", path, settings, cameras)
            own = None
            if truths:
                exposure, own = _with_truth(exposure, truths, with_darks)
            for tile in cut_sky_tiles(exposure, size, own):
                for name, file in files.items():
                    getattr(tile, name).tofile(file)
                for name in COLUMNS:
                    columns[name].append(getattr(tile, name))
    if science and not columns["file"]:
        raise InputError(
            f"data.science: no tile of {size} x {size} pixels has half of its pixels usable; check the DQ bits"
        )
    table: dict[str, Any] = {f"tile_{name}": np.array(values) for name, values in columns.items()}
    np.savez(folder / "table.npz", **table)
    return len(columns["file"])


def _with_truth(
    exposure: Exposure, truths: Mapping[str, Path], with_darks: bool
) -> tuple[Exposure, dict[int, NDArray[np.float32]]]:
    """Take what the truth knows nothing of for unusable; return the true charge beside it."""
    if exposure.root not in truths:
        raise InputError(f"data.truth: contains no truth for {exposure.path}")
    path = truths[exposure.root]
    own: dict[int, NDArray[np.float32]] = {}
    truth = read_matching_truth(path, exposure)
    chips = []
    for chip in exposure.chips:
        known = truth[chip.extver]
        lost = known.ignore
        if known.charge is None and not with_darks:
            raise InputError(
                f"{path}: has no CRCHARGE,{chip.extver}, the label of a training without darks; "
                "give data.darks= as well"
            )
        if known.charge is None:
            # Without the charge of its CRs an image serves as one that has none: they and their rims become gaps.
            lost = lost | ndimage.binary_dilation(known.cr, np.ones((3, 3), bool))
        chips.append(replace(chip, unusable=chip.unusable | lost))
        own[chip.extver] = np.zeros(chip.electrons.shape, np.float32) if known.charge is None else known.charge
    return replace(exposure, chips=tuple(chips)), own


def _write_layers(
    folder: Path, darks: Sequence[Path], size: int, settings: ReadSettings, cameras: Cameras
) -> list[LayerInfo]:
    # A dark goes with those of the same chip, shape and place; each is put on disk first, so that the median
    # over many darks reads a few rows of each and not all of them at once.
    groups: dict[tuple, list[LayerInfo]] = defaultdict(list)
    count = 0
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for path in tqdm(darks, desc="Reading darks", unit="exposure", leave=False, disable=None):
            exposure = _read_as("dark", path, settings, cameras)
            for chip in exposure.chips:
                rows, columns = chip.electrons.shape
                if min(rows, columns) < size:
                    raise InputError(
                        f"{path}[SCI,{chip.extver}]: a dark of {rows} x {columns} pixels, smaller than a tile of "
                        f"{size}; set data.tile_size to at most {min(rows, columns)} or leave it out"
                    )
                np.save(f"{scratch}/{count}.npy", chip.electrons)
                # What saturates in a dark is the core of a CR: its charge is known to be large.
                np.save(f"{scratch}/{count}_unusable.npy", chip.unusable & ~chip.saturated)
                info = LayerInfo(
                    file=str(path),
                    visit=exposure.visit,
                    chip=chip.number,
                    cr_time=chip.cr_time,
                    start=count,
                    rows=rows,
                    columns=columns,
                    camera=exposure.camera,
                )
                groups[exposure.camera, chip.number, chip.corner, rows, columns].append(info)
                count += 1
        return _write_charge(folder, Path(scratch), list(groups.values()), count)


def _write_charge(folder: Path, scratch: Path, groups: list[list[LayerInfo]], count: int) -> list[LayerInfo]:
    layers: list[LayerInfo] = []
    start = 0
    with (
        (folder / "layers.bin").open("wb") as charges,
        (folder / "layers_kind.bin").open("wb") as kinds,
        tqdm(total=count, desc="Separating dark CRs", unit="chip", leave=False, disable=None) as bar,
    ):
        for group in groups:
            if len(group) == 1:
                log.warning(
                    "%s[%d]: the only dark of its chip; only DQ tells hot pixels from CRs",
                    group[0].file,
                    group[0].chip,
                )
            darks = [np.load(scratch / f"{info.start}.npy", mmap_mode="r") for info in group]
            unusable = [np.load(scratch / f"{info.start}_unusable.npy", mmap_mode="r") for info in group]
            separated = extract_cr_layers(darks, unusable, [info.cr_time for info in group])
            for info, layer in zip(group, separated, strict=True):
                layer.charge.tofile(charges)
                layer.kind.tofile(kinds)
                layers.append(LayerInfo(**{**asdict(info), "start": start, "noise": layer.noise}))
                start += layer.charge.size
                bar.update()
    return layers
