"""Where the pixels of images lie among the coefficients of polynomials: the packing of one hand-over.

The taps of a window lie at fixed distances from its first cell, so a kernel is a polynomial, and its product with a
packed image has the sum over a window in the coefficient of the window's first cell. Images of one channel follow each
other in a polynomial, row by row. The padding right of a row is that left of the next, and the padding below an image
that above the next one: for padding 1, rows of width W + 1 and one row of zeros per image. An image that does not fit
is cut into tiles of its output, each with the pixels that it needs. All of it is public.

Shape legend: C channels, G polynomials of a channel, N coefficients, S pieces (images, or their tiles), R x Q cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch

from smule_crypten.errors import UnshareableModelError


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of an image.

    taps: distances from the first pixel of a window, the smallest being 0; window o begins at pixel o * stride -
    padding. Pixels that no window reaches because stride and taps have a common factor have no cell.
    """

    size: int
    outputs: int
    stride: int
    padding: int
    taps: tuple[int, ...]

    @cached_property
    def step(self) -> int:
        """Pixels from one cell to the next."""
        return math.gcd(self.stride, *self.taps)

    @property
    def hop(self) -> int:
        """Cells from one window to the next."""
        return self.stride // self.step

    def cells(self, block: int) -> int:
        """That so many windows reach over."""
        return (block - 1) * self.hop + max(self.taps) // self.step + 1

    def pixels(self, block: int) -> torch.Tensor:
        """(tiles, cells): the pixel of each cell; -1 outside of the image."""
        first = torch.arange(0, self.outputs, block).unsqueeze(1) * self.stride - self.padding
        pixels = first + torch.arange(self.cells(block)) * self.step
        return torch.where((pixels >= 0) & (pixels < self.size), pixels, -1)

    def needed(self, block: int) -> torch.Tensor:
        """(tiles, cells): whether a window of the tile takes the cell."""
        windows = torch.arange(block).unsqueeze(1) * self.hop + torch.tensor(self.taps) // self.step
        tiles = -(-self.outputs // block)
        needed = torch.zeros(tiles, self.cells(block), dtype=torch.bool)
        needed[:, windows.flatten()] = True
        last = self.outputs - (tiles - 1) * block
        needed[-1] = False
        needed[-1, windows[:last].flatten()] = True
        return needed

    def pitch(self, block: int) -> int:
        """Cells from the beginning of one row (or image) to the next.

        What a row has to the right of its pixels is also to the left of the next one's: windows stay within padding
        that is as wide on both sides, so the left side has as many cells at least.
        """
        inside = (self.pixels(block)[0] >= 0).nonzero().flatten()
        if block < self.outputs or not len(inside):
            return self.cells(block)
        return int(inside[0]) + len(inside)


@dataclass(frozen=True)
class Layout:
    """Of a batch of images. Addresses count through the coefficients of the polynomials of a channel.

    data: addresses of pixels, image by image (tile by tile), row by row. sources: those pixels, counted through the
    images. padding: addresses of further coefficients that windows take, ascending.
    """

    data: torch.Tensor
    sources: torch.Tensor
    padding: torch.Tensor


@dataclass(frozen=True)
class Grid:
    """rows, columns: the windows. block: windows of a piece, in both directions. degree: N."""

    rows: Axis
    columns: Axis
    block: tuple[int, int]
    degree: int

    @property
    def tiles(self) -> tuple[int, int]:
        return -(-self.rows.outputs // self.block[0]), -(-self.columns.outputs // self.block[1])

    @cached_property
    def cells(self) -> tuple[int, int]:
        return self.rows.cells(self.block[0]), self.columns.cells(self.block[1])

    @cached_property
    def row_pitch(self) -> int:
        return self.columns.pitch(self.block[1])

    @cached_property
    def piece_pitch(self) -> int:
        return self.rows.pitch(self.block[0]) * self.row_pitch

    @property
    def piece_length(self) -> int:
        """Coefficients from the first to the last cell."""
        return (self.cells[0] - 1) * self.row_pitch + self.cells[1]

    @property
    def pieces_per_polynomial(self) -> int:
        """0 where a piece does not fit."""
        if self.piece_length > self.degree:
            return 0
        return 1 + (self.degree - self.piece_length) // self.piece_pitch

    def pieces(self, images: int) -> int:
        return images * self.tiles[0] * self.tiles[1]

    def polynomials(self, images: int) -> int:
        """Of each channel."""
        return -(-self.pieces(images) // self.pieces_per_polynomial)

    def windows(self) -> torch.Tensor:
        """Coefficients (pieces * windows,) of a polynomial with the first cells of all windows."""
        starts = [
            torch.arange(self.pieces_per_polynomial) * self.piece_pitch,
            torch.arange(self.block[0]) * (self.rows.hop * self.row_pitch),
            torch.arange(self.block[1]) * self.columns.hop,
        ]
        return (starts[0].view(-1, 1, 1) + starts[1].view(-1, 1) + starts[2]).flatten()

    def gathered(self, values_CGN: torch.Tensor, images: int) -> torch.Tensor:
        """The cells of all pieces of polynomials: (S, C, R, Q)."""
        channels, polynomials, degree = values_CGN.shape
        shape = (channels, polynomials, self.pieces_per_polynomial, *self.cells)
        strides = (polynomials * degree, degree, self.piece_pitch, self.row_pitch, 1)
        cells = values_CGN.contiguous().as_strided(shape, strides)
        return cells.flatten(1, 2)[:, : self.pieces(images)].transpose(0, 1)

    def assembled(self, values: torch.Tensor, images: int) -> torch.Tensor:
        """From the windows of pieces (S, C, block) to outputs (images, C, H', W')."""
        rows, columns = self.tiles
        tiles = values.view(images, rows, columns, -1, *self.block).permute(0, 3, 1, 4, 2, 5)
        whole = tiles.reshape(images, -1, rows * self.block[0], columns * self.block[1])
        return whole[:, :, : self.rows.outputs, : self.columns.outputs]

    def layout(self, images: int) -> Layout:
        return _layout(self, images)


def fit(name: str, rows: Axis, columns: Axis, degree: int) -> Grid:
    """The grid with the fewest polynomials per image; of those, with the fewest cells.

    Raises:
        UnshareableModelError: not even a single window fits into a polynomial.
    """
    whole = Grid(rows, columns, (rows.outputs, columns.outputs), degree)
    if whole.pieces_per_polynomial:
        return whole
    widths = sorted({-(-columns.outputs // tiles) for tiles in range(1, columns.outputs + 1)}, reverse=True)
    tiled = [Grid(rows, columns, (_tallest(rows, columns, width, degree), width), degree) for width in widths]
    fitting = [grid for grid in tiled if grid.block[0]]
    if not fitting:
        taps = f"{rows.cells(1)} x {columns.cells(1)}"
        raise UnshareableModelError(
            f"layer {name}",
            f"its window of {taps} pixels is more than the {degree} coefficients of a polynomial",
            "use a smaller kernel, or scheme=crypten",
        )
    return min(
        fitting, key=lambda grid: (grid.pieces(1) / grid.pieces_per_polynomial, grid.pieces(1) * grid.piece_length)
    )


def _tallest(rows: Axis, columns: Axis, width: int, degree: int) -> int:
    """How many rows of windows fit beside each other in blocks of this width, as evenly as they can be; 0 for none."""
    row_pitch = columns.pitch(width)
    room = (degree - columns.cells(width)) // row_pitch + 1 if columns.cells(width) <= degree else 0
    most = (room - rows.cells(1)) // rows.hop + 1 if room >= rows.cells(1) else 0
    most = min(most, rows.outputs)
    return -(-rows.outputs // -(-rows.outputs // most)) if most else 0


@lru_cache(maxsize=256)
def _layout(grid: Grid, images: int) -> Layout:
    pieces = torch.arange(grid.pieces(images))
    image, tile = pieces // grid.pieces(1), pieces % grid.pieces(1)
    tile_row, tile_column = tile // grid.tiles[1], tile % grid.tiles[1]
    per = grid.pieces_per_polynomial
    start = (pieces // per) * grid.degree + (pieces % per) * grid.piece_pitch
    cells = torch.arange(grid.cells[0]).unsqueeze(1) * grid.row_pitch + torch.arange(grid.cells[1])
    addresses = start.view(-1, 1, 1) + cells
    (rows, needed_rows), (columns, needed_columns) = (
        (axis.pixels(block), axis.needed(block))
        for axis, block in zip((grid.rows, grid.columns), grid.block, strict=True)
    )
    row, column = rows[tile_row].unsqueeze(2), columns[tile_column].unsqueeze(1)
    needed = needed_rows[tile_row].unsqueeze(2) & needed_columns[tile_column].unsqueeze(1)
    source = (image.view(-1, 1, 1) * grid.rows.size + row) * grid.columns.size + column
    is_pixel = (row >= 0) & (column >= 0)
    padding = torch.unique(addresses[needed & ~is_pixel])
    return Layout(addresses[needed & is_pixel], source[needed & is_pixel], padding)


def cells_of(x_NCHW: torch.Tensor, layout: Layout) -> torch.Tensor:
    """The pixels of images in the order of layout.data: (C, cells)."""
    return x_NCHW.transpose(0, 1).flatten(1).index_select(1, layout.sources)
