"""The workload side: layers as the integer rows that the kernels read, equal shapes merged."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from archgym.workload import Layer, Network

DIMS: Final = ("N", "G", "K", "C", "P", "Q", "R", "S")
TENSORS: Final = ("W", "I", "O")
N_SHAPE: Final = 16
# Columns of a row behind the eight sizes; vertical belongs to P, R and H, horizontal to Q, S and the width.
STRIDE_V, STRIDE_H, DILATION_V, DILATION_H, PAD_V, PAD_H, HEIGHT, WIDTH = range(8, N_SHAPE)


class Shapes(NamedTuple):
    """The distinct shapes of a network, in order of first appearance.

    Attributes:
        rows: (n, 16) int64, see `layer_row`.
        repeats: (n,) int64, runs of each shape in the whole network.
        row_of: (layers,) int64, the row of each layer of the network.
    """

    rows: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int64]
    row_of: npt.NDArray[np.int64]


def layer_row(layer: Layer) -> npt.NDArray[np.int64]:
    """One run of a layer as (16,) int64.

    Columns: 0..7 the sizes N, G, K, C, P, Q, R, S (K and C per group); 8, 9 stride; 10, 11 dilation;
    12, 13 padding, each vertical and horizontal; 14, 15 the rows and columns of the input that exist
    (without padding). Output (p, q) and tap (r, s) meet in input row p * stride + r * dilation - padding.
    """
    sizes = (layer.N, layer.G, layer.K, layer.C, layer.P, layer.Q, layer.R, layer.S)
    return np.array((*sizes, *layer.stride, *layer.dilation, *layer.padding, layer.H, layer.W), np.int64)


def unique_shapes(network: Network) -> Shapes:
    """Merge layers that cost the same: equal rows and equal word width; repeats add up.

    Names and ``dynamic`` do not matter. Two rows are equal where layers differ in ``bits`` alone: they
    hold and move the same words, but words of another width.
    """
    seen: dict[tuple[int, ...], int] = {}
    rows: list[npt.NDArray[np.int64]] = []
    repeats: list[int] = []
    row_of = []
    for layer in network.layers:
        row = layer_row(layer)
        place = seen.setdefault((layer.bits or 0, *row.tolist()), len(rows))
        if place == len(rows):
            rows.append(row)
            repeats.append(0)
        repeats[place] += layer.repeats
        row_of.append(place)
    return Shapes(np.array(rows, np.int64), np.array(repeats, np.int64), np.array(row_of, np.int64))
