"""Options that a command cannot do without, asked for before it imports anything large."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf

from deepcr_lightning.console.options import option_defaults, read_command
from deepcr_lightning.errors import InputError

_PLACES = "a directory, a file, a quoted glob, or a list of these"
_INPUT = (("input",), f"name {_PLACES}")
_MODEL = (("ckpt_path",), "name the best.ckpt of a run, or universal")
_REQUIRED: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "predict": (_INPUT, _MODEL),
    "evaluate": (
        _INPUT,
        _MODEL,
        (("truth", "darks"), "name a directory of truth files, or darks that were not used in training"),
    ),
    "threshold": ((("input", "catalogues"), f"name exposures ({_PLACES}), or a directory of catalogues"),),
    "view": (_INPUT,),
    "download": (
        (("output_dir",), "name the directory for the exposures"),
        (("proposal", "target", "cone"), "say what to fetch, such as proposal=16801"),
    ),
}
"""For each command, options of which one has to be given, and what to do."""


def require_options(command: str, cfg: DictConfig) -> None:
    """Raise if a config lacks what its command cannot do without.

    Parameters
    ----------
    command : str
        Name of the command.
    cfg : DictConfig
        Its config.

    Raises
    ------
    InputError
        Names the options, and what to do.
    """
    if command == "train":
        _require_data(cfg)
    for names, cure in _REQUIRED.get(command, ()):
        if all(_absent(cfg, name) for name in names):
            raise InputError(f"{_not_given(names)}; {cure}")


def refuse_unknown(command: str, cfg: DictConfig) -> None:
    """Raise if a config has an option that its command does not know, as one of an earlier version may.

    Parameters
    ----------
    command : str
        Name of the command.
    cfg : DictConfig
        Its config, with what ``--config-dir`` added.

    Raises
    ------
    InputError
        Names the options, and those that are near.
    """
    # What our own choices set is no mistake of the user's.
    chosen = [options for group in read_command(command).groups for options in group.options.values()]
    known = set(option_defaults(command)) | {option.name.partition(".")[0] for options in chosen for option in options}
    # A name that other options refer to is a variable of the user's.
    text = OmegaConf.to_yaml(cfg)
    unknown = sorted(name for name in map(str, cfg) if name not in known and f"${{{name}" not in text)
    near = sorted({match for name in unknown for match in get_close_matches(name, known, n=1)})
    if unknown:
        meant = f"did you mean {', '.join(near)}?" if near else "see --help for the options"
        raise InputError(
            f"{', '.join(unknown)}: {command} has no such option, but a config that was added sets it; {meant}"
        )


def trains_bare(cfg: DictConfig) -> bool:
    """Tell whether a training has neither exposures nor darks, so that a small set is simulated for it.

    Parameters
    ----------
    cfg : DictConfig
        Config of ``train``. An experiment that makes no sense with such a set has ``science: ""``.

    Returns
    -------
    bool
    """
    none = all(OmegaConf.select(cfg, f"data.{name}") is None for name in ("science", "darks", "truth"))
    return none and cfg.init is None


def _require_data(cfg: DictConfig) -> None:
    if trains_bare(cfg):
        return
    paired = str(cfg.data.get("_target_", "")).endswith("LabelFreeDataModule")
    names = ["science"] + ["darks"] * (paired and _absent(cfg, "data.truth"))
    names += ["truth"] * (cfg.data.get("truth") == "")
    missing = [f"data.{name}" for name in names if _absent(cfg, f"data.{name}")]
    if missing:
        those = "those of a simulation, " if "data.truth" in missing else ""
        why = " (init= fits a model to exposures of your own)" if cfg.init is not None else ""
        listed = " and ".join(f"{name}=" for name in missing)
        verb = "is" if len(missing) == 1 else "are"
        raise InputError(f"{listed} {verb} not given{why}; name {those}{_PLACES}")


def _absent(cfg: DictConfig, name: str) -> bool:
    value: Any = OmegaConf.select(cfg, name)
    return value is None or value == "" or (OmegaConf.is_list(value) and not value)


def _not_given(names: tuple[str, ...]) -> str:
    options = [f"{name}=" for name in names]
    if len(options) > 2:
        return f"none of {', '.join(options)} is given"
    return f"neither {' nor '.join(options)} is given" if len(options) == 2 else f"{options[0]} is not given"
