"""The shipped network on one tile by everything that runs it on a CPU: plain PyTorch, ours, and what else is installed.

Ours is `networks.fused`. Beside it torch.compile with freezing, the frozen graph of TorchScript, ONNX Runtime and
OpenVINO, all in single precision and of the same tile; what is not installed is left out. The processor time of this
process is taken in turns, so that other work on the machine does not show; OMP_NUM_THREADS=1 is for one core. The first
call of each, in which some compile, is told in a row of its own. torch.compile needs a C++ compiler.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from report import Row, parser, publish
from torch import Tensor, nn

from deepcr_lightning.console.allocator import keep_freed_memory
from deepcr_lightning.models.model import load_model
from deepcr_lightning.networks.fused import fused
from deepcr_lightning.networks.memory_layout import channels_last

TILE, ROUNDS = (1128, 1120), 7
Work = Callable[[], NDArray[np.float32]]


def main() -> None:
    """Measure all in turns and print the ratios."""
    chosen = parser(__doc__).parse_args()
    keep_freed_memory()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    net = load_model().net.eval()
    image = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (1, 1, *TILE)).astype(np.float32))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        ways: dict[str, Work] = {"ours": of(fused(net), image), "plain PyTorch": of(net, image)}
        ways |= {"TorchScript, frozen": of(scripted(net, image), image)}
        path = Path(folder) / "net.onnx"
        if all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript")):
            torch.onnx.export(net, (image,), str(path), dynamo=True, verbose=False)
            ways |= {name: make(path, image) for name, make in OTHERS.items() if importlib.util.find_spec(name)}
        ways |= {"torch.compile, frozen": compiled(net, image)}
        publish(measure(ways), chosen.json)


def measure(ways: dict[str, Work]) -> list[Row]:
    """Take the time of each way in turns, and how far its numbers are from those of ours."""
    first, maps = {}, {}
    for name, work in ways.items():
        start = time.perf_counter()
        maps[name] = work()
        first[name] = time.perf_counter() - start
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, work in ways.items():
            start = time.process_time()
            work()
            taken[name].append(time.process_time() - start)
    speed = {name: TILE[0] * TILE[1] / 1e6 / median(seconds) for name, seconds in taken.items()}
    rows = []
    for name in ways:
        if name == "ours":
            continue
        ratio = median(own / theirs for own, theirs in zip(taken["ours"], taken[name], strict=True))
        rows.append(Row(name, speed[name], "Mpix/s", "ours", speed["ours"], ratio))
        away = float(np.abs(probability(maps[name]) - probability(maps["ours"])).max())
        rows.append(Row(f"{name}, largest difference", 1e6 * away, "x 1e-6", "ours, of the probability", 0.0, 1.0))
        rows.append(Row(f"{name}, first call", first[name], "s", "ours", first["ours"], first["ours"] / first[name]))
    return rows


def probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put logits on the scale that masks are made of."""
    return 1 / (1 + np.exp(-logits))


def of(net: nn.Module, image: Tensor) -> Work:
    """Run a network of PyTorch as prediction does."""
    return lambda: net(channels_last(image)).numpy()


def scripted(net: nn.Module, image: Tensor) -> Any:
    """Trace a network, and let TorchScript freeze and fuse it."""
    with torch.no_grad(), torch.inference_mode(False):
        traced = torch.jit.trace(net, channels_last(image.clone()), check_trace=False)
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


def compiled(net: nn.Module, image: Tensor) -> Work:
    """Compile a network with its weights frozen into the code."""
    import torch._inductor.config as inductor

    given = channels_last(image)

    def run() -> NDArray[np.float32]:
        with torch.inference_mode(False), torch.no_grad():
            return made(plain).numpy()

    with torch.inference_mode(False):
        plain = given.clone(memory_format=torch.preserve_format)
        inductor.freezing = True
        made = torch.compile(net)
    return run


def onnx_runtime(path: Path, image: Tensor) -> Work:
    """Run the graph by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: image.numpy()}
    return lambda: session.run(None, given)[0]


def open_vino(path: Path, image: Tensor) -> Work:
    """Run the graph by OpenVINO, in single precision: by itself it takes bf16 where the processor has it."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = openvino.Core().compile_model(openvino.Core().read_model(str(path)), "CPU", settings)
    return lambda: model(image.numpy())[0]


OTHERS = {"onnxruntime": onnx_runtime, "openvino": open_vino}
"""What runs ONNX graphs, by the name of its package."""

if __name__ == "__main__":
    main()
