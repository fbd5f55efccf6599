"""Where the time of an exposure goes from file to mask, stage by stage, as shares of the network's time.

An exposure is read, mapped and its mask written, one after another, by the functions that predict.py calls, with clocks
put on them; what a stage spends inside another one counts for that alone. The network is what its tiles cost, with the
plane of contrast that it makes itself; everything else is overhead. Then the same chip as an array in memory, to a mask
and to a filled image. The clocks count the processor time of this process, so that other work on the machine does not
show; OMP_NUM_THREADS=1 is for one core. A full frame is simulated unless a file is given.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from report import Row, parser, publish

from deepcr_lightning.console.allocator import keep_freed_memory
from deepcr_lightning.exposures import array, chip, exposure, memory, sky
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks import unet
from deepcr_lightning.prediction import cleaning, finder, predictor, sliding_window, writer
from deepcr_lightning.prediction.fill import fill_median
from deepcr_lightning.prediction.mapping import ProbabilityMaps
from deepcr_lightning.prediction.summary import Summary
from deepcr_lightning.simulation import simulate_set

ROUNDS, TARGET = 3, 5.0
NETWORK, CONTRAST, REST = "network", "contrast, a part of the network", "all else"
CLOCKED: tuple[tuple[Any, str, str], ...] = (
    (exposure, "_exposure", "read"),
    (exposure, "sound", "read: headers"),
    (chip, "plane", "read: pixels"),
    (chip, "finite_electrons", "read: electrons"),
    (memory, "finite_electrons", "read: electrons"),
    (array, "bulk_zeros", "read: blocks of zeros"),
    (sky, "sky_noise_and_floor", "sky and noise"),
    (finder, "sky_noise_and_floor", "sky and noise"),
    (predictor, "uneven_noise", "noise of blocks"),
    (predictor, "scaled", "scale"),
    (predictor, "lower_to_share", "prior"),
    (sliding_window, "close_gaps", "gaps"),
    (sliding_window, "in_tiles", "cut into tiles"),
    (sliding_window, "_logits", NETWORK),
    (unet, "contrast", CONTRAST),
    (cleaning, "threshold_mask", "threshold"),
    (cleaning, "grown", "grow"),
    (finder, "threshold_mask", "threshold"),
    (cleaning, "look_at", "summary: stars"),
    (cleaning, "summarise", "summary"),
    (writer, "write_mask", "write"),
)
"""A module, the name of a function as it knows it, and the stage that it is."""


def main() -> None:
    """Measure each way in turns and print the shares."""
    options = parser(__doc__)
    options.add_argument("file", nargs="?", type=Path, help="an exposure in place of a simulated one")
    chosen = options.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.file or simulated(Path(folder))
        rows = measure(path, Path(folder) / "out")
    publish(rows, chosen.json)


def simulated(folder: Path) -> Path:
    """Simulate a full frame of two chips."""
    simulate_set(folder, filters=["F814W"], exposures=1, darks=1, size=(2051, 4096), chips=2, progress=False)
    [path] = (folder / "science").iterdir()
    return path


def measure(path: Path, out: Path) -> list[Row]:
    """Time the stages of each way; a ratio above 1 is a share below the target."""
    mapped = predictor.ExposurePredictor(load_model())
    found = finder.CosmicRayFinder(mapped.model)
    image = read_exposure(path, timed=False).chips[0].electrons
    ways: dict[str, Callable[[], object]] = {
        "file to mask": lambda: file_to_mask(mapped, path, out),
        "array to mask": lambda: found.find_cosmic_rays(image),
        "array to filled image": lambda: found.clean(image, fill=clocked_fill),
    }
    spent: dict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(ROUNDS + 1):
        for way, work in ways.items():
            with clocks() as seconds:
                work()
            spent[way].append(dict(seconds))
    rows = []
    for way, rounds in spent.items():
        taken = {stage: median(one.get(stage, 0.0) for one in rounds[1:]) for stage in rounds[-1]}
        network = taken.pop(NETWORK) + taken.get(CONTRAST, 0.0)
        shares = {stage: 100 * seconds / network for stage, seconds in taken.items()}
        overhead = sum(share for stage, share in shares.items() if stage != CONTRAST)
        rows.append(Row(f"{way}: overhead", overhead, "% of net", "the target", TARGET, TARGET / overhead))
        for stage, share in sorted(shares.items(), key=lambda pair: -pair[1]):
            rows.append(Row(f"{way}: {stage}", share, "% of net", "the network", 100.0, 100 / max(share, 1e-9)))
    return rows


def file_to_mask(mapped: predictor.ExposurePredictor, path: Path, out: Path) -> None:
    """Clean one file as predict.py does, without its threads."""
    read = read_exposure(path, timed=False)
    maps = mapped.probabilities(read)
    provenances = [Provenance(part.path.name, part.sha256, part.threshold, 1) for part in mapped.model.parts]
    made = writer.ProductWriter({path: Path(path.name)}, out, provenances, Summary(out), overwrite=True)
    made._write(ProbabilityMaps(read, maps, time.monotonic(), mapped.fitting(read.header).model))


def clocked_fill(*given: Any) -> Any:
    """Fill as predict.py does by default; its name is looked up at every call, so that a clock can be put on it."""
    return fill_median(*given, box=5)


@contextmanager
def clocks() -> Iterator[dict[str, float]]:
    """Take the processor time that each stage spends itself; what no stage spends goes to the rest."""
    spent: dict[str, float] = defaultdict(float)
    open_stages = [REST]
    last = [time.process_time()]

    def switch() -> None:
        now = time.process_time()
        spent[open_stages[-1]] += now - last[0]
        last[0] = now

    def clocked(stage: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            switch()
            open_stages.append(stage)
            try:
                return act(*given, **named)
            finally:
                switch()
                open_stages.pop()

        return timed

    with ExitStack() as stack:
        here = globals()
        stack.enter_context(patch.dict(here, fill_median=clocked("fill", here["fill_median"])))
        for module, name, stage in CLOCKED:
            stack.enter_context(patch.object(module, name, clocked(stage, getattr(module, name))))
        last[0] = time.process_time()
        yield spent
        switch()


if __name__ == "__main__":
    main()
