"""The table of ICCAD 2022's CAD contest, problem C, as a table of this package. DUMMY DATA, no evidence about BOOM.

15,633 configurations of the RISC-V core BOOM with instructions per cycle, power, area and the time of the VLSI flow,
from the source package ``iccad-contest`` 0.1.3 (Apache-2.0), whose authors call it a dummy data set. For each decode
width it is the full product of a few options per component, so a design is the width and an option of each component;
options that a width does not have are forbidden.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from archgym.errors import UsageError
from archgym.landscape import Programs
from archgym.metrics import Metric
from archgym.space import DesignSpace, Parameter, Rule
from archgym.table import Results, Table, smallest_type

# component -> the first part of its columns' names
COMPONENTS = {
    "issue": "ISU.",
    "fetch_buffer": "IFU.",
    "rob": "ROB.",
    "registers": "PRF.",
    "load_store": "LSU.",
    "icache": "I-Cache_MMU.",
    "dcache": "D-Cache_MMU.",
}
METRICS = (
    Metric("ipc", "1/cycle", "instructions per cycle", maximise=True),
    Metric("power", "W", "power"),
    Metric("area", "mm2", "area"),
    Metric("vlsi_time", "s", "time that the VLSI flow took for this configuration"),
)
REASONS = ("", "the table has no such configuration")
_SCALE = {"ipc": ("ipc", 1.0), "power": ("power_w", 1.0), "area": ("area_um2", 1e-6), "vlsi_time": ("vlsi_time_s", 1.0)}
Options = dict[int, list[tuple[int, ...]]]


def boom_table(rows: Sequence[Mapping[str, str]], programs: Programs) -> Table:
    """The table of the contest's rows (header -> text).

    Raises:
        UsageError: for some width the rows are not the full product of their components' options.
    """
    parsed = [_parsed(row) for row in rows]
    widths = sorted({width for width, _ in parsed})
    options = {component: _options(parsed, i) for i, component in enumerate(COMPONENTS)}
    space = _space(widths, options)
    codes = [
        [widths.index(width), *(options[c][width].index(v) for c, v in zip(COMPONENTS, values, strict=True))]
        for width, values in parsed
    ]
    placed = dict(zip(space.keys(np.array(codes, np.int64)).tolist(), rows, strict=True))
    product = sum(math.prod(len(o[width]) for o in options.values()) for width in widths)
    if not len(placed) == len(rows) == product:
        raise UsageError(
            f"BOOM table: expected the full product of {product} rows, got {len(rows)} ({len(placed)} distinct)"
        )
    ranks = np.array(sorted(placed), np.int64)
    outcomes = np.zeros(space.size, np.int64)  # row 0: no such configuration
    outcomes[ranks] = 1 + np.arange(len(ranks))
    columns = {
        name: np.array([math.nan, *(float(placed[rank][column]) * scale for rank in ranks.tolist())])
        for name, (column, scale) in _SCALE.items()
    }
    columns["reason"] = np.array([1] + [0] * len(ranks), np.int64)
    every = np.arange(space.size, dtype=np.int64)
    baseline = space.design(space.unrank([ranks[len(ranks) // 2]])[0])
    results = Results(
        programs.name,
        programs.kind,
        programs.fingerprint,
        baseline,
        every.astype(smallest_type(space.size)),
        every,
        outcomes.astype(smallest_type(len(ranks) + 1)),
        columns,
    )
    return Table("boom-iccad22-dummy", "0.1.3", {}, space, METRICS, (), REASONS, {}, {}, (results,))


def _space(widths: list[int], options: Mapping[str, Options]) -> DesignSpace:
    width = Parameter("width", tuple(widths), doc="instructions decoded per cycle; decides the width of the fetch")
    parameters, rules = [width], []
    for component, by_width in options.items():
        most = max(len(found) for found in by_width.values())
        doc = "; ".join(f"width {w}: {' '.join(map(str, found))}" for w, found in sorted(by_width.items()))
        parameter = Parameter(component, tuple(range(most)), doc=f"option, of {COMPONENTS[component]}* at {doc}")
        parameters.append(parameter)
        table = np.array([[i < len(by_width[w]) for i in range(most)] for w in widths])
        if not table.all():
            rules.append(Rule(("width", component), table))
    return DesignSpace(parameters, rules)


def _parsed(row: Mapping[str, str]) -> tuple[int, list[tuple[int, ...]]]:
    """Decode width, and the values of each component."""
    values = [tuple(int(v) for name, v in row.items() if name.startswith(prefix)) for prefix in COMPONENTS.values()]
    return int(row["Decoder.DecodeWidth"]), values


def _options(parsed: Sequence[tuple[int, list[tuple[int, ...]]]], component: int) -> Options:
    found: dict[int, set[tuple[int, ...]]] = {}
    for width, values in parsed:
        found.setdefault(width, set()).add(values[component])
    return {width: sorted(values) for width, values in found.items()}
