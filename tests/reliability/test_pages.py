"""Pages show what headers, names and records say, and run nothing of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from deepcr_lightning.runs.record import RECORD
from deepcr_lightning.runs.report import write_report

SCRIPT = "<script>alert(1)</script>"


def tagged(value: Any) -> Any:
    """Put a tag into every text of a record, and into every name that came from a header."""
    if isinstance(value, dict):
        return {f"{key}{SCRIPT}" if key.startswith("F") else key: tagged(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [tagged(inner) for inner in value]
    return value + SCRIPT if isinstance(value, str) and "T" not in value else value


def test_the_report_of_a_run_runs_nothing_of_its_record(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    record = json.loads((run / RECORD).read_text())
    (run / RECORD).write_text(json.dumps(tagged(record)))
    (run / "config.yaml").write_text(f"threshold: null\nname: '{SCRIPT}'\n")
    write_report(run / "report.html", f"running{SCRIPT}", {"val/loss": [(0, 1.0)]}, 2, f"basis{SCRIPT}")
    page = (run / "report.html").read_text()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 5
