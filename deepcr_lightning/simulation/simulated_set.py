"""A whole simulated set on disk: science exposures, darks, their truth and their stars."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from astropy.nddata import block_reduce
from astropy.table import Table, vstack
from tqdm import tqdm

from deepcr_lightning.atomic import write_atomically
from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.instruments import cosmic_ray_time, instrument_of
from deepcr_lightning.simulation.bright_stars import add_bright_stars
from deepcr_lightning.simulation.chip_defects import ChipDefects, draw_chip
from deepcr_lightning.simulation.conditions import USUAL, Conditions
from deepcr_lightning.simulation.cosmic_rays import CR_RATE, draw_cosmic_rays, trail_charge
from deepcr_lightning.simulation.discs import add_discs
from deepcr_lightning.simulation.moving import add_moving_sources
from deepcr_lightning.simulation.plan import (
    CHIP_GAP,
    DITHERS,
    FLASH_RATE,
    FULL_CHIP,
    PlannedExposure,
    SetSettings,
    plan_set,
)
from deepcr_lightning.simulation.readout import expose
from deepcr_lightning.simulation.reduction import reduced
from deepcr_lightning.simulation.scene import Scene, draw_scene, render_scene
from deepcr_lightning.simulation.simulated_files import (
    SimulatedChip,
    exposure_hdus,
    truth_hdus,
)
from deepcr_lightning.simulation.stars import DEFAULT_FIELDS

SETTINGS_FILE = "simulation.json"
"""Name of the file in a set's folder that holds its settings."""

_RATE_SCATTER = 0.12
# Charge that 1000 e lose on their way from the far edge, after CTE correction.
_TRANSFER_LOSS = 0.03


def simulate_set(
    out: str | Path,
    *,
    filters: Sequence[str],
    exposures: int,
    darks: int,
    size: tuple[int, int] = FULL_CHIP,
    chips: int = 2,
    fields: Sequence[str] = DEFAULT_FIELDS,
    exposure_times: tuple[float, float] = (350.0, 1300.0),
    dark_time: float = 900.0,
    seed: int = 0,
    conditions: Conditions | str = USUAL,
    dithers: int = DITHERS,
    progress: bool = True,
) -> list[Path]:
    """Write a set of simulated exposures: ``out/science``, ``darks``, ``truth`` and ``stars``.

    What a complete or interrupted run with the same settings has left is kept.

    Parameters
    ----------
    out : str or Path
        Folder of the set.
    filters : sequence of str
        Filters of the science exposures.
    exposures : int
        Science exposures per filter.
    darks : int
        Number of darks.
    size : tuple of int
        Rows and columns of a chip; anything below 2051 x 4096 is a subarray.
    chips : int
        Chips per exposure: 1 or 2.
    fields : sequence of str
        Field types, one visit after the other, of `stars.FIELDS`.
    exposure_times : tuple of float
        Shortest and longest science exposure in s.
    dark_time : float
        Exposure time of the darks in s.
    seed : int
        Seed; every file derives its random numbers from the seed and its own index.
    conditions : Conditions or str
        Those of all exposures, darks included; or the name of a camera, with which they are drawn for every filter of
        a visit and every dark (`cameras.CAMERAS`).
    dithers : int
        Exposures of a visit in each filter, each at a sub-pixel offset of its own.
    progress : bool
        Whether to show a progress bar on stderr.

    Returns
    -------
    list of Path
        The exposures: science first, then darks.

    Raises
    ------
    InputError
        If a setting is out of range, a filter or field type is unknown, or the folder holds anything but a
        set with the same settings.
    """
    settings = SetSettings(
        filters=tuple(filters),
        exposures=exposures,
        darks=darks,
        size=(size[0], size[1]),
        chips=chips,
        fields=tuple(fields),
        exposure_times=(float(exposure_times[0]), float(exposure_times[1])),
        dark_time=float(dark_time),
        seed=seed,
        conditions=conditions,
        dithers=dithers,
    )
    planned = plan_set(settings)
    folder = Path(out)
    _claim(folder, settings)

    @lru_cache(maxsize=2)
    def chip_defects(number: int) -> ChipDefects:
        return draw_chip(settings.size, np.random.default_rng([seed, 3, number]))

    @lru_cache(maxsize=1)
    def scene_of(visit: int, field: str, stars: float, binning: tuple[int, int]) -> Scene:
        rows, columns = settings.pointing
        pointing = (rows * binning[0], columns * binning[1])
        return draw_scene(field, pointing, np.random.default_rng([seed, 4, visit]), stars)

    written: list[Path] = []
    for exposure in tqdm(planned, desc="Simulating", unit="file", disable=None if progress else True):
        targets = _targets(folder, exposure)
        written.append(targets["image"])
        if all(path.exists() for path in targets.values()):
            continue
        defects = [chip_defects(number) for number in range(settings.chips)]
        way = exposure.conditions
        scene = None if exposure.is_dark else scene_of(exposure.visit, exposure.field, way.stars, way.binning)
        simulated, stars = simulate_exposure(exposure, settings, defects, scene)
        truth = truth_hdus(exposure, simulated)
        write_atomically(targets["truth"], partial(truth.writeto, overwrite=True))
        if stars is not None:
            write_stars = partial(stars.write, format="ascii.ecsv", overwrite=True)
            write_atomically(targets["stars"], write_stars)
        # The exposure comes last: where it lies, its truth and its stars lie too.
        image = exposure_hdus(exposure, settings, simulated)
        write_atomically(targets["image"], partial(image.writeto, overwrite=True))
    return written


