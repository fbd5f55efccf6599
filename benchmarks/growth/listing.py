"""Time and memory of what surrounds a survey, against its number of files: before the first exposure, after the last.

    python benchmarks/growth/listing.py [--largest 100000] [--figure PNG] [--json FILE]

The files are empty and named as exposures of HST are, in folders of 1,000; none is read. Times are those of the
processor: of finding the files, of looking for products of theirs, and of a summary that has a row of each: read when a
process begins, and left with one row a file when one ends. Files that are not named so are opened as they are found.
"""

from __future__ import annotations

import json
from pathlib import Path

from curves import Curve, Panel, finish, options
from measured import Steps, by_count, measure, up_to
from scripts_in_forks import warm_up

from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.prediction.summary import CLEANED, Row, Summary
from deepcr_lightning.prediction.writer import ProductWriter

COUNTS = (1000, 10_000, 100_000)
A_FOLDER = 1000


def main(arguments: list[str] | None = None) -> None:
    """Measure surveys of each size."""
    chosen = options(__doc__, COUNTS[-1]).parse_args(arguments)
    warm_up()
    counts = list(up_to(chosen.largest, COUNTS))
    found = by_count(counts, "files", survey_of)
    curves = [Curve(name, "GB" if name == "memory" else "s", counts, values) for name, values in found.items()]
    seconds, memory = curves[:-1], curves[-1:]
    finish(
        chosen, curves, [Panel("files", "seconds of a core", seconds), Panel("files", "memory, GB", memory, y="linear")]
    )


def survey_of(count: int, folder: Path) -> dict[str, float]:
    """Measure a survey of so many files."""
    make_files(folder / "in", count)
    taken = measure(lambda: surround(folder), folder)
    return {**json.loads((folder / "steps.json").read_text()), "memory": taken.memory / 1e9}


def make_files(folder: Path, count: int) -> None:
    """Make empty files."""
    for number in range(count):
        visit = folder / f"{number // A_FOLDER:04d}"
        if not number % A_FOLDER:
            visit.mkdir(parents=True)
        (visit / f"i{number:07d}q_flc.fits").touch()


def surround(folder: Path) -> None:
    """Do what predict.py does around the exposures; leave the times."""
    steps = Steps()
    places = steps.take("find", lambda: find_exposures("input", folder / "in"))
    (folder / "out").mkdir()
    summary = Summary(folder / "out")
    rows = [
        Row(str(path), CLEANED, "F336W", 500.0, 590.0, 0.02, 0.02, 1.8, 0.0, 0.5, 0.0, 0.1, "0" * 12) for path in places
    ]
    summary._write(rows)
    steps.take("summary, at the start", lambda: Summary(folder / "out"))
    writer = steps.take(
        "products, at the start",
        lambda: _looked(ProductWriter(places, folder / "out", [Provenance("x", "0", 0.5, 0)], summary)),
    )
    steps.take("summary, at the end", writer.summary.tidy)
    (folder / "steps.json").write_text(json.dumps(steps))


def _looked(writer: ProductWriter) -> ProductWriter:
    if not all(map(writer.missing, writer.places)):
        raise SystemExit("a product is there")
    return writer


if __name__ == "__main__":
    main()
