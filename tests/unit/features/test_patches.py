from __future__ import annotations

import numpy as np
import pytest
import torch
from public_maps import PATCHES
from sklearn.datasets import load_sample_images

from smule_crypten.errors import ModelError
from smule_crypten.features.patches import Patches
from smule_crypten.features.photographs import crops
from smule_crypten.features.public_map import build_map

COLOUR, GREY = (
    "1787282438a6abc2b57ae19f2cc0663a4c9f9199320cc94a02a5b79ad6f03d90",
    "83b07ea8d3b2d226720f1f32e2ab5437af445b0422cb7ad02358e885fa31127b",
)


@pytest.mark.parametrize(("shape", "digest"), [((3, 32, 32), COLOUR), ((1, 8, 8), GREY)])
def test_every_machine_finds_the_same_map(shape: tuple[int, ...], digest: str) -> None:
    """The digests were found with 1 and 2 threads of another process: rounding swallows what a machine does."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert build_map(PATCHES, shape).digest == digest
    finally:
        torch.set_num_threads(threads)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_features_do_not_depend_on_what_is_computed_together() -> None:
    """Eleven images are taken in slices, the last one short: each has the features that it has alone, bit for bit. A
    traced network takes any number."""
    network = Patches((1, 9, 9))
    images_NCHW = torch.rand(11, 1, 9, 9, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        together_NF = network(images_NCHW)
        alone_NF = torch.cat([network(image_CHW[None]) for image_CHW in images_NCHW])
        assert network(images_NCHW[:0]).shape == (0, 3200)
        traced = torch.jit.trace(network, images_NCHW[:2])  # type: ignore[no-untyped-call]
        torch.testing.assert_close(traced(images_NCHW), together_NF)
    assert torch.equal(together_NF, alone_NF)


def test_features_by_hand() -> None:
    """Patch by patch in NumPy: normalised, compared with the filters, both signs, averaged over the four quarters."""
    network = Patches((3, 9, 9))
    image_CHW = torch.rand(3, 9, 9, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found_F = network(image_CHW[None])[0].numpy()
    filters_KP, offsets_K = network.filters_KCHW.flatten(1).double().numpy(), network.offsets_K.double().numpy()
    z_HWK = np.zeros((4, 4, 400))
    for row in range(4):
        for column in range(4):
            patch_P = image_CHW[:, row : row + 6, column : column + 6].double().numpy().ravel()
            normal_P = (patch_P - patch_P.mean()) / np.sqrt(patch_P.var(ddof=1) + (10 / 255) ** 2)
            z_HWK[row, column] = filters_KP @ normal_P - offsets_K
    expected_2K22 = np.stack(
        [
            np.maximum(sign * z_HWK - 0.5, 0).reshape(2, 2, 2, 2, 400).mean(axis=(1, 3)).transpose(2, 0, 1)
            for sign in (1, -1)
        ]
    )
    np.testing.assert_allclose(found_F, expected_2K22.ravel(), atol=2e-5)


def test_filters_are_whitened_patches_of_the_photographs() -> None:
    """On patches of the photographs, what the filters find is neither one pixel's brightness nor one another's."""
    network = Patches((1, 32, 32))
    image_1HW = torch.from_numpy(load_sample_images().images[0].copy()).double().mean(dim=2)[None, None] / 255
    patches_MP = torch.nn.functional.unfold(image_1HW, 6)[0].T[::97]
    patches_MP = patches_MP - patches_MP.mean(dim=1, keepdim=True)
    patches_MP = patches_MP / (patches_MP.var(dim=1, keepdim=True) + (10 / 255) ** 2).sqrt()
    found_MK = patches_MP @ network.filters_KCHW.flatten(1).double().T
    off_diagonal = torch.corrcoef(found_MK.T) - torch.eye(400, dtype=torch.float64)
    assert float(found_MK.std(dim=0).min()) > 0.3
    assert float(off_diagonal.square().mean().sqrt()) < 0.35


@pytest.mark.parametrize("shape", [(3, 6, 32), (2, 8, 8), (64,), (1, 128)])
def test_what_is_no_such_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"^features=patches: samples of .* are no images of 1 or 3 channels and at"):
        build_map(PATCHES, shape)


def test_crops_are_images_and_always_the_same() -> None:
    """As many as asked for, in 0..1, of both photographs, not all alike."""
    found = crops((3, 8, 12), 6)
    assert (found.shape, found.dtype) == ((6, 3, 8, 12), torch.float32)
    assert torch.equal(found, crops((3, 8, 12), 6))
    assert 0 <= float(found.min()) < float(found.max()) <= 1
    assert float((found[0] - found[2]).abs().mean()) > 0.02
    torch.testing.assert_close(crops((1, 8, 12), 6), found.mean(dim=1, keepdim=True), atol=1e-5, rtol=0)
