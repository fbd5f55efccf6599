"""How pure and complete labels from several exposures are, by kind of field and number of exposures.

On dithered simulated exposures with truth (python -m deepcr_lightning.simulation OUT --dithers 8 ...), or on real ones
with a truth beside them. Pixels that touch a true cosmic ray from outside count as neither; the peer is the same figure
with these counted as wrong. The share of cosmic-ray pixels that stay without a label is printed beside them.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from report import Row, parser, publish

from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.sky import sky_and_noise
from deepcr_lightning.exposures.truth import ChipTruth, field_type, find_truths, read_matching_truth
from deepcr_lightning.labels.write import write_labels


def main() -> None:
    """Label the exposures in groups of each size and compare the labels with the truth."""
    options = parser(__doc__)
    options.add_argument("out", type=Path, help="folder with science and truth")
    options.add_argument("--sizes", type=int, nargs="+", default=[3, 4, 8], help="exposures of a visit that are used")
    options.add_argument(
        "--picture", type=Path, help="draw a corner of a crowded exposure, labelled by the largest group"
    )
    chosen = options.parse_args()
    truths = find_truths("out", chosen.out / "truth")
    visits: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((chosen.out / "science").iterdir()):
        visits[read_exposure(path).visit].append(path)
    rows = []
    for size in sorted(chosen.sizes):
        files = [path for group in visits.values() for path in group[:size]]
        counts: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(7, np.int64))
        with tempfile.TemporaryDirectory() as folder:
            write_labels(Path(folder), files)
            labels = find_truths("labels", folder)
            for path in files:
                exposure = read_exposure(path)
                known, found = (read_matching_truth(of[exposure.root], exposure) for of in (truths, labels))
                field = field_type(truths[exposure.root])
                for version, label in found.items():
                    counts[field] += count(label, known[version])
                if chosen.picture and size == max(chosen.sizes) and field in ("cluster", "unknown"):
                    draw(chosen.picture, exposure.chips[0].electrons, found, known)
        for field, (right, flagged, true, all_right, all_flagged, left, every) in counts.items():
            where = f"{field}, {size} exposures"
            values = [(right / flagged, all_right / all_flagged), (right / true, all_right / (every - left))]
            for name, (value, strict) in zip(("purity", "completeness"), values, strict=True):
                rows.append(
                    Row(f"{name}, {where}", 100 * value, "%", "rims counted", 100 * strict, float(value / strict))
                )
            print(f"{where}: {100 * left / every:.2f} % of the true pixels without a label")
    publish(rows, chosen.json)


def count(found: ChipTruth, true: ChipTruth) -> NDArray[np.int64]:
    """Right, flagged and true pixels without rims; right and flagged with them; true ones without label; all true."""
    without, every = true.counted() & ~found.ignore, ~true.ignore & ~found.ignore
    flagged, right, left = found.cr, found.cr & true.cr, true.cr & ~true.ignore & found.ignore
    masks = [right & without, flagged & without, true.cr & without, right & every, flagged & every, left]
    return np.array([*(mask.sum() for mask in masks), (true.cr & ~true.ignore).sum()])


def draw(path: Path, image: NDArray[np.float32], found: dict[int, ChipTruth], true: dict[int, ChipTruth]) -> None:
    """Draw the middle of an exposure, its labels and its truth."""
    middle = tuple(slice(length // 2 - 64, length // 2 + 64) for length in image.shape)
    sky, noise = sky_and_noise(image)
    version = min(found)
    kinds = [np.where(chip[version].ignore, 1, 2 * chip[version].cr) for chip in (found, true)]
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), layout="constrained")
    axes[0].imshow(np.arcsinh((image[middle] - sky) / noise / 3), cmap="gray", origin="lower", vmin=-1, vmax=5)
    for axis, kind in zip(axes[1:], kinds, strict=True):
        axis.imshow(kind[middle], cmap="inferno", origin="lower", vmin=0, vmax=2)
    for axis, title in zip(axes, ("exposure", "labels (red: none)", "truth (red: unusable)"), strict=True):
        axis.set(title=title, xticks=[], yticks=[])
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    main()
