"""Masked weights and hand-over of two tiny layers (smule_crypten/lattice/weights.py, handover.py).

`python tests/vectors/make_lattice_layers.py` writes lattice_layers.json. A convolution of the network's input (2
channels of 4 x 4 pixels, 3 outputs, windows of 3 x 3, padding 1) and a linear layer of a hidden value (48 features, 3
outputs), 5 images, N = 64, q = 2^51: both parties' messages and shares, by lattice_reference.py. That the shares sum to
the product, but for the error of step 5 of handover.py, is checked against plain sums over pixels as they are made.
"""

from __future__ import annotations

from dataclasses import asdict

from lattice_reference import Layer, Polynomial, Stream, add, correlated, cut, pack, rounded, times
from vector_files import Vectors, digest, drawn, save

DEGREE, BITS, P_BITS, IMAGES, SECRETS = 64, 51, 40, 5, 2
LAYERS = {
    "convolution": Layer(
        channels=2, outputs=3, size=(4, 4), kernel=(3, 3), padding=1, windows=(4, 4),
        slots=2, ring=32, fraction=0, value_bits=35, c1_bits=31,
    ),
    "linear": Layer(
        channels=4, outputs=3, size=(1, 12), kernel=(1, 12), padding=0, windows=(1, 1),
        slots=1, ring=41, fraction=6, value_bits=47, c1_bits=40,
    ),
}  # fmt: skip
MOST_ERROR = 1 << 13
"""Of a product, in units of 2^fraction: half of what 14 fractional bits of a weight make a unit."""

Slots = list[list[Polynomial]]
"""By slot, then by channel or output."""


def numbers(text: str, count: int, bits: int) -> list[int]:
    """Signed integers of so many bits."""
    data = drawn(text, 8 * count)
    return [signed(int.from_bytes(data[8 * i : 8 * i + 8], "little"), bits) for i in range(count)]


def signed(value: int, bits: int) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


class Masked:
    """M's weights of a layer, its secrets, and what D gets: c1 as rounded."""

    def __init__(self, layer: Layer, weight: list[list[list[int]]], p: Polynomial, a: Slots, local: Stream) -> None:
        count = layer.slots * layer.outputs
        self.weight = weight
        self.u = cut_slots(local.ternary(count, DEGREE), layer.outputs)
        errors = cut_slots(cut(local.errors(count * DEGREE), DEGREE), layer.outputs)
        self.c1: Slots = []
        for slot in range(layer.slots):
            products = correlated(layer, weight, a[slot], BITS)
            masks = [times(p, u, BITS) for u in self.u[slot]]
            total = [
                add(add(one, mask, BITS), error, BITS)
                for one, mask, error in zip(products, masks, errors[slot], strict=True)
            ]
            self.c1.append([[rounded(value, BITS, layer.c1_bits) for value in one] for one in total])
        flat = [value for slot in self.c1 for one in slot for value in one]
        self.message = pack(flat, layer.c1_bits)


def cut_slots(polynomials: list[Polynomial], length: int) -> Slots:
    return [polynomials[start : start + length] for start in range(0, len(polynomials), length)]


def data_owner(layer: Layer, a: Slots, s: list[Polynomial], x: list[int], c1: Slots, local: Stream) -> Vectors:
    """D's messages, as integers by channel, and its shares (images, outputs, windows), flat."""
    masks: Slots = []
    for polynomial in range(layer.polynomials(IMAGES, DEGREE)):
        slot, secret = polynomial % layer.slots, polynomial // layer.slots
        masks.append([times(one, s[secret], BITS) for one in a[slot]])
    pixels, others = layer.pixels(IMAGES, DEGREE), layer.without_pixel(IMAGES, DEGREE)
    shift = BITS - layer.ring - layer.fraction
    values = by_channel(x, layer)
    online: list[list[int]] = []
    prepared: list[list[int]] = []
    for places, sent in ((pixels, online), (others, prepared)):
        for channel, errors in enumerate(cut(local.errors(layer.channels * len(places)), len(places) or 1)):
            added = values[channel] if sent is online else [0] * len(places)
            b = [
                masks[polynomial][channel][place] + error + (value << shift)
                for (polynomial, place), error, value in zip(places, errors, added, strict=True)
            ]
            sent.append([rounded(value % (1 << BITS), BITS, layer.value_bits) for value in b])
    dropped = BITS - layer.c1_bits
    shares = []
    for image in range(IMAGES):
        for output in range(layer.outputs):
            for polynomial, first in layer.first_cells(image, DEGREE):
                slot, secret = polynomial % layer.slots, polynomial // layer.slots
                found = times([one << dropped for one in c1[slot][output]], s[secret], BITS)
                shares.append(-found[first] % (1 << BITS))
    return {"online": online, "prepared": prepared, "shares": shares}


