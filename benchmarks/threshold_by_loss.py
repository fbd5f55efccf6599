"""The threshold that star counts recommend, by the loss of the network: docs/studies/star_counts.md.

Trains one network with the calibrated loss and one with the plain one, alike but for that, and lets threshold.py
choose a threshold for each on exposures that are short or long, in red or blue filters. What is done already is not
done again.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from report import Row, parser, publish
from scripts import run_script

SIZE = ("--size", "512", "512", "--chips", "1")
TRAIN = ("--filters", "F275W", "F336W", "F606W", "F814W", "--fields", "sparse", "cluster", "galaxy", *SIZE)
TRAIN += ("--exposures", "16", "--darks", "16", "--exposure-times", "100", "1300", "--seed", "51")
BUDGET = ("data.batch_size=4", "data.tiles_per_epoch=320", "trainer.max_epochs=12", "data.test_fraction=0")
LOSSES = ("calibrated_bce", "bce")
TESTS = {
    "F606W and F814W, 120 s": ("F606W", "F814W", "galaxy", "120"),
    "F606W and F814W, 1300 s": ("F606W", "F814W", "galaxy", "1300"),
    "F275W and F336W, 350 s": ("F275W", "F336W", "cluster", "350"),
    "F275W and F336W, 1300 s": ("F275W", "F336W", "cluster", "1300"),
}
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def simulate(place: Path, *settings: str) -> None:
    """Simulate exposures, unless they are there."""
    run_script("-m", "deepcr_lightning.simulation", place, *settings, "--quiet", threads=1)


def train(out: Path, loss: str) -> Path:
    """Train with a loss, unless that was done; return the checkpoint."""
    place = out / "runs" / loss
    if not (place / "done").exists():
        data = (f"data.science={out}/train/science", f"data.darks={out}/train/darks", f"data.store_dir={out}/tiles")
        run_script("train.py", f"loss={loss}", *data, *BUDGET, f"hydra.run.dir={place}", threads=1)
        (place / "done").touch()
    return place / "checkpoints" / "best.ckpt"


def study(out: Path, number: int, loss: str, ckpt_path: Path) -> dict[str, Any]:
    """Choose a threshold, unless that was done; return the report."""
    place = out / "studies" / f"{number}_{loss}"
    if not (place / "threshold.json").exists():
        test = out / f"test_{number}"
        given = (f"ckpt_path={ckpt_path}", f"input={test}/science", f"truth={test}", f"output_dir={place}")
        levels = ",".join(map(str, THRESHOLDS))
        run_script("threshold.py", *given, f"thresholds=[{levels}]", "most_lost=1", f"hydra.run.dir={place}", threads=2)
    report: dict[str, Any] = json.loads((place / "threshold.json").read_text())
    return report


def main() -> None:
    """Train, choose, print."""
    options = parser(__doc__)
    options.add_argument("out", type=Path, help="folder of the exposures, the networks and the studies")
    chosen = options.parse_args()
    out = chosen.out.resolve()
    simulate(out / "train", *TRAIN)
    with ThreadPoolExecutor(2) as pool:
        networks = dict(zip(LOSSES, pool.map(lambda loss: train(out, loss), LOSSES), strict=True))
    rows = []
    for number, (name, (blue, red, field, seconds)) in enumerate(TESTS.items()):
        settings = ("--filters", blue, red, "--fields", field, *SIZE, "--exposures", "2", "--darks", "1")
        simulate(out / f"test_{number}", *settings, "--exposure-times", seconds, seconds, "--seed", str(60 + number))
        reports = {loss: study(out, number, loss, networks[loss]) for loss in LOSSES}
        for what, key in (("recommended", "threshold"), ("from", "low"), ("to", "high"), ("real stars less false", "")):
            value, peer = (_value(reports[loss], key) for loss in LOSSES)
            rows.append(Row(f"{name}, {what}", value, "", LOSSES[1], peer, value / peer))
    publish(rows, chosen.json)


def _value(report: dict[str, Any], key: str) -> float:
    best = report["recommended"]
    values = {"threshold": best["threshold"], "low": best["as_good"][0], "high": best["as_good"][1]}
    return float(values[key] if key else report["truth"]["most_real_less_false_at"])


if __name__ == "__main__":
    main()
