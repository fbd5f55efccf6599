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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from deepcr_lightning.simulation import simulate_set
from deepcr_lightning.simulation.conditions import USUAL, Conditions
from deepcr_lightning.simulation.stars import FIELDS

FILTERS = ("F336W", "F814W")
EXPOSURES = 16
GAIN = 2.5


@dataclass(frozen=True)
class Setting:
    """What differs: the conditions, the times, the form of the files."""

    title: str
    conditions: Conditions = USUAL
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
    "stars_4": Setting("four times the stars", Conditions(stars=4)),
    "stars_16": Setting("sixteen times the stars", Conditions(stars=16)),
    "psf_0.8": Setting("PSF 0.8 times as wide", Conditions(psf=0.8)),
    "psf_1.5": Setting("PSF 1.5 times as wide", Conditions(psf=1.5)),
    "psf_2.5": Setting("PSF 2.5 times as wide", Conditions(psf=2.5)),
    "thick_2": Setting("silicon twice as thick", Conditions(silicon=2)),
    "thick_10": Setting("silicon ten times as thick", Conditions(silicon=10)),
    "noise_8": Setting("read noise 8 e instead of 3.1", Conditions(read_noise=8)),
    "short": Setting("30 to 100 s", times=(30, 100)),
    "long": Setting("2000 to 3000 s", times=(2000, 3000)),
    "camera": Setting(
        "another camera: pixels of 0.05 arcsec, read noise 5 e, silicon twice as thick, plain FITS in counts/s, no DQ",
        Conditions(psf=0.8, silicon=2, read_noise=5),
        rewrite=plain,
    ),
}


def simulate(folder: Path, setting: Setting) -> None:
    """Make the exposures of a setting, unless they are there."""
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)  # what is half made would be rewritten twice
    made = simulate_set(
        folder,
        filters=FILTERS,
        exposures=EXPOSURES,
        darks=1,
        size=(512, 512),
        chips=1,
        fields=FIELDS,
        exposure_times=setting.times,
        seed=21,
        conditions=setting.conditions,
    )
    for path in made:
        if setting.rewrite and path.parent.name == "science":
            setting.rewrite(path)
    (folder / "complete").touch()


def rows(out: Path, checkpoint: Path, names: list[str]) -> Iterator[str]:
    """Score every setting and lay the scores out."""
    columns = ("all", *FIELDS, "completeness at 0.05 %", "at 0.5: completeness", "purity")
    yield "| exposures | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1)
    for name in names:
        simulate(out / name, SETTINGS[name])
        scores = out / "scores" / name
        given = (f"ckpt_path={checkpoint}", f"input={out / name}/science", f"truth={out / name}/truth")
        command = [sys.executable, "evaluate.py", *given, f"output_dir={scores}", f"hydra.run.dir={scores}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        report = json.loads((scores / "evaluation.json").read_text())["with_truth"]
        cells = [f"{report[group]['average_precision']['value']:.3f}" for group in ("all", *FIELDS)]
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