def model_owner(layer: Layer, masked: Masked, said: Vectors, p: list[Polynomial], x: list[int] | None) -> list[int]:
    """M's shares: W times all that D sent, as polynomials, at the windows' first cells, and p_j u_o."""
    received, dropped = BITS - layer.value_bits, BITS - P_BITS
    shift = BITS - layer.ring - layer.fraction
    values = [[0] * len(row) for row in said["online"]] if x is None else by_channel(x, layer)
    b = [[[0] * DEGREE for _ in range(layer.channels)] for _ in range(layer.polynomials(IMAGES, DEGREE))]
    for channel in range(layer.channels):
        both = (
            (layer.pixels(IMAGES, DEGREE), said["online"][channel], values[channel]),
            (layer.without_pixel(IMAGES, DEGREE), (said["prepared"] or [[]] * layer.channels)[channel], None),
        )
        for places, sent, own in both:
            for (polynomial, place), value, share in zip(places, sent, own or [0] * len(sent), strict=True):
                b[polynomial][channel][place] = (value << received) + (share << shift)
    products = [correlated(layer, masked.weight, one, BITS) for one in b]
    known = [
        [times([value << dropped for value in p[polynomial // layer.slots]], u, BITS) for u in masked.u[slot]]
        for polynomial in range(len(b))
        for slot in (polynomial % layer.slots,)
    ]
    return [
        (products[polynomial][output][first] + known[polynomial][output][first]) % (1 << BITS)
        for image in range(IMAGES)
        for output in range(layer.outputs)
        for polynomial, first in layer.first_cells(image, DEGREE)
    ]


def by_channel(x: list[int], layer: Layer) -> list[list[int]]:
    """Values (images, channels, pixels), flat, as (channels, images * pixels)."""
    images = cut_slots(cut(x, layer.size[0] * layer.size[1]), layer.channels)
    return [[value for image in images for value in image[channel]] for channel in range(layer.channels)]


def exact(layer: Layer, weight: list[list[list[int]]], x: list[int]) -> list[int]:
    """The products by sums over pixels, as if there were no polynomials."""
    (rows, columns), (_, width) = layer.size, layer.kernel
    images, found = cut_slots(cut(x, rows * columns), layer.channels), []
    for image in images:
        for by_input in weight:
            for row in range(layer.windows[0]):
                for column in range(layer.windows[1]):
                    total = 0
                    for taps, pixels in zip(by_input, image, strict=True):
                        for tap, value in enumerate(taps):
                            i, j = row + tap // width - layer.padding, column + tap % width - layer.padding
                            inside = 0 <= i < rows and 0 <= j < columns
                            total += value * pixels[i * columns + j] if inside else 0
                    found.append(total)
    return found


def check(layer: Layer, masked: Masked, x: list[int], shares: list[list[int]]) -> None:
    delta = 1 << (BITS - layer.ring - layer.fraction)
    for value, mine, theirs in zip(exact(layer, masked.weight, x), *shares, strict=True):
        if abs(signed(mine + theirs - delta * value, BITS)) > MOST_ERROR * delta << layer.fraction:
            raise ValueError("the shares do not sum to the product")


def flat(rows: list[list[int]]) -> list[int]:
    return [value for row in rows for value in row]


def described(name: str, layer: Layer, masked: Masked, said: Vectors, x: list[list[int]], mine: list[int]) -> Vectors:
    return {
        "layer": asdict(layer),
        "weight": flat([taps for one in masked.weight for taps in one]),
        "model_owner_input": x[0],
        "data_owner_input": x[1],
        "masked_weights_sha256": digest(masked.message),
        "first_masked_weights": masked.c1[0][0][:4],
        "prepared": pack(flat(said["prepared"]), layer.value_bits).hex(),
        "online": pack(flat(said["online"]), layer.value_bits).hex(),
        "model_owner_shares": [signed(value, BITS) for value in mine],
        "data_owner_shares": [signed(value, BITS) for value in said["shares"]],
    }


def vectors() -> Vectors:
    keys = {name: drawn(f"lattice {name}", 32) for name in ("public", "model owner", "data owner")}
    public, local_M, local_D = (Stream(key) for key in keys.values())
    (p,) = public.uniform(1, DEGREE, BITS)
    a = {
        name: cut_slots(public.uniform(layer.slots * layer.channels, DEGREE, BITS), layer.channels)
        for name, layer in LAYERS.items()
    }
    masked = {}
    for name, layer in LAYERS.items():
        taps = len(layer.taps())
        weight = numbers(f"lattice weight {name}", layer.outputs * layer.channels * taps, 12)
        masked[name] = Masked(layer, cut_slots(cut(weight, taps), layer.channels), p, a[name], local_M)
    s = local_D.ternary(SECRETS, DEGREE)
    errors = cut(local_D.errors(SECRETS * DEGREE), DEGREE)
    p_j = [
        [rounded(value, BITS, P_BITS) for value in add(times(p, one, BITS), error, BITS)]
        for one, error in zip(s, errors, strict=True)
    ]
    found = {}
    for name, layer in LAYERS.items():
        count = IMAGES * layer.channels * layer.size[0] * layer.size[1]
        value = numbers(f"lattice input {name}", count, 18 + layer.fraction)
        mask = numbers(f"lattice mask {name}", count, layer.ring + layer.fraction)
        hidden = layer.fraction > 0
        theirs = [one - other for one, other in zip(value, mask, strict=True)] if hidden else value
        said = data_owner(layer, a[name], s, theirs, masked[name].c1, local_D)
        mine = model_owner(layer, masked[name], said, p_j, mask if hidden else None)
        check(layer, masked[name], value, [mine, said["shares"]])
        found[name] = described(name, layer, masked[name], said, [mask if hidden else [], theirs], mine)
    return {
        "made_by": "python tests/vectors/make_lattice_layers.py",
        "keys": {name: key.hex() for name, key in keys.items()},
        "degree": DEGREE,
        "modulus_bits": BITS,
        "p_bits": P_BITS,
        "images": IMAGES,
        "p": pack(flat(p_j), P_BITS).hex(),
        "layers": found,
    }


if __name__ == "__main__":
    save("lattice_layers", vectors())
