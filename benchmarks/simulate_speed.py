"""Time to simulate one crowded 2051 x 4096 chip: sky scene, chip, cosmic rays, read-out."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from report import Row, parser, publish

from deepcr_lightning.simulation.chip_defects import draw_chip
from deepcr_lightning.simulation.cosmic_rays import draw_cosmic_rays
from deepcr_lightning.simulation.plan import FULL_CHIP
from deepcr_lightning.simulation.readout import expose
from deepcr_lightning.simulation.scene import draw_scene, render_scene

BUDGET = 20.0
ROUNDS = 3


def main() -> None:
    """Simulate a chip a few times and compare with the seconds it may take."""
    chosen = parser(__doc__).parse_args()
    seconds, stars = [], 0
    for seed in range(ROUNDS):
        start = time.perf_counter()
        rng = np.random.default_rng(seed)
        image, table = render_scene(draw_scene("galaxy", FULL_CHIP, rng), "F814W", FULL_CHIP)
        rays = draw_cosmic_rays(FULL_CHIP, 950, rng)
        expose(image, rays, draw_chip(FULL_CHIP, rng), seconds=900, flash=0, subtract_dark=True, rng=rng)
        seconds.append(time.perf_counter() - start)
        stars = len(table)
    taken = median(seconds)
    publish(
        [Row(f"crowded chip, {stars} stars, 900 s", taken, "s", "what it may take", BUDGET, BUDGET / taken)],
        chosen.json,
    )


if __name__ == "__main__":
    main()
