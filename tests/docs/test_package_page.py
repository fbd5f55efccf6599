"""The page of the project on a package index: the README, which knows nothing of the files beside it there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

pytest.importorskip("hatchling")
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")


def metadata(folder: Path, urls: str = "") -> dict[str, Any]:
    """Give what a build of the project says of itself, with further lines in the table of its addresses."""
    for name in ("README.md", "LICENSE", "hatch_build.py", "deepcr_lightning/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert project.count("\n[project.urls]\n") == 1
    (folder / "pyproject.toml").write_text(project.replace("\n[project.urls]\n", f"\n[project.urls]\n{urls}\n"))
    command = [sys.executable, "-m", "hatchling", "metadata"]
    return json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)


def test_links_and_pictures_lead_to_the_tag_of_the_release(tmp_path: Path) -> None:
    made = metadata(tmp_path, 'Source = "https://example.org/us/it/"')
    assert made["readme"]["content-type"] == "text/markdown"
    page, version = made["readme"]["text"], made["version"]
    links, ours = LINK.findall(page), 0
    assert len(links) == len(LINK.findall((REPOSITORY / "README.md").read_text())) > 20
    for picture, target in links:
        assert re.match(r"https?://|#", target), target
        kind = "raw" if picture else "blob"
        if found := re.fullmatch(rf"https://example\.org/us/it/{kind}/v{version}/([^#]+)(#.*)?", target):
            assert (REPOSITORY / found[1]).exists()
            ours += 1
    assert ours > 20
    assert "example.org" not in re.sub(LINK, "", page)
    # Links of other forms would stay as they are.
    assert not re.search(r"\]\([^)]*\s|^\s*\[[^\]]*\]:|<(a|img)\b", page, re.M)


def test_without_an_address_the_page_is_the_readme(tmp_path: Path) -> None:
    assert metadata(tmp_path)["readme"]["text"] == (REPOSITORY / "README.md").read_text()
