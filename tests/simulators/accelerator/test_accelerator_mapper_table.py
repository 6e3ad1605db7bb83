"""The mapper against 50 searches of timeloop-mapper: same hardware, same constraints, both mappings priced by us.

The table's searches were limited (120 mappings in a row without improvement, 2.6 s of CPU a layer in the median): they
are upper bounds. What the tool was allowed is what its rows show: R, S (and K, C) in the elements, C and S along X,
K and Q along Y, weights past the buffer.
"""

from pathlib import Path

import numpy as np

from archgym.simulators.accelerator import nest
from archgym.simulators.accelerator.hardware import Hardware
from archgym.simulators.accelerator.levels import FREE, FanOut, Mac, MemoryLevel, Store, bounds
from archgym.simulators.accelerator.mapping_search import map_layer
from archgym.simulators.accelerator.mapping_text import from_mapper_text
from archgym.validation import read_table

ROWS = read_table(Path(__file__).parents[2] / "data" / "accelerator" / "timeloop_mapper.csv.gz")
PLACES = {
    "spads": bounds(1, K=FREE, C=FREE, R=FREE, S=FREE),
    "buffer": bounds(R=1, S=1),
    "x": bounds(1, C=FREE, S=FREE),
    "y": bounds(1, K=FREE, Q=FREE),
}


def hardware(row):
    """Eyeriss-like, 16-bit words; energies from our tables (the table has none)."""
    words = {"W": int(row["wt"]), "I": int(row["ifm"]), "O": int(row["psum"])}
    stores = tuple(
        Store("regfile", tensor, 16, depth, read_bandwidth=64.0, write_bandwidth=64.0)
        for tensor, depth in words.items()
    )
    bandwidth = 16.0 * int(row["glb_bw"])
    shared = Store("sram", "IO", 64, int(row["glb_depth"]), read_bandwidth=bandwidth, write_bandwidth=bandwidth)
    x, y = int(row["meshx"]), int(row["npe"]) // int(row["meshx"])
    return Hardware(
        "from the table",
        (
            MemoryLevel("spads", stores, temporal_max=PLACES["spads"], double_buffered=False),
            MemoryLevel(
                "buffer", (shared,), FanOut(x, y, x_max=PLACES["x"], y_max=PLACES["y"]), temporal_max=PLACES["buffer"]
            ),
            MemoryLevel(
                "dram", (Store("dram", "WIO", 64, memory="LPDDR4-3200 x32", read_bandwidth=128.0),),
                temporal_max=PLACES["buffer"],
            ),
        ),
        Mac(16, 16),
        (16, 16, 16),
        clock_mhz=200.0,
        node=45,
    )  # fmt: skip


def layer(row):
    sizes = [int(row[d]) if d != "G" else 1 for d in nest.DIMS]
    stride = int(row["stride"])
    rows, columns = ((sizes[p] - 1) * stride + sizes[r] for p, r in ((nest.P, nest.R), (nest.Q, nest.S)))
    return np.array([*sizes, stride, stride, 1, 1, 0, 0, rows, columns], np.int64)


def edps(row):
    """EDP of the row's mapping and of ours, in pJ cycles."""
    shape, arrays = layer(row), hardware(row).arrays()
    loops, tiles = from_mapper_text(row["mapping"]).arrays()
    theirs = nest.evaluate_batch(shape, loops[None], tiles[None], arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)
    assert theirs["fits"].all(), row[""]
    found = map_layer(shape, arrays)
    at = found.best()
    return theirs["out"][0, nest.ENERGY_PJ] * theirs["out"][0, nest.CYCLES], found.energy[at] * found.cycles[at]


def test_ours_is_no_worse_in_95_percent_of_the_rows():
    pairs = np.array([edps(row) for row in ROWS])
    better = pairs[:, 1] <= pairs[:, 0] * (1 + 1e-12)
    assert better.mean() >= 0.95
    assert np.median(pairs[:, 0] / pairs[:, 1]) > 1
