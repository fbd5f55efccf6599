"""CPU seconds of a fresh process: one image in Python, and one subarray through predict.py, beside what peers take.

A process that only imports PyTorch, or PyTorch and Lightning, is the floor of each. OMP_NUM_THREADS=1 is for one core.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from astropy.io import fits
from report import Row, parser, publish

REPOSITORY = Path(__file__).parents[1]
ROUNDS, SIDE = 3, 512
IMAGE = f"import numpy as np; image = np.random.default_rng(1).normal(100, 10, ({SIDE}, {SIDE})).astype('f4'); "
OURS = IMAGE + "import deepcr_lightning; deepcr_lightning.load_model().find_cosmic_rays(image)"
PEERS = {
    "import torch": "import torch",
    "deepCR 0.3.1": IMAGE + "from deepCR import deepCR; deepCR(mask='ACS-WFC', hidden=32).clean(image, inpaint=False)",
    "astroscrappy": IMAGE + "import astroscrappy; astroscrappy.detect_cosmics(image)",
}
LIGHTNING = "import torch, pytorch_lightning"


def main() -> None:
    """Run each in turns, so that all have the machine in the same state."""
    chosen = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        exposure = Path(folder) / "ivis01a1q_flc.fits"
        write_subarray(exposure)
        output = f"output_dir={folder}/out"
        once = [f"input={exposure}", output, f"hydra.run.dir={folder}/run", "overwrite=true", "trainer=cpu"]
        commands = {
            "ours": ["-c", OURS],
            "predict": [str(REPOSITORY / "predict.py"), *once],
            "floor": ["-c", LIGHTNING],
        }
        commands |= {name: ["-c", code] for name, code in PEERS.items()}
        measured: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(ROUNDS + 1):
            for name, command in commands.items():
                seconds = cpu_seconds(command)
                if turn and seconds is not None:  # the first reads from the disk
                    measured[name].append(seconds)
    taken = {name: median(seconds) for name, seconds in measured.items() if seconds}
    call, script = f"load_model and find_cosmic_rays, {SIDE} x {SIDE}", f"predict.py, one subarray of {SIDE} x {SIDE}"
    pairs = [(call, "ours", peer, peer) for peer in PEERS if peer in taken]
    pairs.append((script, "predict", "floor", "import torch and Lightning"))
    publish(
        [Row(name, taken[us], "s CPU", told, taken[peer], taken[peer] / taken[us]) for name, us, peer, told in pairs],
        chosen.json,
    )


def cpu_seconds(arguments: list[str]) -> float | None:
    """User and system time of a process and its children; None if it fails, as where a peer is not installed."""
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime if process.returncode == 0 else None


def write_subarray(path: Path) -> None:
    """Write a file like that of a subarray of WFC3/UVIS."""
    cards = {"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "UVIS", "FILTER": "F336W", "EXPTIME": 500.0}
    image = np.random.default_rng(1).normal(30, 6, (SIDE, SIDE)).astype(np.float32)
    science = fits.ImageHDU(image, fits.Header({"BUNIT": "ELECTRONS"}), name="SCI")
    quality = fits.ImageHDU(np.zeros(image.shape, np.int16), name="DQ")
    fits.HDUList([fits.PrimaryHDU(header=fits.Header(cards)), science, quality]).writeto(path)


if __name__ == "__main__":
    main()
