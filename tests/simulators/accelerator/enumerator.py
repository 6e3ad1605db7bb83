"""Oracle of the accelerator's nest analysis: runs a tiny padded loop nest step by step and counts.

Plain Python, nothing shared with the model. Every buffer instance holds, per tensor, a set of elements (a bit
mask; bit = number of the element). Each step of the nest replaces these sets, and what enters and leaves is
counted. The rules, where there is more than one way to count:

Existence. The padded nest runs in full. A tile of W or O holds the elements whose own coordinates are inside the
tensor, a tile of I the pixels met by the taps r < R of the outputs p < P (and s, q) that lie in the input (padding is
nowhere). A tile asks for nothing else: a PE whose every c is beyond C still holds its W (none), I (none) and O (all
of k, p, q that exist). A MAC exists when all eight coordinates do; with padding under its window it still
multiplies, reads its weight and updates its output, but reads no pixel.

Sets. "exact"; "bbox": per axis of I all rows from the first to the last; "zigzag": rows from the first to the last
tap of each output row (gaps of dilation are held, gaps of stride are not). The ends may lie in the padding, what is
held does not.

W and I. Child c fetches from p, the next level above that keeps the tensor; delta: what it did not hold in the step
before, refill: all of a tile that changed. FILLS(c) sums this over instances. READS(p): children of one instance of
p share where they differ in the loops of sharing fan-outs only (share >= 1): a group costs the union of what its
members fetch, groups add up. Of that, what any child held in the step before that differs in loops of forwarding
fan-outs (share 2) only comes from there and is not read; where there are such neighbours, a child is one of them
itself (this matters with refill).

O. A visit is a residency of a tile in an instance. When it ends, the tile drains: DRAINS(c) over instances;
UPDATES(p) has one per group that shares (the fan-out reduces). FILLS(c): the group of *all* children of an
instance of p that hold the element is given the running sum, at its first member (the one with the lowest
coordinates), unless the element never came to this instance of p before; everything else starts from zero.
Timeloop gives it to every member (``to_all=True``). READS(p) = updates to the instance of p after the first one
of each element (each reads the old value, or was preceded by the sum going down).

MACs. The lowest level m that keeps the tensor serves the MACs of each instance: READS of W and I are the elements
that existing MACs of a group use in a step (each once; forwarding counts as sharing, MACs remember nothing).
UPDATES(m) of O are one per element, group and step. Each update reads the old value except the first one
after the element started from zero in this visit: READS(m) = UPDATES(m) - visits that start from zero and get at
least one update (a visit that lies in the padding of c, r, s gets none and reads none).

TILE is the largest tile of any instance at any step; FIRST (row p) what READS(p) is in the first step, for O what
UPDATES(p) is when the nest ends. Levels that bypass and counts that do not exist (FILLS of the outermost) are 0.
"""

from itertools import islice, product
from typing import NamedTuple

import numpy as np

FILLS, READS, UPDATES, DRAINS, TILE, FIRST = range(6)
N, G, K, C, P, Q, R, S = range(8)
W, I, O = range(3)
COORDINATES = {W: (G, K, C, R, S), I: (N, G, C, P, Q, R, S), O: (N, G, K, P, Q)}


def count(layer, loops, tiles, share, sets="exact", policy="delta", to_all=False):
    """Counts (L, 3, 6) of one layer under one mapping.

    Args:
        layer: 16 integers; loops (n, 4) of dim, bound, kind, level; tiles (L, 3): see the package's `Mapping`.
        share: (L, 3), fan-out l and tensor: 0 not, 1 multicast or reduction, 2 also forwarding.
        sets, policy, to_all: see above.
    """
    nest = Nest(layer, loops, sets)
    counts = [[[0] * 6 for _ in range(3)] for _ in tiles]
    for v in (W, I, O):
        keeping = [level for level in range(len(tiles)) if tiles[level][v] >= 0]
        for level, parent in zip(keeping, [*keeping[1:], None], strict=True):
            levels = (level, parent, keeping[0] == level)
            shares = [row[v] for row in share]
            starts = [row[v] for row in tiles]
            if v == O:
                run_outputs(nest, starts, levels, shares, to_all, [row[O] for row in counts])
            else:
                run_operand(nest, v, starts, levels, shares, policy, [row[v] for row in counts])
    return np.array(counts, np.int64)


