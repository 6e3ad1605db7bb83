"""The cost model of ZigZag 3.9.1 for one layer under one fixed, uneven mapping: the convention ``zigzag-3.9``.

Written from the rules that release follows, so that its words, elements, cycles and energies come out equal. "Link j"
of a tensor is our name for what joins its memory j (0 = innermost) with memory j-1 below it, or with the multipliers.

Counting:

- A memory's tile spans its own and all inner temporal loops and the fan-outs below it. Its boundary first slides
  outwards over loops that are irrelevant to the tensor: no more data, a longer time between transfers.
- Every iteration outside of that moves the whole tile: input tiles that overlap share nothing (refill). Rows of an
  input tile of p output and r filter rows: p r - max(0, r - stride/g) (p - dilation/g), g = gcd(stride, dilation), at
  most those of the tensor: without the gaps of a stride, but with those of a dilation where p is small.
- Elements: tile x periods x instances below the link; above it, the distinct ones of each parent.
- Words: ceil(bits of one transfer / port width) x transfers x instances. Above a link one transfer is the tile times
  a boost: how many distinct tiles a fan-out serves, from its spatial loops alone and rounded to an integer. So where
  the inputs of children overlap, words are not those of the distinct elements.
- Partial sums travel at their own width, both ways, wherever an irrelevant loop is left further out; else final sums
  travel once, at theirs. The first visit's read is taken off in elements, but not in words, cycles and energy.

Latency: each transfer should fit into a window at the start of its period: the whole period if the memory below has
room for a second tile (asked tensor by tensor, outputs first, of what those before left), else the period divided by
its outermost irrelevant loops. For each physical port, stall = sum of positive (need - window) (periods - 1) + max(0,
sum of negative ones + sum of windows - union of windows). The worst port's stall is added to the computation; the first
tiles, less what idle port time hides of tensors that are loaded only once, and the last outputs come on top.

Where that differs from ArchGym's own latency, and why. Ours is max(compute, bits / bandwidth of every port) + first
fill + last drain: a machine that fetches ahead whenever a port is idle. If all windows are whole periods, compute +
stall is that bound less the transfers of every tensor's last period, for which nothing waits (of what is loaded once,
all). Short windows make it longer: a port's idle time outside of them is lost. On the 1405 reference mappings compute
+ stall is 0.24 to 1.25 of the bound by the tool's own words, 0.9997 in the median, above 1 in 8 rows. Those words also
hold the first partial sums, which nobody reads; and loading may hide in the computation, where ours adds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from .zigzag_description import (
    FREE,
    PARTIAL_SUMS,
    RD_TO_HIGH,
    RD_TO_LOW,
    RELEVANT,
    WR_FROM_HIGH,
    WR_FROM_LOW,
    I,
    Loop,
    Memory,
    O,
    W,
    ZigzagCost,
    ZigzagHardware,
    ZigzagLayer,
    ZigzagMapping,
    footprint,
)
from .zigzag_latency import Traffic, Transfer, loading, stall

_ORDER = (O, W, I)  # in which tensors ask a shared memory for room for a second tile, and energies are added


@dataclass(frozen=True, slots=True)
class Link:
    """Traffic of a tensor between its memory j and what lies below.

    Attributes:
        tile: elements of one instance below.
        boost: distinct tiles that one instance above serves.
        bits: of an element on the way.
        partial: outputs only: sums go back down.
        period, count: cycles between transfers and how many there are.
        hold: product of the outermost irrelevant loops of the tile below: it must rest for 1 - 1/hold of the period.
        effective: bits of the tile below without its outermost relevant loops: what a second tile needs.
        delivered, distinct: elements over the whole layer, summed over instances below, and above.
        below, above: instances.
    """

    tile: int
    boost: int
    bits: int
    partial: bool
    period: int
    count: int
    hold: int
    effective: int
    delivered: int
    distinct: int
    below: int
    above: int


def cost(layer: ZigzagLayer, hardware: ZigzagHardware, mapping: ZigzagMapping) -> ZigzagCost:
    """Words, elements, cycles and energy of a layer.

    Raises:
        UsageError: the loops do not multiply to the layer, overflow the array, or the cuts do not fit the memories.
    """
    mapping.check(layer, hardware)
    levels = [hardware.levels(tensor) for tensor in (W, I, O)]
    links = [_links(layer, levels[tensor], mapping, tensor) for tensor in (W, I, O)]
    filled, buffered = _room(hardware, levels, links)
    ports = _traffic(hardware, levels, links, buffered)
    words = _words(levels, ports)
    level_pj = [[_energy(*pair) for pair in zip(words[v], levels[v], strict=True)] for v in (W, I, O)]
    macs, compute = prod(layer.sizes), links[W][-1].period
    ideal = -(-macs // prod(hardware.array))
    late = max(0, *(stall(port.transfers) for port in ports))
    first_bits = [chain[1].tile * chain[1].bits for chain in links]
    onload, offload = loading(ports, first_bits, [len(memories) for memories in levels], compute + late)
    memory_pj = sum(pj for tensor in _ORDER for pj in level_pj[tensor])
    mac_pj = hardware.mac_pj * macs
    return ZigzagCost(
        elements=tuple(_elements(links[tensor], tensor) for tensor in (W, I, O)),
        words=tuple(tuple(tuple(way) for way in chain) for chain in words),
        tiles=tuple(tuple(link.tile for link in chain) for chain in links),
        utilisation=tuple(tuple(shares) for shares in filled),
        double_buffered=tuple(tuple(room) for room in buffered),
        level_pj=tuple(tuple(pj) for pj in level_pj),
        mac_pj=mac_pj,
        memory_pj=memory_pj,
        energy_pj=mac_pj + memory_pj,
        ideal_cycle=ideal,
        ideal_temporal_cycle=compute,
        spatial_utilization=ideal / compute,
        stall_cycles=late,
        onload_cycles=onload,
        offload_cycles=offload,
        latency_total0=compute + late,
        latency_total2=compute + late + onload + offload,
    )


def _links(layer: ZigzagLayer, memories: Sequence[Memory], mapping: ZigzagMapping, tensor: int) -> list[Link]:
    """Traffic at each link of a tensor; the last is the outside of the outermost memory, over which nothing moves."""
    temporal, free = mapping.temporal, FREE[tensor]
    macs, outputs = prod(layer.sizes), footprint(layer, O, layer.sizes)
    fan_outs = _fan_outs(memories, mapping)
    below = children = [1] * 8  # sizes of the tile below the link, and of its fan-outs alone
    links: list[Link] = []
    start = end = 0
    for j, fan_out in enumerate(fan_outs):
        if j:
            start, end = end, max(end, mapping.cuts[tensor][j - 1])
            while end < len(temporal) and temporal[end][0] in free:
                end += 1
            below = _times(_times(below, temporal[start:end]), fan_outs[j - 1])
            children = _times(children, fan_outs[j - 1])
        above = _times(below, fan_out)
        outwards = temporal[start:end][::-1]
        tile = footprint(layer, tensor, below)
        distinct = macs * footprint(layer, tensor, above) // prod(above)
        partial = tensor == O and distinct > outputs
        bits = layer.bits[tensor] if tensor != O or partial else layer.bits[3]
        period = prod(below) // prod(children)
        instances = prod(bound for loops in fan_outs[j:] for _, bound in loops)
        links.append(
            Link(
                tile=tile,
                boost=round(footprint(layer, tensor, _times(children, fan_out)) / footprint(layer, tensor, children)),
                bits=bits,
                partial=partial,
                period=period,
                count=macs // prod(below) // instances,
                hold=_leading(outwards, free),
                effective=tile * bits // _leading(outwards, RELEVANT[tensor]),
                delivered=macs * tile // prod(below),
                distinct=distinct,
                below=instances,
                above=instances // prod(bound for _, bound in fan_out),
            )
        )
    return links


def _fan_outs(memories: Sequence[Memory], mapping: ZigzagMapping) -> list[list[Loop]]:
    """Spatial loops at each link: an axis belongs to the innermost memory that serves it, otherwise to the top."""
    links: list[list[Loop]] = [[] for _ in range(len(memories) + 1)]
    for axis, loops in enumerate(mapping.spatial):
        links[next((j for j, memory in enumerate(memories) if axis in memory.axes), len(memories))] += loops
    return links


def _times(size: Sequence[int], loops: Iterable[Loop]) -> list[int]:
    """Sizes of a tile that some more loops surround."""
    grown = list(size)
    for dim, bound in loops:
        grown[dim] *= bound
    return grown


def _leading(loops: Iterable[Loop], dims: frozenset[int]) -> int:
    """Product of the bounds up to the first loop over another dimension."""
    product = 1
    for dim, bound in loops:
        if dim not in dims:
            break
        product *= bound
    return product


def _elements(chain: Sequence[Link], tensor: int) -> tuple[tuple[int, ...], ...]:
    """Elements per level and direction; an output's first visit reads nothing."""
    first = chain[-1].distinct
    ways = [
        (low.distinct - first, low.distinct, high.delivered, high.distinct - first)
        if tensor == O
        else (low.distinct, 0, 0, high.delivered)
        for low, high in pairwise(chain)
    ]
    return (*ways[:-1], (*ways[-1][:2], 0, 0))


