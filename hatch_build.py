"""What the build adds to pyproject.toml: the README of a package index, whose links lead to the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Gives the README, with absolute links once the project has an address."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the README into the metadata, in place."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        if source is not None:
            text = absolute(text, source.rstrip("/"), f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(text: str, source: str, tag: str) -> str:
    """Let relative links and pictures of a page lead to a tag of a repository on GitHub.

    Parameters
    ----------
    text : str
        The page, in Markdown.
    source : str
        Address of the repository.
    tag : str
        Name of the tag.

    Returns
    -------
    str
    """

    def lead(found: re.Match[str]) -> str:
        picture, name, path = found.groups()
        return f"{picture}[{name}]({source}/{'raw' if picture else 'blob'}/{tag}/{path})"

    return _RELATIVE.sub(lead, text)
