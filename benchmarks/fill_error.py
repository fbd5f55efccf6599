"""How far filled pixels are from what stood under the cosmic rays, by way of filling and kind of field.

On simulated exposures with truth (python -m deepcr_lightning.simulation OUT --fields sparse cluster galaxy nebula ...):
the true cosmic-ray pixels are filled and compared with the exposure less its true cosmic-ray charge. Errors are in
units of the local noise, so that no bright star decides; a perfect fill has 0.95 to 1, the noise of the pixel itself.
Unlike inpaint.py, it also measures speed, and fills masks that are grown.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from report import Row, parser, publish
from scipy.ndimage import binary_dilation

from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import field_type, find_truths, read_matching_truth
from deepcr_lightning.inpainting.filler import load_filler
from deepcr_lightning.prediction.fill import FILLS, NETWORK, Fill

PEER = "median_3"


def main() -> None:
    """Fill every exposure in every way and print root mean square errors."""
    options = parser(__doc__)
    options.add_argument("out", type=Path, help="folder of the simulated exposures")
    options.add_argument("--fill-ckpt-path", help="best.ckpt of a run of experiment=inpaint, for a network as well")
    options.add_argument("--grow", type=int, default=0, help="rings of pixels that the mask is grown by")
    chosen = options.parse_args()
    ways: dict[str, Fill] = dict(FILLS)
    if chosen.fill_ckpt_path:
        ways[NETWORK] = load_filler(chosen.fill_ckpt_path)
    truths = find_truths("out", chosen.out / "truth")
    squares: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    pixels = 0
    for path in sorted((chosen.out / "science").iterdir()):
        exposure = read_exposure(path)
        file = truths[exposure.root]
        known = read_matching_truth(file, exposure)
        for chip in exposure.chips:
            truth = known[chip.extver]
            if truth.charge is None:
                raise SystemExit(f"{file}: has no CRCHARGE, which says what stood under the cosmic rays")
            pixels += truth.cr.size
            under = chip.electrons - truth.charge
            sky, noise = sky_and_noise(chip.electrons, ~chip.unusable)
            local = np.sqrt(noise**2 + np.maximum(under - sky, 0))
            counted = truth.cr & ~truth.ignore
            mask = truth.cr if chosen.grow == 0 else binary_dilation(truth.cr, np.ones((3, 3), bool), chosen.grow)
            mask = mask & ~chip.unusable  # as those of predict.py
            for name, fill in ways.items():
                start = time.perf_counter()
                filled = fill(chip.electrons, mask, ~chip.unusable)
                seconds[name] += time.perf_counter() - start
                squares[name, field_type(file)].append((((filled - under) / local)[counted]) ** 2)
    rows = []
    for name in ways:
        for field in sorted({key[1] for key in squares}):
            error, peer = (float(np.sqrt(np.concatenate(squares[way, field]).mean())) for way in (name, PEER))
            rows.append(Row(f"{name}, {field}", error, "noise", PEER, peer, peer / error))
        speed = {way: pixels / seconds[way] / 1e6 for way in (name, PEER)}
        rows.append(Row(f"{name}, speed", speed[name], "Mpix/s", PEER, speed[PEER], speed[name] / speed[PEER]))
    publish(rows, chosen.json)


if __name__ == "__main__":
    main()
