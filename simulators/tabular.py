"""An enumerated table as a simulator: every design is a look-up, bit for bit what the original returned.

Searching a table costs nothing, its optimum is known exactly (``archgym.suite.difficulty``), and it can be
shared where the original cannot run. Tables are built by ``archgym.suite.tabulate.build_table`` or
``archgym suite table``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from archgym.errors import UsageError
from archgym.simulator import Seeds, Simulator
from archgym.space import Codes, Columns, DesignSpace, Level
from archgym.table_file import SUFFIX, load_table, table_names
from archgym.workload import Workload


@dataclass(frozen=True)
class TabularConfig:
    """Which table.

    Attributes:
        table: name of a table that comes with the package, or a path that ends in ``.table``; required.
    """

    table: str = ""


class Tabular(Simulator):
    """Serves one table: its space, its metrics, its workloads.

    What other simulators declare on the class (metrics, constraints, reasons, accepts, version) is known
    only with the table, and so belongs to the instance.

    Attributes:
        table: the results, see `archgym.table.Table`.

    Raises:
        UsageError: no table given, or its file is missing, damaged or altered.
    """

    Config: ClassVar[type[TabularConfig]] = TabularConfig
    cost_seconds: ClassVar[float] = 1e-6
    config: TabularConfig

    def __init__(self, config: TabularConfig | None = None) -> None:
        super().__init__(config)
        if not self.config.table:
            known = ", ".join(table_names()) or "none"
            raise UsageError(
                f"simulator tabular needs sim.table=NAME, a table of the package ({known}), or sim.table=FILE{SUFFIX}"
            )
        self.table = load_table(self.config.table)
        vars(self).update(
            metrics=self.table.metrics,
            constraints=self.table.constraints,
            reasons=self.table.reasons,
            objectives=self.table.objectives,
            absent=self.table.absent,
            accepts=tuple(dict.fromkeys(r.kind for r in self.table.workloads)),
            # Version and options of the original are part of the content.
            version=f"{self.table.simulator} {self.table.version} table {self.table.fingerprint[:16]}",
        )

    def design_space(self, workload: Workload) -> DesignSpace:
        """The table's space, the same for all its workloads."""
        return self.table.space

    def baseline(self, workload: Workload) -> dict[str, Level]:
        """The table's baseline design: the original's, if the space has it.

        Raises:
            UsageError: the table has no results for this workload.
        """
        return dict(self.table.results(workload).baseline)

    def canonical(self, codes: Codes, workload: Workload) -> Codes:
        """The representative (n, d) of each design, as the original merged them."""
        return self.table.canonical(codes, workload)

    def _simulate(self, designs: Columns, workload: Workload, seeds: Seeds | None) -> Columns:
        return self.table.look_up(self.table.space.from_columns(designs), workload)
