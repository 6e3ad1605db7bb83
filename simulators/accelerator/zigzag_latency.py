"""Stalls, loading and unloading as ZigZag 3.9.1 counts them; `zigzag` states the rules.

A tensor's transfers repeat: one per period, which must fit into a window at the period's start. The original lays out
the longest period cycle by cycle to see where windows of a shared port overlap, which takes memory in proportion to the
layer's run time; `covered` counts the same from the divisibility of the periods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .zigzag_description import PARTIAL_SUMS, RD_TO_HIGH, RD_TO_LOW, WR_FROM_HIGH, WR_FROM_LOW, I, O, W


@dataclass(frozen=True, slots=True)
class Transfer:
    """A tensor's periodic traffic through one port of one of its memories.

    Attributes:
        tensor, level, direction: whose, at which of its memories (0 = innermost), which way.
        cycles: the port needs for one transfer; words too.
        window: cycles in which it should happen.
        period, count: cycles between transfers, and how many there are.
        rate: average bits per cycle, rounded down.
        instances: of the memory.
    """

    tensor: int
    level: int
    direction: int
    cycles: int
    window: int
    period: int
    count: int
    rate: int
    instances: int

    @property
    def key(self) -> tuple[int, int, int]:
        """Tensor, level, direction."""
        return self.tensor, self.level, self.direction


@dataclass(frozen=True, slots=True)
class Traffic:
    """A physical port and what it carries.

    Attributes:
        bits: per cycle.
        shared: whether it is connected to both inputs.
        transfers: in the port's own order.
    """

    bits: int
    shared: bool
    transfers: tuple[Transfer, ...]


def stall(transfers: Sequence[Transfer]) -> int:
    """Cycles by which one port's transfers exceed their windows over the whole layer; negative = slack.

    The last period's transfers are not counted: nothing waits for them.
    """
    excess = [(t.cycles - t.window) * (t.count - 1) for t in transfers]
    if len(transfers) <= 1:
        return sum(excess)
    longest = max(transfers, key=lambda t: t.period)
    union = covered([(t.period, t.window) for t in transfers]) * longest.count
    windows = sum(t.window * (t.count - 1) for t in transfers)
    late, early = sum(e for e in excess if e > 0), sum(e for e in excess if e < 0)
    return late + max(0, early + windows - union)


def covered(windows: Sequence[tuple[int, int]]) -> int:
    """How many cycles of the longest period lie in at least one window.

    Periods divide one another, so what the shorter ones leave open repeats in the longest: its open cycles are those
    up to its end less those up to the end of its own window. Nothing grows with the length of a period.

    Args:
        windows: (period, length of the window at its start <= period); each period divides the next longer one.
    """
    widest: dict[int, int] = {}
    for period, window in windows:
        widest[period] = max(window, widest.get(period, 0))
    chain = sorted(widest.items())
    return chain[-1][0] - _open(chain, chain[-1][0])


def _open(chain: Sequence[tuple[int, int]], end: int) -> int:
    """Cycles in [0, end) outside of all windows of a chain of periods, shortest first."""
    if not chain:
        return end
    (period, window), shorter = chain[-1], chain[:-1]
    closed = _open(shorter, window)  # of what the shorter ones leave open, this window takes so much in each period
    periods, rest = divmod(end, period)
    cycles = periods * (_open(shorter, period) - closed)
    return cycles + (_open(shorter, rest) - closed if rest > window else 0)


def loading(
    ports: Sequence[Traffic], first_bits: Sequence[int], levels: Sequence[int], busy: int
) -> tuple[float, float]:
    """Cycles of the first input tiles and of the last outputs.

    Levels load one after the other, each at the pace of the slower of its two ports. A level both of whose ports
    serve both inputs makes the inputs take turns; other levels overlap with the other input's. Where one port of the
    two is shared, only the outermost such level counts.

    Args:
        first_bits: of the innermost tile of each tensor.
        levels: how many memories each tensor has.
        busy: cycles of computation with stalls.
    """
    cycles: dict[tuple[int, int, int], float] = {}
    shared: dict[tuple[int, int, int], bool] = {}
    for port in ports:
        cycles.update(_first_cycles(port, first_bits, busy))
        shared.update({t.key: port.shared for t in port.transfers})
    turns, half, alone = [0.0] * 3, [0.0] * 3, [0.0] * 3
    for tensor in (W, I):
        for level in range(levels[tensor] - 1):
            ends = (tensor, level, WR_FROM_HIGH), (tensor, level + 1, RD_TO_LOW)
            slower = max(cycles[end] for end in ends)
            if all(shared[end] for end in ends):
                turns[tensor] += slower
            elif any(shared[end] for end in ends):
                half[tensor] = slower
            else:
                alone[tensor] += slower
    own = [half[tensor] + alone[tensor] for tensor in range(3)]
    onload = min(turns[a] + max(turns[b] + own[b], own[a]) for a, b in ((W, I), (I, W)))
    ends_out = (((O, level, RD_TO_HIGH), (O, level + 1, WR_FROM_LOW)) for level in range(levels[O] - 1))
    return onload, sum(max(cycles[a], cycles[b]) for a, b in ends_out)


def _first_cycles(port: Traffic, first_bits: Sequence[int], busy: int) -> dict[tuple[int, int, int], float]:
    """Cycles of each transfer of a port before or after the computation.

    What is transferred only once may use the port's idle time during the computation, longest transfer first, except
    for the bits of the innermost tile.
    """
    transfers = [t for t in port.transfers if t.tensor != O or t.direction not in PARTIAL_SUMS]
    once = sorted((t for t in transfers if t.count == 1), key=lambda t: -t.cycles)
    rate = sum(t.rate for t in transfers if t.count > 1)
    idle = max(0.0, (port.bits - rate) / port.bits * busy)
    cycles: dict[tuple[int, int, int], float] = {t.key: t.cycles for t in transfers}
    for t in once:
        hidden = min(max(0, t.cycles - -(-first_bits[t.tensor] // port.bits)), idle)
        cycles[t.key] -= hidden
        idle -= hidden
    return cycles
