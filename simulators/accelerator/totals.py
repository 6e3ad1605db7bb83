"""From the mappings of layers to the metrics of a network, and to tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archgym.errors import UsageError
from archgym.metrics import Metric
from archgym.workload import Network

from . import nest
from .hardware import HardwareArrays
from .mapping_search import LayerMappings, NetworkMapping, decode
from .shapes import Shapes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OBJECTIVE_NAMES = {"archgym-target": "archgym-target:energy=0.70x,area=0.85x,cycles=0.80x"}
"""The predecessor's targets: 30, 15 and 20 % better than its Eyeriss baseline; here better than ours."""


def metrics(levels: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics of an accelerator with memory levels of these names, from the multipliers outwards."""
    return (
        Metric("latency", "s", "time of one pass over the workload, whole batch", additive=True),
        Metric("cycles", "cycles", "of one pass, stalls included", additive=True),
        Metric("compute_cycles", "cycles", "of one pass if nothing ever stalled", additive=True),
        Metric("throughput", "1/s", "inferences per second", maximise=True),
        Metric("energy", "J", "energy of one inference", additive=True),
        Metric("energy_mac", "J", "multiply-accumulate", additive=True),
        *(Metric(f"energy_{name}", "J", f"accesses of {name}", additive=True) for name in levels),
        Metric("energy_wire", "J", "words across the fan-outs", additive=True),
        Metric("energy_leakage", "J", "leakage of the chip and background power of the DRAM x time", additive=True),
        Metric("power", "W", "average power"),
        Metric("area", "mm2", "multipliers and memories on the chip"),
        Metric("area_mac", "mm2", "all multipliers"),
        *(Metric(f"area_{name}", "mm2", f"all of {name}") for name in levels[:-1]),
        Metric("macs", "MAC", "multiply-accumulates of one pass", additive=True),
        Metric("utilisation", "", "MACs / (multipliers x cycles): spatial x temporal x edge", maximise=True),
        Metric("utilisation_spatial", "", "multipliers that the mappings use", maximise=True),
        Metric("utilisation_temporal", "", "compute cycles / cycles", maximise=True),
        Metric("utilisation_edge", "", "MACs / multiplier cycles used: what padded factors waste", maximise=True),
        Metric("dram_bytes", "B", "off-chip traffic of one pass", additive=True),
        *(Metric(f"{name}_bytes", "B", f"traffic of {name} in one pass", additive=True) for name in levels[:-1]),
        Metric("arithmetic_intensity", "MAC/B", "MACs per byte of DRAM traffic", maximise=True),
        Metric("tops_per_watt", "TOPS/W", "2 MACs / energy", maximise=True),
        Metric("tops_per_mm2", "TOPS/mm2", "2 MACs / latency / area", maximise=True),
        Metric("memory_bound", "", "share of time in layers that a memory limits", positive=False),
        Metric("mappings", "", "mappings that were evaluated to find these", positive=False, additive=True),
    )


def nothing(declared: Sequence[Metric]) -> dict[str, float | int]:
    """The metrics of a design that maps nothing."""
    return {m.name: 0 if m.name in ("cycles", "compute_cycles", "macs", "mappings") else np.nan for m in declared}


def check_widths(network: Network, bits: int) -> None:
    """Raise UsageError if a layer states another word width."""
    for layer in network.layers:
        if layer.bits not in (None, bits):
            raise UsageError(
                f"layer '{layer.name}': expected words of {bits} bits (sim.bits), got {layer.bits}; this simulator's "
                "hardware has one word width"
            )


def evaluate_chosen(
    shapes: Shapes, layers: Sequence[LayerMappings], choice: Sequence[int], arrays: HardwareArrays
) -> dict[str, npt.NDArray[Any]]:
    """`nest.evaluate_batch` of one mapping per shape."""
    nests = [decode(layer.codes[index]) for layer, index in zip(layers, choice, strict=True)]
    return evaluate_nests(shapes.rows, nests, arrays)


def evaluate_nests(
    rows: Ints, nests: Sequence[tuple[Ints, Ints]], arrays: HardwareArrays
) -> dict[str, npt.NDArray[Any]]:
    """`nest.evaluate_batch` of one nest (loops, tiles) per row (n, 16)."""
    longest = max(1, *(len(loops) for loops, _ in nests))
    loops = np.zeros((len(nests), longest, nest.LOOP_FIELDS), np.int64)
    loops[:, :, nest.BOUND] = 1
    for i, (mine, _) in enumerate(nests):
        loops[i, : len(mine)] = mine
    tiles = np.stack([tiles for _, tiles in nests])
    return nest.evaluate_batch(rows, loops, tiles, arrays.hw_i, arrays.hw_f, arrays.mac, arrays.bits)


def network_totals(
    shapes: Shapes, mapping: NetworkMapping, arrays: HardwareArrays, levels: Sequence[str], batch: int
) -> dict[str, float | int]:
    """The metrics of a network whose layers run under the chosen mappings."""
    found = evaluate_chosen(shapes, mapping.layers, mapping.choice, arrays)
    columns = columns_of(*summed(found, shapes.rows, shapes.repeats, arrays.bits), sizes_of([arrays]), levels, batch)
    row: dict[str, float | int] = {name: column[0].item() for name, column in columns.items()}
    return row | {"mappings": sum(layer.evaluated for layer in mapping.layers)}


class Sizes(NamedTuple):
    """What the metrics of m designs need of their hardware: (m,), (m, L), (m,), and the clock in Hz."""

    mac_area: Floats
    level_area: Floats
    pes: Ints
    clock: float


def sizes_of(arrays: Sequence[HardwareArrays]) -> Sizes:
    """The sizes of m hardwares with one clock."""
    return Sizes(
        np.array([a.mac[nest.MAC_AREA] for a in arrays]),
        np.array([a.hw_f[:, nest.AREA] for a in arrays]),
        np.array([(a.hw_i[:, nest.FANOUT] * a.hw_i[:, nest.FANOUT + 1]).prod() for a in arrays]),
        float(arrays[0].mac[nest.CLOCK_HZ]),
    )


def summed(
    found: dict[str, npt.NDArray[Any]], rows: Ints, repeats: Ints, bits: Ints
) -> tuple[Floats, Floats, Floats, Floats, int]:
    """Evaluated layers (n) of one design, added up: see the arguments of `columns_of`."""
    out = found["out"]
    used = out[:, nest.COMPUTE] * out[:, nest.PES_USED]
    stalled = np.where(out[:, nest.LIMIT] >= 0, out[:, nest.CYCLES], 0.0)
    macs = sum(m * r for m, r in zip(rows[:, :8].prod(axis=1).tolist(), repeats.tolist(), strict=True))
    moved = moved_bytes(found["counts"], bits)
    return (
        _weighted(out, repeats)[None],
        _weighted(used[:, None], repeats),
        _weighted(moved, repeats)[None],
        _weighted(stalled[:, None], repeats),
        macs,
    )


def columns_of(
    total: Floats, used: Floats, moved: Floats, stalled: Floats, macs: int, sizes: Sizes, levels: Sequence[str],
    batch: int,
) -> dict[str, npt.NDArray[Any]]:  # fmt: skip
    """Metrics (without ``mappings``) of m designs.

    Args:
        total: (m, LEVEL_PJ + L) results of `nest.evaluate` over all layers and repeats.
        used: (m,) compute cycles times multipliers used.
        moved: (m, L) bytes read and written.
        stalled: (m,) cycles of layers that a memory limits.
    """
    cycles, compute = total[:, nest.CYCLES], total[:, nest.COMPUTE]
    latency = cycles / sizes.clock
    result: dict[str, npt.NDArray[Any]] = {
        "latency": latency,
        "cycles": cycles.astype(np.int64),
        "compute_cycles": compute.astype(np.int64),
        "throughput": batch / latency,
        "macs": np.full(len(total), macs, np.int64),
    }
    parts = {"mac": nest.MACS_PJ, "wire": nest.WIRES_PJ, "leakage": nest.LEAKAGE_PJ}
    parts |= {name: nest.LEVEL_PJ + level for level, name in enumerate(levels)}
    energy = np.zeros(len(total))
    for name, column in parts.items():  # in a fixed order, so that the parts add up to the total bit for bit
        result[f"energy_{name}"] = total[:, column] * 1e-12 / batch
        energy = energy + result[f"energy_{name}"]
    area = result["area_mac"] = sizes.mac_area.copy()
    for level, name in enumerate(levels[:-1]):
        result[f"area_{name}"] = sizes.level_area[:, level].copy()
        area = area + result[f"area_{name}"]
        result[f"{name}_bytes"] = moved[:, level].copy()
    return result | {
        "dram_bytes": moved[:, -1].copy(),
        "energy": energy,
        "power": energy * batch / latency,
        "area": area,
        "utilisation": macs / (sizes.pes * cycles),
        "utilisation_spatial": used / (sizes.pes * compute),
        "utilisation_temporal": compute / cycles,
        "utilisation_edge": macs / used,
        "arithmetic_intensity": macs / moved[:, -1],
        "tops_per_watt": 2e-12 * macs / (energy * batch),
        "tops_per_mm2": 2e-12 * macs / latency / area,
        "memory_bound": stalled / cycles,
    }


def _weighted(columns: Floats, repeats: Ints) -> Floats:
    """Columns (n, k) summed over layers; an explicit loop, as NumPy's sums depend on the number of rows."""
    total = np.zeros(columns.shape[1])
    for row, times in zip(columns, repeats.tolist(), strict=True):
        total = total + row * times
    return total


def moved_bytes(counts: Ints, bits: Ints) -> Floats:
    """Bytes read and written at each level (n, L), from counts (n, L, 3, 6)."""
    accesses = counts[..., nest.FILLS : nest.DRAINS + 1].sum(axis=3)
    moved: Floats = (accesses * bits).sum(axis=2) / 8.0
    return moved


def smallest_slack(shapes: Shapes, arrays: HardwareArrays) -> Ints:
    """Bits that tiles of one word need beyond the capacities (L, 4: W, I, O, shared); 0 or less fits."""
    levels = len(arrays.hw_i)
    slack = np.zeros((levels, 4), np.int64)
    for level in range(levels):
        copies = 2 if arrays.hw_i[level, nest.DOUBLE_BUFFERED] and level < levels - 1 else 1
        always = arrays.hw_i[level, nest.KEEP : nest.KEEP + 3] == 1
        capacity = arrays.hw_i[level, nest.CAPACITY : nest.CAPACITY + 3]
        slack[level, :3] = np.where(always & (capacity >= 0), arrays.bits * copies - capacity, 0)
        shared = arrays.hw_i[level, nest.SHARED_CAPACITY]
        slack[level, 3] = (arrays.bits * always).sum() * copies - shared if shared >= 0 else 0
    return slack


def layer_table(
    names: Sequence[str], shapes: Shapes, mapping: NetworkMapping, arrays: HardwareArrays, levels: Sequence[str]
) -> dict[str, list[Any]]:
    """One row per layer of the network, in its order."""
    found = evaluate_chosen(shapes, mapping.layers, mapping.choice, arrays)
    out, at = found["out"], shapes.row_of
    macs = shapes.rows[:, :8].prod(axis=1)
    pes = int((arrays.hw_i[:, nest.FANOUT] * arrays.hw_i[:, nest.FANOUT + 1]).prod())
    bound = ["compute" if limit < 0 else levels[int(limit)] for limit in out[:, nest.LIMIT]]
    moved = moved_bytes(found["counts"], arrays.bits)[:, -1]
    table: dict[str, list[Any]] = {
        "layer": list(names),
        "macs": macs[at].tolist(),
        "cycles": out[at, nest.CYCLES].astype(np.int64).tolist(),
        "utilisation": (macs / (pes * out[:, nest.CYCLES]))[at].tolist(),
        "bound": [bound[i] for i in at],
        "dram_bytes": moved[at].tolist(),
        "energy_j": (out[at, nest.ENERGY_PJ] * 1e-12).tolist(),
    }
    for level, name in enumerate(levels):
        table[f"{name}_j"] = (out[at, nest.LEVEL_PJ + level] * 1e-12).tolist()
    texts = [_one_line(layer, index, levels) for layer, index in zip(mapping.layers, mapping.choice, strict=True)]
    table["mapping"] = [texts[i] for i in at]
    return table


def _one_line(layer: LayerMappings, index: int, levels: Sequence[str]) -> str:
    """A mapping's loops, outer to inner, with | between the levels."""
    loops, _ = decode(layer.codes[index])
    blocks = []
    for level in range(len(levels) - 1, -1, -1):
        mine = [loop for loop in loops.tolist() if loop[3] == level]
        blocks.append(" ".join(nest.DIMS[d] + str(bound) + ("", "@X", "@Y")[kind] for d, bound, kind, _ in mine))
    return " | ".join(blocks)
