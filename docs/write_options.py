"""Write docs/guide/options.md from the comments of the configs: python docs/write_options.py."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from deepcr_lightning.__main__ import CONFIGURED, PLAIN
from deepcr_lightning.console.options import Group, Option, read_command

PAGE = Path(__file__).parent / "guide" / "options.md"
_HEAD = """\
# Commands and their options

Written by `python docs/write_options.py` from the comments in `configs/`, which `deepcr-lightning COMMAND --help`
shows too.

An option is typed as `name=value`: `threshold=0.3`, a list as `products=[mask,clean]`, no value as `null`. Paths need
no quotes, except where the shell itself would read their signs. The tables give the defaults; where there is none, the
sentence says what happens. Hydra's own flags work with every command: `--cfg job` shows all values and runs nothing,
`-m` runs each combination of options such as `grow=0,1`, `--config-dir DIR` adds configs of your own, and
`hydra.run.dir=DIR` names the folder of the run.

Completion in bash and zsh, and in fish:

    eval "$(deepcr-lightning -sc install=bash)"
    deepcr-lightning -sc install=fish | source
"""


def page() -> str:
    """Write the page."""
    parts = [_HEAD, *(_configured(name) for name in CONFIGURED), *(_with_flags(name) for name in PLAIN)]
    return "\n".join(parts)


def _configured(name: str) -> str:
    command = read_command(name)
    usage = "\n".join(f"    {line.strip()}" if line.startswith("  ") else line for line in command.usage)
    parts = [f"## {name}\n\n{command.sentence}\n{usage}\n"]
    parts += [f"### {name}: {heading}\n\n{_table(options)}" for heading, options in command.parts.items()]
    return "\n".join([*parts, *(_group(name, group) for group in command.groups)])


def _group(name: str, group: Group) -> str:
    usual = f"; `{group.default.strip('[]')}` by default" if group.default else ""
    text = f"### {name}: `{group.name}=`\n\nChooses {group.sentence}{usual}.\n\n| choice | |\n|---|---|\n"
    text += "".join(f"| `{choice}` | {_cell(sentence)} |\n" for choice, sentence in group.choices.items())
    options = group.own_options()
    return f"{text}\n{_table(options)}" if options else text


def _table(options: list[Option]) -> str:
    rows = [
        f"| `{one.name}` | {f'`{_cell(one.default)}`' if one.default else ''} | {_cell(one.sentence)} |"
        for one in options
    ]
    return "\n".join(["| option | default | |", "|---|---|---|", *rows, ""])


def _with_flags(name: str) -> str:
    module = import_module(PLAIN[name][0])
    parser: argparse.ArgumentParser = module.parser()
    rows = []
    for action in parser._actions:
        if action.dest != "help":
            named = action.option_strings and action.default is not None and action.default is not False
            default = action.default if named else ""
            shown = " ".join(map(str, default)) if isinstance(default, list) else str(default)
            flag = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            rows.append(Option(flag, shown, f"{str(action.help)[0].upper()}{str(action.help)[1:]}."))
    text = f"## {name}\n\n{_cell(str(parser.description))}\n"
    return f"{text}\n{_table(rows)}" if rows else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