class Nest:
    """The loops of one mapping over one layer: coordinates and element sets."""

    def __init__(self, layer, loops, sets):
        self.sizes, self.sets = [int(size) for size in layer[:8]], sets
        self.stride, self.dilation, self.pad, self.extent = (
            [int(layer[at]), int(layer[at + 1])] for at in (8, 10, 12, 14)
        )
        self.loops = []
        inside = [1] * 8
        for dim, bound, kind, level in [tuple(map(int, loop)) for loop in loops][::-1]:
            self.loops.insert(0, (dim, bound, kind, level, inside[dim]))
            inside[dim] *= bound

    def coordinates(self, indices):
        """All combinations of the loops at `indices`, the last fastest: (combinations, 8) coordinates."""
        found = np.zeros((1, 8), np.int64)
        for at in indices:
            dim, bound, _, _, inside = self.loops[at]
            step = np.zeros((bound, 8), np.int64)
            step[:, dim] = np.arange(bound) * inside
            found = (found[:, None] + step).reshape(-1, 8)
        return found

    def steps(self, first, last):
        """Coordinates of the temporal loops from index `first` to before `last`, in order of execution."""
        return self.coordinates([at for at in range(first, last) if self.loops[at][2] == 0])

    def used(self, v, macs):
        """Steps of lists over MACs: number of the element it uses; -1: a pixel in the padding, or no such MAC."""
        coordinates = self.steps(0, len(self.loops))[:, None] + np.array([mac.base for mac in macs])
        n, g, k, c, p, q, r, s = np.moveaxis(coordinates, -1, 0)
        _, sg, sk, sc, sp, sq, sr, ss = self.sizes
        exists = (coordinates < self.sizes).all(-1)
        if v == W:
            number = (((g * sk + k) * sc + c) * sr + r) * ss + s
        elif v == O:
            number = (((n * sg + g) * sk + k) * sp + p) * sq + q
        else:
            row, column = self.line(0, p, r), self.line(1, q, s)
            exists &= (row >= 0) & (row < self.extent[0]) & (column >= 0) & (column < self.extent[1])
            number = (((n * sg + g) * sc + c) * self.extent[0] + row) * self.extent[1] + column
        return np.where(exists, number, -1).tolist()

    def line(self, axis, output, tap):
        return output * self.stride[axis] + tap * self.dilation[axis] - self.pad[axis]

    def lines(self, axis, outputs, taps):
        """Rows (axis 0) or columns of the input that a tile over these outputs and taps holds."""
        per_output = [[self.line(axis, output, tap) for tap in taps] for output in outputs]
        if self.sets == "zigzag":
            per_output = [range(min(met), max(met) + 1) for met in per_output if met]
        held = {x for met in per_output for x in met}
        if self.sets == "bbox" and held:
            held = range(min(held), max(held) + 1)
        return [x for x in held if 0 <= x < self.extent[axis]]

    def tiles(self, v, start, children):
        """Masks of the tiles of v that begin at loop `start`, a list over children for each step outside."""
        inner = self.coordinates(range(start, len(self.loops)))
        spans = [np.unique(inner[:, dim]).tolist() for dim in range(8)]
        dims = COORDINATES[v]
        bases = self.steps(0, start)[:, None] + np.array([child.base for child in children])
        masks = {}
        for row in bases[..., dims].tolist():
            found = []
            for key in map(tuple, row):
                if key not in masks:
                    base = dict(zip(dims, key, strict=True))
                    masks[key] = self.mask(v, [self.span(dim, base.get(dim, 0), spans[dim]) for dim in range(8)])
                found.append(masks[key])
            yield found

    def span(self, dim, base, offsets):
        """Existing coordinates of one dim in a tile."""
        return [base + x for x in offsets if base + x < self.sizes[dim]]

    def mask(self, v, spans):
        """The set of one tile over these coordinates."""
        _, sg, sk, sc, sp, sq, sr, ss = self.sizes
        n, g, k, c, p, q, r, s = spans
        if v == W:
            axes, sizes = (g, k, c, r, s), (sg, sk, sc, sr, ss)
        elif v == O:
            axes, sizes = (n, g, k, p, q), (self.sizes[N], sg, sk, sp, sq)
        else:
            axes = (n, g, c, self.lines(0, p, r), self.lines(1, q, s))
            sizes = (self.sizes[N], sg, sc, *self.extent)
        mask = 0
        for point in product(*axes):
            number = 0
            for x, size in zip(point, sizes, strict=True):
                number = number * size + x
            mask |= 1 << number
        return mask


class Instance:
    """One buffer or MAC: where it stands, below which parent, with whom it shares, who may forward to it."""

    def __init__(self, nest, spatial, point, parent, share):
        levels = [nest.loops[at][3] for at in spatial]
        below = [parent is None or level <= parent for level in levels]

        def agree(kept):
            return tuple(x for x, keep in zip(point, kept, strict=True) if keep)

        # Instances with equal keys belong together.
        self.place = point
        self.parent = agree([not inside for inside in below])
        self.shared = agree([not inside or share[l] == 0 for inside, l in zip(below, levels, strict=True)])
        self.forward = agree([not inside or share[l] != 2 for inside, l in zip(below, levels, strict=True)])
        self.base = [0] * 8
        for at, x in zip(spatial, point, strict=True):
            self.base[nest.loops[at][0]] += x * nest.loops[at][4]


