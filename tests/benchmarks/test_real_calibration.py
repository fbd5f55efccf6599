"""The command that fits probabilities to real images."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import REAL_DATA, REPOSITORY

from deepcr_lightning.models.model import load_model
from deepcr_lightning.models.model_file import SHIPPED

pytestmark = pytest.mark.skipif(not (REAL_DATA / "real").is_dir(), reason=f"no real images at {REAL_DATA / 'real'}")


@pytest.fixture
def calibration(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import real_calibration

    return real_calibration


def test_shift_and_prior_are_in_the_model_that_it_writes(
    calibration: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*options: str) -> str:
        given = (str(SHIPPED["universal"]), str(tmp_path / "made.ckpt"), "--sets", "hsc_crs", "--data", str(REAL_DATA))
        monkeypatch.setattr("sys.argv", ["real_calibration.py", *given, *options])
        calibration.main()
        return capsys.readouterr().out

    shipped = load_model().card
    told = run("--shift", "0.5", "--prior", "0.01")
    made = load_model(tmp_path / "made.ckpt").card
    assert "hsc_crs: error 0.0" in told
    assert made.prior == 0.01
    assert made.evens_noise
    assert made.calibration == pytest.approx((shipped.calibration[0], shipped.calibration[1] + 0.5))
    before, after = (np.array(card.curves["threshold"]) for card in (shipped, made))
    inside = (before > 0.01) & (before < 0.99)
    odds = np.log(after / (1 - after))[inside] - np.log(before / (1 - before))[inside]
    np.testing.assert_allclose(odds, 0.5, atol=1e-3)
    best = run()
    shift = float(best.split(" has ")[1])
    errors = {float(line.split(":")[0]): line for line in best.splitlines() if "mean error" in line}
    assert min(errors, key=lambda at: float(errors[at].split()[3].rstrip(","))) == shift
    assert load_model(tmp_path / "made.ckpt").card.prior == shipped.prior
    assert "/" not in json.dumps(load_model(tmp_path / "made.ckpt").card.to_plain()["data"])
    with pytest.raises(SystemExit):
        run("--prior", "3")
    assert "argument --prior: invalid" in capsys.readouterr().err
