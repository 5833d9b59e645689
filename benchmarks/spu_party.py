"""One party of spu_cheetah.py, run by the Python that SPU is installed for; nothing of this project is imported.

Rank 0 has the weights, rank 1 the images, each in a file of its own in the folder given. Written as a user of JAX would
write the network, channels last. Leaves party<rank>.json there: bytes, messages and seconds of each evaluation.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import spu
from spu import libspu
from spu.utils import frontend

MODEL_OWNER, DATA_OWNER = 0, 1
CHANNELS, CLASSES, IMAGE = (16, 32, 64), 10, (32, 32, 3)
PATIENCE_MS = 600_000
"""SPU's own 30 s end a batch of 64 images, whose products take longer on a busy machine."""
SENT = re.compile(r"Link details: total send bytes (\d+), recv bytes \d+, send actions (\d+)")
"""What SPU's profile says of each evaluation."""


def shapes(kernel: int) -> dict[str, tuple[int, ...]]:
    """The public shapes of the weights."""
    before = (IMAGE[2], *CHANNELS)
    layers = zip(before, CHANNELS, strict=False)
    convolutions = {f"conv{i}.weight": (kernel, kernel, *widths) for i, widths in enumerate(layers, start=1)}
    biases = {f"conv{i}.bias": (width,) for i, width in enumerate(CHANNELS, start=1)}
    features = CHANNELS[-1] * (IMAGE[0] >> len(CHANNELS)) * (IMAGE[1] >> len(CHANNELS))
    classifier = {"classifier.weight": (features, CLASSES), "classifier.bias": (CLASSES,)}
    return dict(sorted((convolutions | biases | classifier).items()))


def plain_network(weights: dict[str, Any], x: Any) -> Any:
    for i in range(1, len(CHANNELS) + 1):
        x = convolution(weights, i, x, stride=1)
        x = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
        x = jax.nn.relu(x)
    return x.reshape(x.shape[0], -1) @ weights["classifier.weight"] + weights["classifier.bias"]


def merged_network(weights: dict[str, Any], x: Any) -> Any:
    """The same function, with kernels that average over the window of the pooling."""
    for i in range(1, len(CHANNELS) + 1):
        x = jax.nn.relu(convolution(weights, i, x, stride=2))
    return x.reshape(x.shape[0], -1) @ weights["classifier.weight"] + weights["classifier.bias"]


def convolution(weights: dict[str, Any], i: int, x: Any, stride: int) -> Any:
    layout = ("NHWC", "HWIO", "NHWC")
    kernel, padding = weights[f"conv{i}.weight"], ((1, 1), (1, 1))
    product = jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=layout)
    return product + weights[f"conv{i}.bias"]


class Party:
    """A runtime of SPU and its link to the other party.

    tuned: inputs stay with their owner (SPU calls it experimental) instead of being shared.
    """

    def __init__(self, rank: int, addresses: list[str], tuned: bool) -> None:
        config = spu.RuntimeConfig(protocol=spu.ProtocolKind.CHEETAH, field=spu.FieldType.FM64)
        config.enable_pphlo_profile = True
        config.experimental_enable_colocated_optimization = tuned
        parties = libspu.link.Desc()
        parties.recv_timeout_ms = PATIENCE_MS
        for number, address in enumerate(addresses):
            parties.add_party(f"party{number}", address)
        self.rank, self._tuned = rank, tuned
        self.link = libspu.link.create_brpc(parties, rank)
        self.runtime, self.io = spu.Runtime(self.link, config), spu.Io(len(addresses), config)
        self.share_bytes_sent = 0

    def put(self, name: str, owner: int, value: Any) -> None:
        """An input of `owner`; of the other party's value only the shape is looked at."""
        if self._tuned:
            own = self.io.make_shares(value, libspu.Visibility.VIS_SECRET, owner)[self.rank]
        elif self.rank == owner:
            shares = self.io.make_shares(value, libspu.Visibility.VIS_SECRET)
            self.send(shares[1 - owner])
            own = shares[owner]
        else:
            own = self.receive()
        self.runtime.set_var(name, own)

    def send(self, share: Any) -> None:
        parts = [share.meta, *share.share_chunks]
        assert len(parts) == 2, "a share of more than one chunk"
        for part in parts:
            self.link.send(1 - self.rank, part)
        self.share_bytes_sent += sum(map(len, parts))

    def receive(self) -> Any:
        share = libspu.Share()
        share.meta = self.link.recv(1 - self.rank)
        share.share_chunks = [self.link.recv(1 - self.rank)]
        return share

    def opened(self, name: str) -> Any:
        """The value at the data owner, None at the other one."""
        share = self.runtime.get_var(name)
        if self.rank == MODEL_OWNER:
            self.send(share)
            return None
        return self.io.reconstruct([self.receive(), share])


def evaluate(party: Party, program: Any, images: Any) -> tuple[dict[str, float], Any]:
    """One evaluation on one batch, with what this party sent as shares of inputs and logits."""
    party.link.barrier()
    sent, started, cpu_started = party.share_bytes_sent, time.perf_counter(), time.process_time()
    party.put("images", DATA_OWNER, images)
    party.runtime.run(program)
    logits = party.opened("logits")
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "share_bytes": party.share_bytes_sent - sent,
    }
    return figures, logits


def compiled(weights: dict[str, Any], images: Any, tuned: bool) -> Any:
    network, names = merged_network if tuned else plain_network, [*weights, "images"]
    secret = [libspu.Visibility.VIS_SECRET] * len(names)
    program, _ = frontend.compile(
        frontend.Kind.JAX, network, [weights, images], {}, names, secret, lambda outputs: ["logits"]
    )
    return program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank", type=int, choices=(MODEL_OWNER, DATA_OWNER), required=True)
    parser.add_argument("--addresses", nargs=2, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--evaluations", type=int, required=True)
    parser.add_argument("--tuned", action="store_true")
    options = parser.parse_args()
    log = options.folder / f"party{options.rank}.log"
    log_options = libspu.logging.LogOptions()
    log_options.enable_console_logger, log_options.system_log_path = False, str(log)
    libspu.logging.setup_logging(log_options)

    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(4 if options.tuned else 3).items()}
    images = np.zeros((options.batch, *IMAGE), np.float32)
    if options.rank == MODEL_OWNER:
        with np.load(options.folder / "weights.npz") as file:
            weights = {name: file[name] for name in weights}
    else:
        images = np.load(options.folder / "images.npy")
    program = compiled(weights, images, options.tuned)
    party = Party(options.rank, options.addresses, options.tuned)
    for name, value in weights.items():
        party.put(name, MODEL_OWNER, value)
    weight_bytes = party.share_bytes_sent
    results = [evaluate(party, program, images) for _ in range(options.evaluations)]
    party.link.barrier()
    party.link.stop_link()

    evaluations = [figures for figures, _ in results]
    for figures, (sent, messages) in zip(evaluations, SENT.findall(log.read_text()), strict=True):
        figures |= {"bytes": int(sent) + figures["share_bytes"], "messages": int(messages)}
    if options.rank == DATA_OWNER:
        np.save(options.folder / "logits.npy", np.stack([logits for _, logits in results]))
    summary = {
        "weight_bytes": weight_bytes,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "evaluations": evaluations,
        "versions": {"spu": spu.__version__, "jax": jax.__version__, "numpy": np.__version__},
    }
    (options.folder / f"party{options.rank}.json").write_text(json.dumps(summary))


if __name__ == "__main__":
    main()
