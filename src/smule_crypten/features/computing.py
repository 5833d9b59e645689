"""Applying a public map to samples: in batches, with progress, standardised by public constants, kept on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.errors import DataError, ModelError
from smule_crypten.features.cache import FeatureCache, content_digest
from smule_crypten.features.photographs import crops
from smule_crypten.features.public_map import PublicMap
from smule_crypten.sources.lazy_inputs import LazyInputs

log = logging.getLogger(__name__)
BATCH = 64
"""Samples that a map, which may need much memory, is applied to at once."""
_CROPS = 512
_BOUND = 16.0
_SAY_EVERY_SECONDS = 5.0
_SAY_EVERY_SHARE = 0.1
"""Of the time that has passed: what takes an hour is not told every five seconds."""

Say = Callable[[str], None]
"""Hears how far a computation is."""


@dataclass(frozen=True, eq=False)
class Featuriser:
    """A public map at work: on a device, with a cache, and with its constants.

    mean_F and std_F are those of the features of 512 crops of the two photographs, (features,) float32; a feature that
    hardly varies there is divided by the mean deviation of all, so that none is blown up. What lies beyond 16 is cut.
    Where photographs do not fit, the map standardises itself, and nothing is done here.
    """

    map: PublicMap
    mean_F: torch.Tensor
    std_F: torch.Tensor
    cache: FeatureCache
    device: torch.device
    say: Say = log.info

    def __call__(
        self,
        inputs: torch.Tensor | LazyInputs,
        what: str,
        digest: str | None = None,
        change: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Features (N, num_features) float32 on the CPU.

        Args:
            inputs: (N, X), uint8, or float32; images in 0..1.
            what: as progress and errors call them, "training samples" for example.
            digest: of what the features follow from; that of the inputs where it is left out.
            change: what is done to one batch after another before the map; digest must speak of it.

        Raises:
            DataError: inputs of another shape, or images on another scale.
            ModelError: the map gives NaN or infinite values, or another number of features.
            OutputError: the cache cannot be written.
        """
        _check_inputs(self.map, inputs, what)
        parts = self.map.digest, content_digest(inputs) if digest is None else digest
        raw_NF = self.cache.get(lambda: _raw_features(self.map, inputs, self.device, what, self.say, change), *parts)
        return _standardised(self.map, raw_NF, self.mean_F, self.std_F)


def featuriser(public_map: PublicMap, cache: FeatureCache, device: torch.device, say: Say = log.info) -> Featuriser:
    """With constants that are computed here, or taken from the cache."""
    if not public_map.is_of_images:
        zeros_F = torch.zeros(public_map.num_features)
        return Featuriser(public_map, zeros_F, zeros_F + 1, cache, device, say)
    pixels_NCHW = crops(public_map.input_shape, _CROPS)
    what = "crops of the photographs"

    def constants() -> torch.Tensor:
        raw_NF = _raw_features(public_map, pixels_NCHW, device, what, say).double()
        std_F = raw_NF.std(dim=0)
        return torch.stack([raw_NF.mean(dim=0), std_F.clamp(min=float(std_F.mean()))]).float()

    mean_F, std_F = cache.get(constants, public_map.digest, content_digest(pixels_NCHW), "constants")
    if not float(std_F.min()) > 0:
        raise ModelError(f"features={public_map.name} makes the same of every photograph; choose another map")
    return Featuriser(public_map, mean_F, std_F, cache, device, say)


