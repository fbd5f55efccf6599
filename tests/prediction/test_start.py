"""What a fresh process imports, and what it sees of the package."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
from conftest import REPOSITORY

import deepcr_lightning

HEAVY = ("pytorch_lightning", "lightning_fabric", "matplotlib", "torchmetrics", "hydra", "torch._dynamo")
LATER = ("scipy.ndimage", "astropy.nddata", "astropy.wcs", "astropy.table")
"""What only some images need."""


def run(code: str) -> str:
    """What a fresh process prints, from the folder of the repository."""
    command = [sys.executable, "-W", "error::ImportWarning", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout


def test_a_call_on_an_array_imports_what_it_needs() -> None:
    told = run(
        "import json, sys, deepcr_lightning, numpy as np\n"
        "seen = sorted(dir(deepcr_lightning))\n"
        "needed = ('torch', 'astropy') + (('numpy.fft',) if np.lib.NumpyVersion(np.__version__) >= '2.0.0' else ())\n"
        "early = [name for name in needed if name in sys.modules]\n"
        "image = np.random.default_rng(1).normal(100, 10, (512, 512)).astype('f4')\n"
        "image[100:102, 200:204] += 3000\n"
        "mask = deepcr_lightning.find_cosmic_rays(image)\n"
        "print(json.dumps([seen, early, list(sys.modules), int(mask[100:102, 200:204].sum())]))"
    )
    seen, early, modules, found = json.loads(told)
    assert set(deepcr_lightning.__all__) | {"__version__"} <= set(seen)
    assert early == []
    assert not {name for name in modules if name.startswith(HEAVY + LATER)}
    assert found == 8


def test_help_shows_what_there_is() -> None:
    told = run("import pydoc, deepcr_lightning; print(pydoc.plain(pydoc.render_doc(deepcr_lightning)))")
    for name in deepcr_lightning.__all__:
        assert f"\n    {name}" in told
    assert "Find the cosmic rays of an image; ``deepcr_lightning.find_cosmic_rays`` is this function." in told


def test_a_model_is_one_line() -> None:
    model = deepcr_lightning.load_model()
    assert repr(model) == f"CosmicRayFinder({model.model!r} on cpu)"
    assert repr(model.model).startswith("Model(universal.ckpt: UNet, ")
    assert "\n" not in repr(model)


def test_the_shipped_model_in_one_call() -> None:
    image = np.random.default_rng(1).normal(100, 10, (64, 80)).astype(np.float32)
    image[20, 30:33] += 3000
    found = deepcr_lightning.find_cosmic_rays(image, grow=1)
    np.testing.assert_array_equal(found, deepcr_lightning.clean(image, grow=1).mask)
    with pytest.raises(AttributeError, match="has no attribute 'find_stars'"):
        deepcr_lightning.find_stars  # noqa: B018


def test_type_checkers_read_the_package() -> None:
    assert files("deepcr_lightning").joinpath("py.typed").is_file()
