"""Check that what a launcher or a search needs is installed, before Hydra starts.

Without it, Hydra lists the launchers that there are, or ends in a traceback, and nothing says what to install.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.util import find_spec

from deepcr_lightning.errors import InputError

_SUBMITIT = "hydra_plugins.hydra_submitit_launcher"
_NEEDED = {
    "hydra/launcher=joblib": "hydra_plugins.hydra_joblib_launcher",
    "hydra/launcher=slurm": _SUBMITIT,
    "hydra/launcher=submitit_slurm": _SUBMITIT,
    "hydra/launcher=submitit_local": _SUBMITIT,
    "hparams_search=optuna": "optuna",
}


def require_launcher(arguments: Sequence[str]) -> None:
    """Raise if what a command line names is not installed.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of the command line.

    Raises
    ------
    InputError
        With what to install, or where to start a sweep on a cluster.
    """
    for argument in arguments:
        if argument in _NEEDED and find_spec(_NEEDED[argument]) is None:
            raise InputError(f"{argument}: is not installed; pip install 'deepcr-lightning[sweep]'")
        if argument.endswith(("launcher=slurm", "launcher=submitit_slurm")) and shutil.which("sbatch") is None:
            raise InputError(f"{argument}: sbatch is not found; start the sweep on a node of the cluster")
