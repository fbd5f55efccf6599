"""What each command takes, read from the comments of its configs: the one source of help pages and documentation.

The first comment of a command's config is its description and its usage. A comment behind an option is its sentence,
and goes on in comment lines right below; ``## Heading`` begins a part. The comment behind an entry of the defaults list
says what a group is for, and the first comment of a file in that group what this choice is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deepcr_lightning.console.config_folder import config_folder


@dataclass(frozen=True)
class Option:
    """An option as it is typed, ``name=default``, and what it means; its default is empty where there is none."""

    name: str
    default: str
    sentence: str


@dataclass(frozen=True)
class Group:
    """A group of configs of which the user chooses one.

    Attributes
    ----------
    name, default, sentence : str
        As of an `Option`.
    choices : dict of str to str
        Names of the choices, and a sentence of each.
    options : dict of str to list of Option
        What each choice sets.
    """

    name: str
    default: str
    sentence: str
    choices: dict[str, str]
    options: dict[str, list[Option]]

    def own_options(self) -> list[Option]:
        """Collect the options of the usual choice, and those that others have beyond them.

        Returns
        -------
        list of Option
            None of a group of recipes, which set options of other groups.
        """
        usual = self.default.strip("[]")
        if not usual:
            return []
        found = {option.name: option for option in self.options.get(usual, [])}
        mine = {name.partition(".")[0] for name in found} or {self.name.partition("/")[0]}
        for choice, options in self.options.items():
            for option in options:
                # A choice may also set what belongs to another group.
                if option.name not in found and option.name.partition(".")[0] in mine:
                    said = f"{self.name}={choice}: {option.sentence}"
                    found[option.name] = Option(option.name, option.default, said)
        return list(found.values())


@dataclass(frozen=True)
class Command:
    """What a command is and takes.

    Attributes
    ----------
    sentence : str
        What it does.
    usage : list of str
        Lines that show how it is typed.
    parts : dict of str to list of Option
        Its own options under their headings.
    groups : list of Group
        Groups of configs that it takes.
    """

    sentence: str
    usage: list[str]
    parts: dict[str, list[Option]]
    groups: list[Group]


@cache
def read_command(name: str) -> Command:
    """Read what a command is and takes.

    Parameters
    ----------
    name : str
        Name of its config, such as ``"predict"``.

    Returns
    -------
    Command
    """
    file = config_folder() / f"{name}.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    head = _head(lines)
    headings = {number: line[3:] for number, line in enumerate(lines) if line.startswith("## ")}
    parts: dict[str, list[Option]] = {heading: [] for heading in headings.values()}
    for line, option in _options(file, ""):
        heading = headings[max(number for number in headings if number < line)]
        parts[heading].append(option)
    return Command(head[0], head[1:], parts, [_group(*entry) for entry in _groups(file)])


def option_defaults(name: str) -> dict[str, Any]:
    """Name what the command line of a command may begin with, and what it is by default.

    Parameters
    ----------
    name : str
        Name of its config.

    Returns
    -------
    dict of str
        Defaults of its options, and of those of its groups, as ``data.trim``; None for a group.
    """
    file = config_folder() / f"{name}.yaml"
    options = _plain(file)
    options.pop("defaults", None)
    for group, choice, _ in _groups(file):
        options.setdefault(group, None)
        within = config_folder() / group / f"{choice}.yaml"
        options |= {f"{group}.{key}": value for key, value in (_plain(within) if within.is_file() else {}).items()}
    return options | {"hydra": None}


def nested_names(name: str) -> set[str]:
    """Name what the config of a command and all choices of its groups set below the first dot, as ``model.copies``.

    Parameters
    ----------
    name : str
        Name of the command's config.

    Returns
    -------
    set of str
    """
    own = config_folder() / f"{name}.yaml"
    files = [(own, "")]
    for group, *_ in _groups(own):
        files += [(file, _package(file, group)) for file in sorted((config_folder() / group).glob("*.yaml"))]
    return {name for file, package in files for name in _flat(_plain(file), package) if "." in name}


def _flat(values: dict[str, Any], above: str) -> Iterator[str]:
    for key, value in values.items():
        name = f"{above}.{key}".removeprefix(".")
        yield name
        if isinstance(value, dict):
            yield from _flat(value, name)


def _plain(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")) or {})


def _head(lines: list[str]) -> list[str]:
    """Comment that a file begins with, without the line that is for Hydra."""
    count = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line[1:].removeprefix(" ") for line in lines[:count] if not line.startswith("# @package")]


def _mapping(file: Path) -> list[tuple[yaml.Node, yaml.Node]]:
    root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    return list(root.value) if isinstance(root, yaml.MappingNode) else []


def _entries(file: Path) -> Iterator[tuple[str, str, int]]:
    """Group, choice and line of each entry of a file's defaults list; the group of a file beside it is empty."""
    for key, value in _mapping(file):
        if key.value == "defaults":
            for node in value.value:
                if isinstance(node, yaml.MappingNode):
                    (group, choice), *_ = node.value
                    shown = _as_typed(file, choice)
                    yield group.value, shown, node.start_mark.line
                else:
                    yield "", node.value, node.start_mark.line


