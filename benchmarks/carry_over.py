"""How a network does on exposures it was not made for: other crowding, PSF, cosmic rays, read-out, units, camera.

Each row is a set of simulated exposures in which one thing differs from the set of the first row; the last changes all
of them at once and writes plain FITS in counts a second, without DQ.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import numpy as np
from astropy.io import fits

from deepcr_lightning.simulation import cosmic_rays, products, psf, readout, silicon, simulate_set, stars

FIELD_TYPES = ("sparse", "cluster", "galaxy", "nebula")
FILTERS = ("F336W", "F814W")
EXPOSURES = 16
GAIN = 2.5
COARSE = 0.05 * np.pi / 648000

Changes = dict[tuple[object, str], object]


def crowded(factor: float) -> Changes:
    """Multiply the number of stars."""
    return {
        (stars, "_POPULATIONS"): {
            name: (density * factor, *rest) for name, (density, *rest) in stars._POPULATIONS.items()
        }
    }


def blurred(factor: float, pixel: float = psf._PIXEL_RAD) -> Changes:
    """Widen the PSF."""
    return {
        (psf, "_TABLE_FWHM"): tuple(factor * width for width in psf._TABLE_FWHM),
        (psf, "_PIXEL_RAD"): pixel,
    }


def thick(factor: float) -> Changes:
    """Thicken the silicon: longer tracks of more charge, which spreads farther."""
    micrometres = factor * silicon.THICKNESS_UM
    return {
        (silicon, "THICKNESS_UM"): micrometres,
        (cosmic_rays, "THICKNESS_UM"): micrometres,
        (cosmic_rays, "_DIFFUSION_BACK_PX"): factor**0.5 * cosmic_rays._DIFFUSION_BACK_PX,
    }


def noisy(electrons: float) -> Changes:
    """Set the read noise."""
    return {(readout, "READ_NOISE"): electrons, (products, "READ_NOISE"): electrons}


@dataclass(frozen=True)
class Setting:
    """What differs: constants of the simulation, its times, the form of the files."""

    title: str
    changes: Changes = field(default_factory=dict)
    times: tuple[float, float] = (350, 1050)
    rewrite: Callable[[Path], None] | None = None


def in_counts(path: Path) -> None:
    """Give an exposure in counts."""
    with fits.open(path, mode="update") as hdus:
        hdus["SCI", 1].data /= np.float32(GAIN)
        hdus["SCI", 1].header["BUNIT"] = "COUNTS"
        for amplifier in "ABCD":
            hdus[0].header[f"ATODGN{amplifier}"] = GAIN


def per_second(path: Path) -> None:
    """Give an exposure in electrons a second."""
    with fits.open(path, mode="update") as hdus:
        hdus["SCI", 1].data /= np.float32(hdus[0].header["EXPTIME"])
        hdus["SCI", 1].header["BUNIT"] = "ELECTRONS/S"


def plain(path: Path) -> None:
    """Leave one image in counts a second of an unknown camera, with the two cards one needs to read it."""
    with fits.open(path) as hdus:
        seconds = hdus[0].header["EXPTIME"]
        image = hdus["SCI", 1].data / np.float32(GAIN * seconds)
    header = fits.Header({"INSTRUME": "OTHER", "EXPTIME": seconds, "GAIN": GAIN, "BUNIT": "COUNTS/S"})
    fits.PrimaryHDU(image, header).writeto(path, overwrite=True)


SETTINGS = {
    "same": Setting("as in training"),
    "units_counts": Setting("in counts", rewrite=in_counts),
    "units_rate": Setting("in electrons a second", rewrite=per_second),
    "stars_4": Setting("four times the stars", crowded(4)),
    "stars_16": Setting("sixteen times the stars", crowded(16)),
    "psf_0.8": Setting("PSF 0.8 times as wide", blurred(0.8, COARSE)),
    "psf_1.5": Setting("PSF 1.5 times as wide", blurred(1.5)),
    "psf_2.5": Setting("PSF 2.5 times as wide", blurred(2.5)),
    "thick_2": Setting("silicon twice as thick", thick(2)),
    "thick_10": Setting("silicon ten times as thick", thick(10)),
    "noise_8": Setting("read noise 8 e instead of 3.1", noisy(8)),
    "short": Setting("30 to 100 s", times=(30, 100)),
    "long": Setting("2000 to 3000 s", times=(2000, 3000)),
    "camera": Setting(
        "another camera: pixels of 0.05 arcsec, read noise 5 e, silicon twice as thick, plain FITS in counts/s, no DQ",
        blurred(0.8, COARSE) | thick(2) | noisy(5),
        rewrite=plain,
    ),
}


def simulate(folder: Path, setting: Setting) -> None:
    """Make the exposures of a setting, unless they are there."""
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)  # what is half made would be rewritten twice
    psf.psf_stamps.cache_clear()
    with ExitStack() as stack:
        for (module, name), value in setting.changes.items():
            stack.enter_context(patch.object(module, name, value))
        made = simulate_set(
            folder,
            filters=FILTERS,
            exposures=EXPOSURES,
            darks=1,
            size=(512, 512),
            chips=1,
            fields=FIELD_TYPES,
            exposure_times=setting.times,
            seed=21,
        )
    for path in made:
        if setting.rewrite and path.parent.name == "science":
            setting.rewrite(path)
    (folder / "complete").touch()


def rows(out: Path, checkpoint: Path, names: list[str]) -> Iterator[str]:
    """Score every setting and lay the scores out."""
    columns = ("all", *FIELD_TYPES, "completeness at 0.05 %", "at 0.5: completeness", "purity")
    yield "| exposures | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1)
    for name in names:
        simulate(out / name, SETTINGS[name])
        scores = out / "scores" / name
        given = (f"ckpt_path={checkpoint}", f"input={out / name}/science", f"truth={out / name}/truth")
        command = [sys.executable, "evaluate.py", *given, f"output_dir={scores}", f"hydra.run.dir={scores}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        report = json.loads((scores / "evaluation.json").read_text())["with_truth"]
        cells = [f"{report[group]['average_precision']['value']:.3f}" for group in ("all", *FIELD_TYPES)]
        for score in ("completeness_at_fpr_0.0005", "completeness", "purity"):
            cells.append(f"{report['all'][score]['value']:.1%}")
        yield f"| {SETTINGS[name].title} | " + " | ".join(cells) + " |"


def main() -> None:
    """Score a checkpoint on all settings, or on those named."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("checkpoint", type=Path)
    options.add_argument("out", type=Path, help="folder of the exposures and the scores")
    options.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    chosen = options.parse_args()
    for row in rows(chosen.out, chosen.checkpoint, chosen.settings):
        print(row, flush=True)


if __name__ == "__main__":
    main()