def instances(nest, start, parent, share):
    """Instances of a level whose tile starts at loop `start`: one for each combination of the spatial loops outside.

    `parent`: level of the parent (of a MAC: the level that serves it), None for the outermost level.
    """
    spatial = [at for at in range(start) if nest.loops[at][2] > 0]
    points = product(*(range(nest.loops[at][1]) for at in spatial))
    return [Instance(nest, spatial, point, parent, share) for point in points]


def merged(pairs):
    """Elements in the unions of the masks with equal keys."""
    unions = {}
    for key, mask in pairs:
        unions[key] = unions.get(key, 0) | mask
    return sum(mask.bit_count() for mask in unions.values())


def run_operand(nest, v, starts, levels, share, policy, counts):
    """W or I at one level: fetch from the parent through all steps; serve the MACs if it is the lowest level."""
    level, parent, lowest = levels
    start = starts[level]
    children = instances(nest, start, parent, share)
    forwards = len({child.forward for child in children}) < len(children)  # somebody has a neighbour
    held = [0] * len(children)
    for number, tiles in enumerate(nest.tiles(v, start, children)):
        counts[level][TILE] = max(counts[level][TILE], *(tile.bit_count() for tile in tiles))
        if parent is not None and tiles != held:
            fetched = [
                tile & ~old if policy == "delta" else tile if tile != old else 0
                for tile, old in zip(tiles, held, strict=True)
            ]
            counts[level][FILLS] += sum(mask.bit_count() for mask in fetched)
            near = {child.forward: 0 for child in children}  # held a step ago by a neighbour
            if forwards:
                for child, old in zip(children, held, strict=True):
                    near[child.forward] |= old
            pairs = zip(children, fetched, strict=True)
            reads = merged((child.shared, mask & ~near[child.forward]) for child, mask in pairs)
            counts[parent][READS] += reads
            if number == 0:
                counts[parent][FIRST] = reads
            held = tiles
    if lowest:
        macs = instances(nest, len(nest.loops), level, share)
        groups = [mac.shared for mac in macs]
        for row in nest.used(v, macs):
            counts[level][READS] += len({pair for pair in zip(groups, row, strict=True) if pair[1] >= 0})


def run_outputs(nest, starts, levels, share, to_all, counts):
    """O at one level: visits that start from zero or a returned sum, updates by the MACs, drains to the parent."""
    level, parent, lowest = levels
    start = starts[level]
    children = instances(nest, start, parent, share)
    macs = instances(nest, len(nest.loops), level, share) if lowest else []
    place = {child.place: at for at, child in enumerate(children)}
    groups = [(place[mac.parent], mac.shared) for mac in macs]
    used = iter(nest.used(O, macs) if lowest else ())
    within = nest.steps(start, len(nest.loops)).shape[0] if lowest else 0
    held, zero = [0] * len(children), [0] * len(children)  # zero: started so in this visit, no update yet
    ever = {child.parent: 0 for child in children}  # came to this instance of the parent before

    def drain(leaving):
        if parent is None:
            return 0
        counts[level][DRAINS] += sum(mask.bit_count() for mask in leaving)
        updates = merged((child.shared, mask) for child, mask in zip(children, leaving, strict=True))
        counts[parent][UPDATES] += updates
        counts[parent][READS] += updates
        for child, mask in zip(children, leaving, strict=True):
            counts[parent][READS] -= (mask & ~ever[child.parent]).bit_count()
            ever[child.parent] |= mask
        return updates

    for tiles in nest.tiles(O, start, children):
        counts[level][TILE] = max(counts[level][TILE], *(tile.bit_count() for tile in tiles))
        moves = [tile != old for tile, old in zip(tiles, held, strict=True)]
        drain([old if move else 0 for old, move in zip(held, moves, strict=True)])
        taken = dict.fromkeys(ever, 0)
        for at, child in enumerate(children):
            if moves[at]:
                returned = tiles[at] & ever[child.parent]
                if not to_all:
                    returned &= ~taken[child.parent]
                    taken[child.parent] |= returned
                counts[level][FILLS] += returned.bit_count()
                zero[at] = tiles[at] & ~returned
        held = tiles
        for row in islice(used, within):
            for (at, _), element in {pair for pair in zip(groups, row, strict=True) if pair[1] >= 0}:
                counts[level][UPDATES] += 1
                if zero[at] >> element & 1:
                    zero[at] ^= 1 << element
                else:
                    counts[level][READS] += 1
    last = drain(held)
    if parent is not None:
        counts[parent][FIRST] = last


