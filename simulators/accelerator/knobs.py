"""The hardware knobs of ``archgym/Accelerator-v0`` and the accelerator that each setting describes.

The knobs and their levels are those of the predecessor's Timeloop space (Krishnan et al., "ArchGym", ISCA 2023):
processing elements, mesh, kind, depth, width and bandwidths of the three scratchpads of an element, and the shared
buffer. Left out: the dummy buffer (it stored nothing). Bandwidth was free there; here an SRAM serves one access a
cycle and bank, so that a scratchpad has as many banks as its bandwidths need (at most one a row) and a buffer with
too few banks for its bandwidths is slower, and the rows of a register file are as wide as the larger bandwidth (at
most all of it in one row). Constraints on mappings (row stationary), the multipliers and the sharing of the fan-out
are those of the template ``eyeriss``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, Final

from archgym.errors import UsageError
from archgym.space import Columns, DesignSpace, Level, Parameter
from archgym.workload import Workload

from .hardware import Hardware
from .hardware_file import load_hardware
from .levels import MemoryLevel, Store

KINDS: Final = ("regfile", "smartbuffer-sram", "smartbuffer-regfile", "sram")
LEVELS: Final = ("spads", "buffer", "dram")
SPADS: Final = {"weight": "W", "ifmap": "I", "psum": "O"}
_SRAM: Final = ("smartbuffer-sram", "sram")
_BANDWIDTHS: Final = (2, 4, 8, 16)


def _spad(name: str, tensor: str) -> list[Parameter]:
    group = f"{name}_spad"
    return [
        Parameter.categorical(f"{name}_kind", KINDS, group=group, doc=f"memory that holds {tensor} in an element"),
        Parameter(f"{name}_depth", tuple(2**i for i in range(1, 17)), unit="rows", group=group),
        Parameter(f"{name}_block", (1, 2, 4), unit="words", group=group, doc="words in a row"),
        Parameter(f"{name}_read", _BANDWIDTHS, unit="words/cycle", group=group, doc="read bandwidth"),
        Parameter(f"{name}_write", _BANDWIDTHS, unit="words/cycle", group=group, doc="write bandwidth"),
    ]


SPACE: Final = DesignSpace(
    [
        Parameter("pes", tuple(range(14, 337, 14)), group="array", doc="processing elements"),
        Parameter("mesh_x", (2, 7, 14), group="array", doc="elements along X; each divides every number of elements"),
        *_spad("weight", "weights"),
        *_spad("ifmap", "inputs"),
        *_spad("psum", "partial sums"),
        Parameter.categorical("buffer_kind", KINDS, group="buffer", doc="memory of the shared buffer"),
        Parameter("buffer_depth", tuple(2**i for i in range(10, 17)), unit="rows", group="buffer"),
        Parameter(
            "buffer_banks", (16, 32, 64, 128), group="buffer", active_when={"buffer_kind": _SRAM}, doc="banks (SRAM)"
        ),
        Parameter("buffer_block", (1, 2, 4), unit="words", group="buffer", doc="words in a row"),
        Parameter("buffer_read", _BANDWIDTHS, unit="words/cycle", group="buffer", doc="read bandwidth"),
        Parameter("buffer_write", _BANDWIDTHS, unit="words/cycle", group="buffer", doc="write bandwidth"),
    ]
)

BASELINE: Final[Mapping[str, Level]] = {
    "pes": 168,
    "mesh_x": 14,
    "weight_kind": "sram",
    "weight_depth": 256,
    "weight_block": 1,
    "weight_read": 2,
    "weight_write": 2,
    "ifmap_kind": "regfile",
    "ifmap_depth": 16,
    "ifmap_block": 1,
    "ifmap_read": 2,
    "ifmap_write": 2,
    "psum_kind": "regfile",
    "psum_depth": 32,
    "psum_block": 1,
    "psum_read": 2,
    "psum_write": 2,
    "buffer_kind": "sram",
    "buffer_depth": 16384,
    "buffer_banks": 32,
    "buffer_block": 4,
    "buffer_read": 8,
    "buffer_write": 4,
}
"""Eyeriss (Chen et al., JSSC 2017) in these levels: 12 x 14 elements, spads of 224, 12 and 24 words, 108 KiB."""


@dataclass(frozen=True)
class Surroundings:
    """What stands around the knobs.

    Attributes:
        bits, psum_bits: words of weights and inputs, and of partial sums.
        clock_mhz, node, sram_device, leakage_scale: see `Hardware`.
        memory: off-chip memory system, a name of ``archgym.technology.dram.memory_systems()``.
    """

    bits: int = 16
    psum_bits: int = 16
    clock_mhz: float = 200.0
    node: int = 65
    sram_device: str = "itrs-lop"
    leakage_scale: float = 1.0
    memory: str = "LPDDR4-3200 x32"


@lru_cache(maxsize=4096)
def _store(kind: str, tensors: str, depth: int, block: int, read: int, write: int, banks: int, bits: int) -> Store:
    """A scratchpad or buffer whose bandwidths its banks limit."""
    if kind not in _SRAM:
        width = min(max(block, read, write), depth * block)
        return Store(
            kind, tensors, width * bits, -(-depth * block // width),
            read_bandwidth=float(read * bits), write_bandwidth=float(write * bits),
        )  # fmt: skip
    served = min(1.0, banks * block / (read + write))  # accesses a cycle: one a bank
    return Store(
        kind, tensors, block * bits, depth, banks,
        read_bandwidth=read * bits * served, write_bandwidth=write * bits * served,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _frame(around: Surroundings) -> Hardware:
    """The template with everything but the knobs replaced."""
    template = load_hardware("eyeriss")
    outermost = template.levels[-1]
    store = Store("dram", "WIO", 64, memory=around.memory)
    return replace(
        template,
        name="eyeriss-like",
        levels=(*template.levels[:-1], replace(outermost, stores=(store,))),
        mac=replace(
            template.mac, bits=around.bits, accumulator_bits=max(around.psum_bits, around.bits),
            energy_pj=None, leakage_mw=None, area_mm2=None,
        ),
        word_bits=(around.bits, around.bits, around.psum_bits),
        clock_mhz=around.clock_mhz,
        node=around.node,
        sram_device=around.sram_device,
        leakage_scale=around.leakage_scale,
        control_area_share=0.0,  # shares of one chip, whose clock and control do not scale with these knobs
        layout_density=1.0,
        clock_power_share=0.0,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _spads(frame: MemoryLevel, stores: tuple[Store, ...]) -> MemoryLevel:
    return replace(frame, stores=stores)


def _spad_store(name: str, tensor: str, kind: str, value: Mapping[str, int], around: Surroundings) -> Store:
    bits = around.psum_bits if tensor == "O" else around.bits
    depth, block = value[f"{name}_depth"], value[f"{name}_block"]
    read, write = value[f"{name}_read"], value[f"{name}_write"]
    return _store(kind, tensor, depth, block, read, write, min(depth, -(-(read + write) // block)), bits)


def hardware(design: Mapping[str, Level], around: Surroundings) -> Hardware:
    """The accelerator of one design (values of `SPACE`)."""
    value = {name: int(v) for name, v in design.items() if not isinstance(v, str)}
    frame = _frame(around)
    stores = [_spad_store(name, tensor, str(design[f"{name}_kind"]), value, around) for name, tensor in SPADS.items()]
    buffer = frame.levels[1]
    kind, depth, block = str(design["buffer_kind"]), value["buffer_depth"], value["buffer_block"]
    read, write, banks = value["buffer_read"], value["buffer_write"], value["buffer_banks"]
    shared = _store(kind, buffer.tensors, depth, block, read, write, banks, around.bits)
    fanout = replace(buffer.fanout, x=value["mesh_x"], y=value["pes"] // value["mesh_x"])
    levels = (
        _spads(frame.levels[0], tuple(stores)),
        replace(buffer, stores=(shared,), fanout=fanout),
        frame.levels[2],
    )
    return replace(frame, levels=levels)


def surroundings(config: Surroundings) -> Surroundings:
    """What a simulator's options (a subclass) say of the surroundings, checked by building the baseline once.

    Raises:
        UsageError: a width, node, device or memory system without data.
    """
    around = Surroundings(**{f.name: getattr(config, f.name) for f in fields(Surroundings)})
    try:
        hardware(BASELINE, around).arrays()
    except UsageError as error:
        raise UsageError(f"simulator options: {error}") from None
    return around


class KnobSpace:
    """What simulators of these knobs share, to be mixed into a Simulator whose options are `Surroundings`."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)  # type: ignore[call-arg]  # Simulator's
        self._around = surroundings(self.config)  # type: ignore[attr-defined]

    def design_space(self, workload: Workload) -> DesignSpace:
        """The constant space of array, scratchpads and buffer: 1.1e16 designs."""
        return SPACE

    def baseline(self, workload: Workload) -> dict[str, Level]:
        """Eyeriss (Chen et al., JSSC 2017), as near as the levels come."""
        return dict(BASELINE)


def design_of(designs: Columns, i: int) -> dict[str, Level]:
    """Row i of columns as level values of the knobs (textual parameters arrive as level indices)."""
    out: dict[str, Level] = {}
    for name in SPACE.names:
        code = int(designs[name][i])
        out[name] = KINDS[code] if name.endswith("_kind") else code
    return out
