"""Real CRs that the benchmark puts into real images, and how the model that we ship finds them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from conftest import REAL_DATA, REPOSITORY, write_hst, write_truth
from skies import add_cosmic_rays, scene

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.sky import sky_and_noise

Sky = SimpleNamespace


@pytest.fixture
def sky(monkeypatch: pytest.MonkeyPatch) -> Sky:
    """The files of the benchmark."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import real_sky_events
    import real_sky_methods
    import real_sky_scores
    import real_sky_sets

    return Sky(events=real_sky_events, methods=real_sky_methods, scores=real_sky_scores, sets=real_sky_sets)


def test_real_crs_are_put_into_every_image(sky: Sky, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for name, kind in (("two/c", "transplant"), ("three/d", "control")):
        image = scene((64, 96), rng, stars=5)
        mask = np.zeros(image.shape, bool) if kind == "control" else add_cosmic_rays(image, rng, 12)
        write_hst(tmp_path / "real" / f"{name}_flt.fits", [image], INSTRUME="CAMERA", KIND=kind)
        write_truth(tmp_path / "real" / f"{name}_truth.fits", mask)
    table = tmp_path / sky.events.EVENTS["thick"]
    with pytest.raises(InputError, match=f"--struck thick: {tmp_path} has no real/thick_ccd_events.fits"):
        sky.events.open_events("thick", tmp_path)
    long, single = [(0, 4, 2 + x, 2000.0) for x in range(9)], [(1, 0, 0, 9000.0)]
    Table(rows=long + single, names=("event", "y", "x", "electrons")).write(table)
    plain, again, struck = (
        sky.sets.read_sets(tmp_path, ["three", "two"], change)
        for change in (None, *2 * [sky.events.struck(sky.events.open_events("thick", tmp_path))])
    )
    for name in ("three", "two"):
        before, after = plain[name][0], struck[name][0]
        assert after.kind == "transplant"  # a control no more
        chip, truth = after.exposure.chips[0], after.truth[1]
        added = chip.electrons - before.exposure.chips[0].electrons
        np.testing.assert_array_equal(chip.electrons, again[name][0].exposure.chips[0].electrons)
        assert (truth.cr | truth.ignore)[added > 0.7 * sky_and_noise(before.exposure.chips[0].electrons)[1]].all()
        assert not (truth.cr & truth.ignore).any()
        assert (truth.cr | ~before.truth[1].cr).all()  # its own are still there
        assert 0.015 <= (added > 0).mean() < 0.03


@pytest.mark.slow
@pytest.mark.skipif(not (REAL_DATA / "real").is_dir(), reason=f"no real images at {REAL_DATA / 'real'}")
def test_the_shipped_model_where_real_crs_were_put_in(sky: Sky) -> None:
    sets = sky.sets.read_sets(REAL_DATA, None, sky.events.struck(sky.events.open_events("uvis", REAL_DATA)))
    scores = sky.scores.score_sets(sky.methods.open_method("universal", REAL_DATA), sets)[sky.scores.MEAN]
    assert scores["average_precision"].value > 0.988
    assert scores["f1"].value > 0.94