class Case(NamedTuple):
    """A tiny layer, hardware shape and mapping: the first four arguments of `count`."""

    layer: np.ndarray
    loops: np.ndarray
    tiles: np.ndarray
    share: np.ndarray


def random_case(rng, most=600):
    """A legal case with at most `most` padded MACs.

    2 to 4 levels, up to two fan-outs (one may lie below level 0), factors that do not divide and some larger than
    needed, tensors that bypass levels, common or per-tensor boundaries, every share flag, stride, dilation, padding.
    """
    while True:
        layer = random_layer(rng)
        factors = [(dim, bound) for dim in range(8) for bound in random_factors(rng, int(layer[dim]))]
        if np.prod([bound for _, bound in factors]) <= most:
            break
    n_levels = int(rng.integers(2, 5))
    fans = sorted(rng.choice(n_levels, int(rng.integers(0, min(n_levels, 2) + 1)), replace=False).tolist())[::-1]
    # Slots from the outside: temporal segment, fan-out, segment, fan-out, segment.
    slots = [[] for _ in range(2 * len(fans) + 1)]
    for dim, bound in factors:
        slots[int(rng.integers(len(slots)))].append((dim, bound))
    loops, edges = [], []  # edges: first and last index of each fan-out's loops
    for at, slot in enumerate(slots):
        first = len(loops)
        for which in rng.permutation(len(slot)):
            # A temporal loop may stand between two spatial ones; a slot of a fan-out is spatial otherwise.
            spatial = at % 2 == 1 and rng.random() < 0.9
            loops.append([*slot[which], int(rng.integers(1, 3)) if spatial else 0, fans[at // 2] if spatial else -1])
        if at % 2 == 1:
            edges.append((first, len(loops)))
    tiles = random_tiles(rng, n_levels, fans, edges, len(loops))
    for at, loop in enumerate(loops):
        if loop[2] == 0:  # the block of the innermost level that has it in some tile
            loop[3] = next(l for l in range(n_levels) if any(0 <= start <= at for start in tiles[l]))
    share = rng.choice(3, (n_levels, 3), p=[0.25, 0.5, 0.25])
    return Case(layer, np.array(loops, np.int64).reshape(-1, 4), tiles, share.astype(np.int64))


def random_layer(rng):
    """Sizes up to 6, most of them small; the input is as large as the windows need, or a little larger."""
    sizes = [int(rng.choice([1, 2, 3, 4, 5, 6], p=[0.4, 0.22, 0.18, 0.1, 0.06, 0.04])) for _ in range(8)]
    row = [*sizes, *rng.integers(1, 4, 4).tolist(), 0, 0, 0, 0]
    for axis in (0, 1):
        window = (sizes[P + axis] - 1) * row[8 + axis] + (sizes[R + axis] - 1) * row[10 + axis] + 1
        pad = min(int(rng.choice([0, 0, 1, 2])), (window - 1) // 2)
        row[12 + axis] = pad
        row[14 + axis] = window - 2 * pad + int(rng.integers(row[8 + axis]))
    return np.array(row, np.int64)


def random_factors(rng, size):
    """Loop bounds whose product is at least `size`, often no divisors of it."""
    bounds, left = [], size
    while left > 1:
        bound = int(rng.integers(2, left + 1))
        if left % bound and rng.random() < 0.5:
            continue
        bounds.append(bound)
        left = -(-left // bound)
    if rng.random() < 0.04:
        bounds.append(2)  # more than needed
    if rng.random() < 0.04:
        bounds.append(1)
    return bounds


def random_tiles(rng, n_levels, fans, edges, n_loops):
    """Where each tile may start: outside of the fan-outs up to its level, inside of those above."""
    tiles = np.zeros((n_levels, 3), np.int64)
    even = rng.random() < 0.4
    outer = np.zeros(3, np.int64)
    for level in range(n_levels - 2, -1, -1):
        low = max([edge[1] for fan, edge in zip(fans, edges, strict=True) if fan > level], default=0)
        high = min([edge[0] for fan, edge in zip(fans, edges, strict=True) if fan <= level], default=n_loops)
        starts = [int(rng.integers(max(low, at), high + 1)) for at in outer.tolist()]
        outer = np.array(starts[:1] * 3 if even else starts, np.int64)
        tiles[level] = np.where(rng.random(3) < 0.25, -1, outer)
    return tiles