def _groups(file: Path) -> list[tuple[str, str, str]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    named = [(group, choice, lines[line].partition(" # ")[2]) for group, choice, line in _entries(file) if group]
    if file.name == "train.yaml":
        # Hydra's own, of which some choices are ours.
        named.append(("hydra/launcher", "basic", "where the jobs of a sweep run, also joblib"))
        named.append(("hydra/sweeper", "basic", "what a sweep runs, chosen by hparams_search="))
    return named


def _group(name: str, default: str, sentence: str) -> Group:
    files = sorted((config_folder() / name).glob("*.yaml"))
    choices = {file.stem: (_head(file.read_text(encoding="utf-8").splitlines()) or [""])[0] for file in files}
    return Group(name, default, sentence, choices, {file.stem: _of_choice(file, name) for file in files})


def _of_choice(file: Path, group: str) -> list[Option]:
    """Options that a choice of a group sets, with those of the files that it stands on."""
    found: dict[str, Option] = {}
    mine = {option.name: option for _, option in _options(file, _package(file, group))}
    for other, choice, _ in _entries(file):
        if choice == "_self_":
            found |= mine
        elif not other and (file.parent / f"{choice}.yaml").is_file():
            found |= {option.name: option for option in _of_choice(file.parent / f"{choice}.yaml", group)}
    return list((found | mine).values())


def _package(file: Path, group: str) -> str:
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    package = first.removeprefix("# @package ") if first.startswith("# @package ") else group.replace("/", ".")
    return "" if package == "_global_" else package


def _options(file: Path, prefix: str) -> list[tuple[int, Option]]:
    """Read the options of a file, and their lines; what follows another option or is Hydra's is left out."""
    lines = file.read_text(encoding="utf-8").splitlines()

    def below(pairs: list[tuple[yaml.Node, yaml.Node]], prefix: str) -> Iterator[tuple[int, Option]]:
        for key, value in pairs:
            name = f"{prefix}.{key.value}".removeprefix(".")
            if key.value == "defaults" or name == "hydra" or key.value.startswith("_"):
                continue
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                yield from below(value.value, name)
            elif not str(value.value).startswith("${"):
                line = value.end_mark.line
                yield line, Option(name, _as_typed(file, value), _sentence(lines, value.end_mark))

    return list(below(_mapping(file), prefix))


def _as_typed(file: Path, value: yaml.Node) -> str:
    text = file.read_text(encoding="utf-8")[value.start_mark.index : value.end_mark.index].strip()
    return "" if text in ("null", '""') else text.replace(", ", ",") if text.startswith("[") else text


def _sentence(lines: list[str], end: yaml.Mark) -> str:
    words = [lines[end.line][end.column :].strip().removeprefix("#").strip()]
    for line in lines[end.line + 1 :]:
        # A comment below that is set in goes on; one at the left edge is another matter.
        if not line.lstrip().startswith("#") or not line.startswith("     "):
            break
        words.append(line.strip().removeprefix("#").strip())
    return " ".join(words)
