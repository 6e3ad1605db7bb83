"""Energy and area of hardware building blocks, for every simulator.

One component a module: ``scaling`` (between nodes), ``arithmetic`` (multiply-accumulate),
``registers``, ``logic`` (gates), ``sram``, ``macros`` (register files, address-generating buffers, banks),
``dram``, ``wires``, ``noc`` (fan-outs); ``provenance`` lists every constant with its source.
Energies are pJ, areas um2 or mm2, static powers mW: leakage energy in pJ is mW x ns.
Constants are CSV rows beside the code; what no public source gives is a named assumption.
"""