def simulate_exposure(
    planned: PlannedExposure,
    settings: SetSettings,
    defects: Sequence[ChipDefects],
    scene: Scene | None,
) -> tuple[list[SimulatedChip], Table | None]:
    """Take one planned exposure.

    Parameters
    ----------
    planned : PlannedExposure
        The exposure.
    settings : SetSettings
        The settings of its set.
    defects : sequence of ChipDefects
        Defects of each chip in the order of EXTVER.
    scene : Scene or None
        What the telescope points at; None for a dark.

    Returns
    -------
    chips : list of SimulatedChip
        The chips in the order of EXTVER.
    stars : astropy.table.Table or None
        The stars on the chips, with a column ``extver``, but for those that fill the wells (`bright_stars`); None for a
        dark.
    """
    rng = np.random.default_rng([settings.seed, 5, planned.index])
    height, width = settings.size
    conditions = planned.conditions
    row = instrument_of(conditions.instrument, conditions.detector)
    seconds = cosmic_ray_time(planned.seconds, planned.flash / FLASH_RATE, row, settings.size)
    rate = CR_RATE * float(np.exp(rng.normal(0, _RATE_SCATTER)))
    down, along = conditions.binning
    shape = (height * down, width * along)
    simulated: list[SimulatedChip] = []
    tables: list[Table] = []
    for number, chip in enumerate(defects):
        light = np.zeros(shape)
        if scene is not None:
            origin = (planned.dither[0] + number * down * (height + CHIP_GAP), planned.dither[1])
            light, table = render_scene(scene, planned.filter_name, shape, origin, conditions)
            # The middle of the first pixel stays 0.
            table["y"], table["x"] = (table["y"] + 0.5) / down - 0.5, (table["x"] + 0.5) / along - 0.5
            table.add_column(np.full(len(table), number + 1), name="extver", index=0)
            tables.append(table)
            # The same in all exposures of a visit with one filter; behind a slit there is none of it.
            for stream, add in ((9, add_bright_stars), (10, add_discs)) if scene.spectrum is None else ():
                places = np.random.default_rng([settings.seed, stream, planned.visit, number])
                add(light, planned.dither, planned.filter_name, conditions, places)
            if conditions.moving:
                # A stream of its own: an exposure without them is what it was.
                ways = np.random.default_rng([settings.seed, 8, planned.index, number])
                add_moving_sources(light, planned.seconds, planned.filter_name, conditions, ways)
        charge = draw_cosmic_rays(shape, seconds, rng, conditions, rate)
        if conditions.binning != (1, 1):
            light, charge = (block_reduce(image, conditions.binning) for image in (light, charge))
        # The amplifiers lie below chip 2 (EXTVER 1) and above chip 1.
        charge = trail_charge(charge, _TRANSFER_LOSS, readout_row=-number)
        frame = expose(
            light,
            charge,
            chip,
            seconds=planned.seconds,
            flash=planned.flash,
            subtract_dark=not planned.is_dark,
            rng=rng,
            read_noise=conditions.read_noise,
            gain=conditions.gain,
            full_well=conditions.full_well,
        )
        simulated.append(reduced(SimulatedChip(frame, charge), conditions, rng))
    return simulated, vstack(tables) if tables else None


def _claim(folder: Path, settings: SetSettings) -> None:
    """Make the folder and note the settings in it, or see that it is a set with these settings."""
    record = folder / SETTINGS_FILE
    wanted = json.loads(json.dumps(settings.record()))
    if record.is_file():
        found = json.loads(record.read_text(encoding="utf-8"))
        if found != wanted:
            differing = sorted(key for key in {*wanted, *found} if found.get(key) != wanted.get(key))
            raise InputError(
                f"{folder} holds a set with other settings ({', '.join(differing)}): "
                "choose another folder, or remove this one"
            )
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and does not contain a simulated set; choose another folder")
    text = json.dumps(wanted, indent=2) + "\n"
    write_atomically(record, lambda path: path.write_text(text, encoding="utf-8"))


def _targets(folder: Path, planned: PlannedExposure) -> dict[str, Path]:
    """Paths of all files of one exposure."""
    root = planned.root
    truth = folder / "truth" / f"{root}_truth.fits"
    if planned.is_dark:
        return {"image": folder / "darks" / f"{root}_flc.fits", "truth": truth}
    return {
        "image": folder / "science" / f"{root}_flc.fits",
        "truth": truth,
        "stars": folder / "stars" / f"{root}_stars.ecsv",
    }
