"""The site builds without a warning, and holds what it should."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import REPOSITORY

NEEDED = ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme")
MISSING = [name for name in NEEDED if find_spec(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed (deepcr-lightning[docs]): {' '.join(MISSING)}")
@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    options = ["--fail-on-warning", "--keep-going", "--quiet", f"--doctree-dir={tmp_path}/trees"]
    command = [sys.executable, "-m", "sphinx", *options, "docs", f"{tmp_path}/html"]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    docs = REPOSITORY / "docs"
    pages = {path.relative_to(docs) for path in (*docs.rglob("*.md"), *docs.rglob("*.ipynb"))}
    sources = {path for path in pages if path.parts[0] != "_build"}
    assert len(sources) > 35
    for source in sources:
        assert (tmp_path / "html" / source).with_suffix(".html").is_file()
    interface = (tmp_path / "html" / "reference" / "api.html").read_text()
    for name in ("clean", "load_model", "load_filler"):
        assert f'id="deepcr_lightning.{name}"' in interface
    assert "Probability of a cosmic ray." in interface
