"""What pages point to is there: files, pictures and headings, in Markdown, in notebooks and in the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from conftest import REPOSITORY

SKIPPED = {".git", ".venv", "outputs", "multirun", "build", "dist", "_build"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.M | re.S)
NAMED = re.compile(r"\bdocs/[\w/.-]+\.(?:md|ipynb|png)\b")


def files(*endings: str) -> list[Path]:
    """All files of the checkout with such endings, without what is built."""
    found = (path for ending in endings for path in REPOSITORY.rglob(f"*{ending}"))
    return sorted(path for path in found if not SKIPPED & set(path.relative_to(REPOSITORY).parts))


def markdown(page: Path) -> str:
    """The Markdown of a page or a notebook, without blocks of code."""
    if page.suffix == ".ipynb":
        cells = json.loads(page.read_text())["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    else:
        text = page.read_text()
    return FENCE.sub("", text)


@cache
def anchors(page: Path) -> set[str]:
    """The names that its headings have in links, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ +(.*?) *$", markdown(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    """Name the links of a page that lead nowhere."""
    for target in LINK.findall(markdown(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists():
            yield f"{page.name}: {target} is not there"
        elif anchor and anchor not in anchors(other):
            yield f"{page.name}: {target}, no such heading"


PAGES = files(".md", ".ipynb")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_there_are_links_to_check() -> None:
    assert len(PAGES) > 40
    assert sum(len(LINK.findall(markdown(page))) for page in PAGES) > 200


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A page\n\n## Its `part`, two\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#its-part-two) [c](https://example.org/x) [d](gone.md) [e](there.md#its-part) "
        "![f](gone.png) [g](#here)\n\n# Here\n\n```\n[h](in_code.md)\n```\n"
    )
    assert list(broken_links(page)) == [
        "page.md: gone.md is not there",
        "page.md: there.md#its-part, no such heading",
        "page.md: gone.png is not there",
    ]


def test_pages_that_code_and_configs_name_are_there() -> None:
    named = {
        (str(path.relative_to(REPOSITORY)), name)
        for path in [*files(".py", ".yaml", ".yml", ".sh", ".toml", ".md"), REPOSITORY / "Makefile"]
        for name in NAMED.findall(path.read_text())
    }
    assert len(named) > 40
    assert {(path, name) for path, name in named if "NAME" not in name and not (REPOSITORY / name).exists()} == set()


def test_every_picture_is_shown() -> None:
    shown = {Path(target).name for page in PAGES for target in LINK.findall(markdown(page))}
    assert {path.name for path in (REPOSITORY / "docs" / "pictures").iterdir()} <= shown


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs" / "guide").glob("*.md")), ids=lambda page: page.stem)
def test_a_page_of_the_guide_is_short(page: Path) -> None:
    if page.stem == "options":
        pytest.skip("a table of all options is looked up, not read")
    assert len(page.read_text().split()) < 900


def test_no_paragraph_of_the_readme_is_long() -> None:
    text = re.sub(r"^\|.*$|^    .*$", "", (REPOSITORY / "README.md").read_text(), flags=re.M)
    words = {len(paragraph.split()): paragraph for paragraph in re.split(r"\n\s*\n|\n(?=- )", text)}
    assert max(words) <= 80, words[max(words)]
