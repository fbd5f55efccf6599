"""Which exposures show the same field through the same filter."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepcr_lightning.errors import InputError
from deepcr_lightning.exposures.exposure import Exposure, root_of

log = logging.getLogger(__name__)

ENOUGH = 3
"""Fewer exposures than this label each other poorly."""


@dataclass(frozen=True)
class Member:
    """What grouping needs to know of an exposure."""

    path: Path
    root: str
    visit: str
    filter: str
    camera: str
    exposure_time: float
    dark: bool

    @classmethod
    def of(cls, exposure: Exposure) -> Member:
        """Take it from an exposure, whose pixels may then be forgotten."""
        return cls(
            exposure.path,
            exposure.root,
            exposure.visit,
            exposure.filter,
            exposure.camera,
            exposure.exposure_time,
            exposure.image_type == "dark",
        )


def read_groups(path: Path) -> dict[str, str]:
    """Read a table of groups: a line an exposure, its file name or root and the name of its group.

    Parameters
    ----------
    path : Path
        Text; columns are separated by blanks or a comma, ``#`` opens a comment.

    Returns
    -------
    dict of str to str
        Group by root.

    Raises
    ------
    InputError
        If the file cannot be read, or a line has not two columns.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table of groups ({error})") from error
    groups = {}
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if words and len(words) != 2:
            raise InputError(f"{path}, line {number}: {len(words)} columns; give a file name and the name of its group")
        if words:
            groups[root_of(Path(words[0]))] = words[1]
    if not groups:
        raise InputError(f"{path}: lists no exposure")
    return groups


def group_exposures(members: Sequence[Member], table: Mapping[str, str] | None = None) -> list[list[Member]]:
    """Sort exposures into groups of one field and filter.

    Parameters
    ----------
    members : sequence of Member
    table : mapping of str to str, optional
        Group by root (`read_groups`); exposures that it does not name are left out. Without it, exposures of one
        visit, filter and camera are a group.

    Returns
    -------
    list of list of Member
        Groups of two or more. One of two is warned of; an exposure that is alone is left out with a warning.

    Raises
    ------
    InputError
        If an exposure is a dark, a group of the table mixes filters or cameras, or no group has two exposures.
    """
    sorted_in: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        if member.dark:
            raise InputError(f"{member.path}: a dark by its IMAGETYP or TARGNAME; only science exposures get labels")
        name = f"{member.visit} {member.filter} {member.camera}" if table is None else table.get(member.root)
        if name is not None:
            sorted_in[name].append(member)
    groups = []
    for name, group in sorted_in.items():
        kinds = sorted({f"{member.filter} {member.camera}".strip() for member in group})
        if len(kinds) > 1:
            raise InputError(
                f"group {name}: of {' and '.join(kinds)}; all exposures of a group need one filter and one camera"
            )
        if len({member.root for member in group}) < len(group):
            raise InputError(f"group {name}: two files with the root {group[0].root}; give each exposure once")
        if len(group) == 1:
            log.warning("%s: the only exposure of its group (%s); it gets no labels", group[0].path.name, name)
            continue
        if len(group) < ENOUGH:
            log.warning(
                "Group %s: two exposures; a pixel that CRs hit in both gets no label",
                name,
            )
        times = sorted({member.exposure_time for member in group})
        if len(times) > 1:
            log.info("Group %s: exposure times from %g to %g s, scaled", name, times[0], times[-1])
        groups.append(group)
    if not groups:
        raise InputError(
            "no two exposures of one visit and filter; name the groups in a table (--groups, train: data.groups)"
            if table is None
            else "the table of groups names no two of these exposures as one group"
        )
    return groups
