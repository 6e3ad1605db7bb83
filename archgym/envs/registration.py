"""The environments' ids. Entry points are strings: registering imports no simulator.

gymnasium 1.x ignores its old entry-point group, so ``import archgym`` registers.
"""

from __future__ import annotations

import gymnasium as gym

# id -> the simulator behind it; a change of dynamics, space or reward bumps the version
IDS = {"archgym/Systolic-v0": "systolic"}

for _id, _simulator in IDS.items():
    gym.register(
        _id,
        entry_point="archgym.envs.entry:make_env",
        vector_entry_point="archgym.envs.entry:make_vector_env",
        kwargs={"simulator": _simulator},
    )