def _room(
    hardware: ZigzagHardware, levels: Sequence[Sequence[Memory]], links: Sequence[Sequence[Link]]
) -> tuple[list[list[float]], list[list[bool]]]:
    """Filled share of each tensor's memories, and whether there is room for a second tile (the multiplier's first)."""
    filled: dict[str, float] = {}
    need: dict[tuple[int, str], float] = {}
    for memory in hardware.memories:
        held = [(t, links[t][levels[t].index(memory) + 1]) for t in memory.tensors]
        filled[memory.name] = sum(link.tile * link.bits / memory.bits for _, link in held)
        need |= {(t, memory.name): link.effective / memory.bits for t, link in held}
    taken = {memory.name: sum(need[t, memory.name] for t in memory.tensors) for memory in hardware.memories}
    room: list[list[bool]] = [[False], [False], [False]]
    for tensor in _ORDER:
        for memory in levels[tensor]:
            name = memory.name
            half = taken[name] <= 0.5  # room for all: nobody's second tile is counted
            fits = half or need[tensor, name] <= 1 - taken[name]
            if fits and not half:
                taken[name] += need[tensor, name]
            room[tensor].append(fits)
    return [[filled[memory.name] for memory in levels[tensor]] for tensor in (W, I, O)], room


def _traffic(
    hardware: ZigzagHardware,
    levels: Sequence[Sequence[Memory]],
    links: Sequence[Sequence[Link]],
    buffered: Sequence[Sequence[bool]],
) -> list[Traffic]:
    """What each physical port carries."""
    ports = []
    for memory in hardware.memories:
        for port in memory.ports:
            carried = []
            for tensor, direction in port.serves:
                level = levels[tensor].index(memory)
                downwards = direction in (RD_TO_LOW, WR_FROM_LOW)
                j = level if downwards else level + 1
                link = links[tensor][j]
                if j == len(levels[tensor]) or (tensor == O and direction in PARTIAL_SUMS and not link.partial):
                    continue
                boost = link.boost if downwards else 1
                carried.append(
                    Transfer(
                        tensor=tensor,
                        level=level,
                        direction=direction,
                        cycles=-(-link.tile * boost * link.bits // port.bits),
                        window=link.period if buffered[tensor][j] else link.period // link.hold,
                        period=link.period,
                        count=link.count,
                        rate=int(link.tile * link.bits / link.period * boost),
                        instances=link.above if downwards else link.below,
                    )
                )
            shared = {W, I} <= {tensor for tensor, _ in port.serves}
            ports.append(Traffic(port.bits, shared, tuple(carried)))
    return ports


def _words(levels: Sequence[Sequence[Memory]], ports: Iterable[Traffic]) -> list[list[list[int]]]:
    """Words per tensor, level and direction."""
    words = [[[0, 0, 0, 0] for _ in memories] for memories in levels]
    for port in ports:
        for t in port.transfers:
            words[t.tensor][t.level][t.direction] = t.cycles * t.count * t.instances
    return words


def _energy(words: Sequence[int], memory: Memory) -> float:
    reads = words[RD_TO_HIGH] * memory.read_pj + words[RD_TO_LOW] * memory.read_pj
    return reads + (words[WR_FROM_HIGH] * memory.write_pj + words[WR_FROM_LOW] * memory.write_pj)
