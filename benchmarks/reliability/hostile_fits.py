"""Broken and hostile FITS files: each is refused in a line that names it, or read and mapped as what it is.

    python benchmarks/reliability/hostile_fits.py [--count 2000] [--seed 1] [--json FILE]

Each case reads the file, maps it, and writes all products of it; a mask on an unusable pixel, a value that is not
finite, a file outside the output folder, ten seconds or two gigabytes are faults.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from campaign import Tally, options, until
from fits_bombs import HEAVY
from fits_mutations import LIGHT
from fits_originals import Mutation, Originals
from watched import watch

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import read_exposure
from deepcr_lightning.exposures.paths import find_exposures
from deepcr_lightning.exposures.products import Provenance
from deepcr_lightning.models.model import Model, load_model
from deepcr_lightning.prediction.mapping import ExposureMapping, Failure
from deepcr_lightning.prediction.predictor import ExposurePredictor
from deepcr_lightning.prediction.reader import ExposureReader
from deepcr_lightning.prediction.summary import CLEANED, Summary
from deepcr_lightning.prediction.survey_page import write_survey_page
from deepcr_lightning.prediction.writer import ProductWriter

PRODUCTS = ("mask", "clean", "regions", "preview")
PREVIEWS, RARELY = 21, 20
"""One case in so many draws a preview, and is a heavy one."""


def main(arguments: list[str] | None = None) -> int:
    """Try as many files as asked for; give the number of faults."""
    chosen = options(__doc__, 2000).parse_args(arguments)
    model = load_model()
    # Started before the forks: a first call sets up what they share.
    ExposurePredictor(model).chip_probability(np.zeros((8, 8), np.float32), np.zeros((8, 8), bool))
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        originals = Originals(Path(folder) / "originals")
        for number in until(chosen.minutes, chosen.count):
            kind, mutate = kind_of(number)
            place = Path(folder) / f"case{number}"
            place.mkdir()
            rng = np.random.default_rng([chosen.seed, number])
            path = mutate(originals, place, rng)
            outcome = watch(partial(clean_all, model, path, place / "out", number % PREVIEWS == 0))
            tally.add(kind, f"seed {chosen.seed}, case {number}", outcome)
            shutil.rmtree(place, ignore_errors=True)
    return tally.publish(chosen.json)


def kind_of(number: int) -> tuple[str, Mutation]:
    """Choose what is done in a case: one in so many is a heavy one."""
    table = HEAVY if number % RARELY == RARELY - 1 else LIGHT
    turn = number // RARELY if table is HEAVY else number
    return list(table.items())[turn % len(table)]


def clean_all(model: Model, path: Path, output: Path, preview: bool) -> None:
    """Clean what a path names, as predict.py does, and look at all that comes of it."""
    before = _files(output.parent.parent, output)
    places = find_exposures("input", path)
    summary = Summary(output)
    products = PRODUCTS if preview else PRODUCTS[:3]
    provenances = [Provenance(part.path.name, part.sha256, 0.5, 1) for part in model.parts]
    writer = ProductWriter(places, output, provenances, summary, products=products)
    predictor = ExposureMapping(ExposurePredictor(model), model.card.data.filters)
    reader = ExposureReader(list(places), writer.settings)
    failures = []
    for number in range(len(reader)):
        found = predictor.predict_step(reader[number])
        if not isinstance(found, Failure):
            for chip, probability in zip(found.exposure.chips, found.maps, strict=True):
                assert np.isfinite(chip.electrons).all(), "electrons are not finite"
                assert np.isfinite(probability).all(), "the map is not finite"
                assert 0 <= probability.min() <= probability.max() <= 1, "the map is no probability"
        else:
            failures.append(found.reason)
        writer.write_on_batch_end(None, None, found)
    writer.on_predict_end(None, None)
    rows = {row.file: row for row in summary.rows()}
    assert set(rows) == {str(name) for name in places}, f"the table names {sorted(rows)}"
    for name in places:
        status = rows[str(name)].status
        plain = " ".join(str(name).split()) if str(name).isprintable() else ""
        assert plain in status or status == CLEANED, f"the reason does not name it: {status}"
        assert "Error: " not in status, f"a defect of ours: {status}"
        if status == CLEANED:
            _look_at(writer, name)
    if preview:
        write_survey_page(output / "index.html", [(row, output / "none.png") for row in rows.values()])
        assert "<script>alert" not in (output / "index.html").read_text().lower()
    assert _files(output.parent.parent, output) == before, "something was written outside the output folder"
    if failures and not [row for row in rows.values() if row.status == CLEANED]:
        raise InputError(failures[0])


def _look_at(writer: ProductWriter, name: Path) -> None:
    exposure = read_exposure(name, timed=False)
    with fits.open(writer.outputs(name)["mask"]) as hdus:
        for chip in exposure.chips:
            mask = hdus["CRMASK", chip.extver].data > 0
            assert mask.shape == chip.electrons.shape, "a mask of another shape"
            assert not (mask & chip.unusable).any(), "a mask on pixels of no use"


def _files(folder: Path, without: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in folder.rglob("*"):
        if path != without and without not in path.parents and not path.is_symlink() and path.is_file():
            status = path.stat()
            found[str(path)] = status.st_size, status.st_mtime_ns
    return found


if __name__ == "__main__":
    sys.exit(bool(main()))
