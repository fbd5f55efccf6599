"""The console command: ``deepcr-lightning COMMAND``, or ``python -m deepcr_lightning COMMAND``."""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module

import deepcr_lightning

CONFIGURED = ("train", "predict", "evaluate", "threshold", "view", "download")
"""Commands that take options by name, each with a config of its name."""
PLAIN = {
    "simulate": ("deepcr_lightning.simulation.__main__", "Make exposures and darks with known truth."),
    "label": ("deepcr_lightning.labels.__main__", "Find cosmic rays by comparing exposures of one field."),
    "export": ("deepcr_lightning.export", "Write a trained network for other programs, or to hand on."),
    "demo": ("deepcr_lightning.commands.demo", "Simulate, train, clean and score, in a few minutes."),
}
"""Commands that take flags: module whose ``main`` does the work, and what that is."""
COMMANDS = (*CONFIGURED, *PLAIN)
_COMPLETION = ("-sc", "--shell-completion")


def main() -> None:
    """Run the command that was typed; exit with status 2 if there is none of that name."""
    arguments = sys.argv[1:]
    first = arguments[0] if arguments else ""
    if first in CONFIGURED:
        from deepcr_lightning.commands.entry import run

        run(first, arguments[1:], before=(first,))
    elif first in PLAIN:
        sys.exit(import_module(PLAIN[first][0]).main(arguments[1:]))
    elif first == "--version":
        print(f"deepcr-lightning {deepcr_lightning.__version__}")
    elif first in ("--help", "-h"):
        from deepcr_lightning.console.help_page import show

        show(overview())
    elif first in _COMPLETION:
        complete(arguments)
    elif not first:
        print(overview(), file=sys.stderr)
        sys.exit(2)
    else:
        print(f"error: {unknown(first)}", file=sys.stderr)
        sys.exit(2)


def overview() -> str:
    """List the commands, each with a sentence."""
    from deepcr_lightning.console.help_page import in_two_columns
    from deepcr_lightning.console.options import read_command

    rows = [(name, read_command(name).sentence) for name in CONFIGURED]
    rows += [(name, sentence) for name, (_, sentence) in PLAIN.items()]
    return f"""\
usage: deepcr-lightning COMMAND [option=value ...]

{deepcr_lightning.__doc__}

Commands:
{in_two_columns(rows, 13)}

deepcr-lightning COMMAND --help lists what a command takes; --version is the
version. For completion in bash:
  eval "$(deepcr-lightning -sc install=bash)\""""


def unknown(word: str) -> str:
    """Say that a word is no command, and which may be meant."""
    if "=" in word or word.startswith("-"):
        return f"{word}: the command comes first, as in deepcr-lightning predict {word}; --help lists the commands"
    near = difflib.get_close_matches(word.removesuffix(".py"), COMMANDS, n=1)
    cure = f"did you mean {near[0]}?" if near else f"choose from {', '.join(COMMANDS)}"
    return f"{word}: there is no such command; {cure}"


def complete(arguments: list[str]) -> None:
    """Answer a shell: with the names of the commands, or with what Hydra completes for the one that is typed."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    typed = words[1] if len(words) > 1 else ""
    ended = len(words) > 2 or line.endswith(" ")
    asks = any(argument.startswith("query=") for argument in arguments)
    if asks and not (typed and ended):
        print("\n".join(name for name in COMMANDS if name.startswith(typed)))
        return
    if asks and typed not in CONFIGURED:
        return
    # Hydra knows no commands: it sees the line of the one command without its name.
    os.environ["COMP_LINE"] = line.replace(f" {typed}", "", 1) if asks else line
    from deepcr_lightning.commands.entry import run

    run(typed if asks else CONFIGURED[0], arguments)


if __name__ == "__main__":
    main()
