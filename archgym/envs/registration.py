"""The environments' ids. Entry points are strings: registering imports no simulator.

gymnasium 1.x ignores its old entry-point group, so ``import archgym`` registers.
"""

from __future__ import annotations

import gymnasium as gym

# id -> defaults of its options; a change of dynamics, space or reward bumps the version
IDS = {
    "archgym/Systolic-v0": {"simulator": "systolic", "workload": "resnet50", "objective": "edp"},
    "archgym/DRAM-v0": {"simulator": "dram", "workload": "cloud-1", "objective": "edp"},
    "archgym/Accelerator-v0": {"simulator": "accelerator", "workload": "resnet50", "objective": "edp"},
    "archgym/Mapping-v0": {"simulator": "mapping", "workload": "resnet50", "objective": "edp"},
    "archgym/CoDesign-v0": {"simulator": "codesign", "workload": "resnet50", "objective": "edp"},
}

for _id, _defaults in IDS.items():
    gym.register(
        _id,
        entry_point="archgym.envs.entry:make_env",
        vector_entry_point="archgym.envs.entry:make_vector_env",
        kwargs=dict(_defaults),
    )