class Standardised(nn.Module):
    """A map and its constants as one network: inputs (N, *X) float32 -> (N, features).

    All inputs are taken at once; BATCH of them need bounded memory.
    """

    mean_F: torch.Tensor
    std_F: torch.Tensor

    def __init__(self, public_map: PublicMap, mean_F: torch.Tensor, std_F: torch.Tensor) -> None:
        super().__init__()
        self.map = public_map
        self.network = public_map.network
        self.register_buffer("mean_F", mean_F)
        self.register_buffer("std_F", std_F)

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        return _standardised(self.map, self.network(inputs_NX), self.mean_F, self.std_F)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """The same in every process, so that all of a machine round alike."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _standardised(
    public_map: PublicMap, raw_NF: torch.Tensor, mean_F: torch.Tensor, std_F: torch.Tensor
) -> torch.Tensor:
    """In place, and within the bound, so that no sample leaves the range of fixed point."""
    if not public_map.is_of_images:
        return raw_NF
    return raw_NF.sub_(mean_F).div_(std_F).clamp_(-_BOUND, _BOUND)


def _check_inputs(public_map: PublicMap, inputs: torch.Tensor | LazyInputs, what: str) -> None:
    """Values of inputs that are not in memory are looked at batch by batch."""
    if tuple(inputs.shape[1:]) != public_map.input_shape:
        expected = ", ".join(map(str, public_map.input_shape))
        raise DataError(f"{what} have shape {tuple(inputs.shape)}; the public map takes (N, {expected})")
    if isinstance(inputs, torch.Tensor):
        _check_scale(public_map, inputs, what)


def _check_scale(public_map: PublicMap, inputs_NX: torch.Tensor, what: str) -> None:
    if not public_map.is_of_images or inputs_NX.dtype == torch.uint8 or len(inputs_NX) == 0:
        return
    low, high = float(inputs_NX.min()), float(inputs_NX.max())
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{what} hold values of {low:g} to {high:g}; features={public_map.name} takes images as uint8 or with "
            "values of 0 to 1: save them so"
        )


def _raw_features(
    public_map: PublicMap,
    inputs: torch.Tensor | LazyInputs,
    device: torch.device,
    what: str,
    say: Say,
    change: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    network = public_map.network.to(device)
    features_NF = torch.empty(len(inputs), public_map.num_features)
    started = said = time.monotonic()
    with torch.no_grad():
        for start, batch_NX in zip(range(0, len(inputs), BATCH), _batches(inputs), strict=True):
            if not isinstance(inputs, torch.Tensor):
                _check_scale(public_map, batch_NX, what)
            batch_NX = (batch_NX if change is None else change(batch_NX)).to(device)
            batch_NX = batch_NX.float() / 255 if batch_NX.dtype == torch.uint8 else batch_NX
            found_NF = network(batch_NX)
            _check_found(public_map, found_NF, start, len(batch_NX), what)
            done = start + len(batch_NX)
            features_NF[start:done] = found_NF.cpu()
            now = time.monotonic()
            if done < len(inputs) and now - said > max(_SAY_EVERY_SECONDS, _SAY_EVERY_SHARE * (now - started)):
                left = (now - started) / done * (len(inputs) - done)
                say(f"features of {what}: {done:,} of {len(inputs):,}, about {left:.0f} s left")
                said = now
    say(f"features of {len(inputs):,} {what} computed in {time.monotonic() - started:.1f} s")
    return features_NF


def _batches(inputs: torch.Tensor | LazyInputs) -> Iterable[torch.Tensor]:
    if isinstance(inputs, torch.Tensor):
        return torch.split(inputs, BATCH)
    return inputs.batches(torch.split(torch.arange(len(inputs)), BATCH), torch.device("cpu"))


def _check_found(public_map: PublicMap, found_NF: torch.Tensor, start: int, count: int, what: str) -> None:
    if tuple(found_NF.shape) != (count, public_map.num_features):
        raise ModelError(
            f"features={public_map.name} makes {tuple(found_NF.shape)} of {count} {what}, expected "
            f"({count}, {public_map.num_features}); a map gives each sample the same number of features"
        )
    finite_N = torch.isfinite(found_NF).all(dim=1)
    if not bool(finite_N.all()):
        first = start + int((~finite_N).nonzero()[0])
        raise ModelError(
            f"features={public_map.name} makes NaN or infinite values of number {first} of the {what}; look at that "
            "sample, or choose another map"
        )
