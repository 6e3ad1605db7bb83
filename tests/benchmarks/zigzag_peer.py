"""Run inside the peers' environment: seconds of CPU that zigzag-dse takes to cost fixed mappings of one layer.

Usage: python zigzag_peer.py N. Prints the median CPU seconds of one evaluation and how many were timed.
"""

import contextlib
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

from zigzag.api import get_hardware_performance_zigzag
from zigzag.cost_model.cost_model import CostModelEvaluation

WORKLOAD = """
- id: 0
  name: conv
  operator_type: Conv
  equation: O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]
  dimension_relations: [ix=1*ox+1*fx, iy=1*oy+1*fy]
  loop_dims: [B, G, K, C, OY, OX, FY, FX]
  loop_sizes: [1, 1, 64, 64, 14, 14, 3, 3]
  operand_precision: {W: 8, I: 8, O: 16, O_final: 8}
  operand_source: {W: 0, I: 0}
"""


def main(wanted: int) -> None:
    """Time the tool's cost model (a mapping taken in and costed) inside its own search, the search itself excluded."""
    logging.disable(logging.CRITICAL)
    import zigzag

    inputs = Path(zigzag.__file__).parent / "inputs"
    seconds: list[float] = []
    build = CostModelEvaluation.__init__

    def timed(self, *args, **kwargs):
        start = time.process_time()
        build(self, *args, **kwargs)  # this evaluates
        seconds.append(time.process_time() - start)
        if len(seconds) >= wanted:
            raise KeyboardInterrupt

    CostModelEvaluation.__init__ = timed
    with tempfile.TemporaryDirectory() as folder:
        workload = Path(folder) / "workload.yaml"
        workload.write_text(WORKLOAD)
        with contextlib.suppress(KeyboardInterrupt):
            get_hardware_performance_zigzag(
                workload=str(workload),
                accelerator=str(inputs / "hardware" / "eyeriss_like.yaml"),
                mapping=str(inputs / "mapping" / "default.yaml"),
                opt="energy",
                dump_folder=folder,
                pickle_filename=str(Path(folder) / "x.pickle"),
            )
    print(statistics.median(seconds), len(seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]))
