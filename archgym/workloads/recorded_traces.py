"""Recorded memory traces, read from ``traces.zip``; TRACES.md says where they come from and what they are.

All are played at 800 MHz with 64 bytes a request, as ArchGym's DRAM environment does.
"""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from zipfile import ZipFile

from archgym.trace import Trace
from archgym.trace_files import parse_trace


def _recorded(name: str, member: str) -> Trace:
    with (files("archgym.workloads") / "traces.zip").open("rb") as file, ZipFile(file) as archive:
        return parse_trace(archive.read(member), member, name=name)


stream = partial(_recorded, "stream", "stream.stl")
random = partial(_recorded, "random", "random.stl")
cloud_1 = partial(_recorded, "cloud-1", "cloud-1.stl")
cloud_2 = partial(_recorded, "cloud-2", "cloud-2.stl")
chstone_adpcm = partial(_recorded, "chstone-adpcm", "chstone-adpcm_32.stl")
chstone_aes = partial(_recorded, "chstone-aes", "chstone-aes_32.stl")
chstone_bf = partial(_recorded, "chstone-bf", "chstone-bf_32.stl")
chstone_gsm = partial(_recorded, "chstone-gsm", "chstone-gsm_32.stl")
chstone_jpeg = partial(_recorded, "chstone-jpeg", "chstone-jpeg_32.stl")
chstone_mips = partial(_recorded, "chstone-mips", "chstone-mips_32.stl")
chstone_motion = partial(_recorded, "chstone-motion", "chstone-motion_32.stl")
chstone_sha = partial(_recorded, "chstone-sha", "chstone-sha_32.stl")
mediabench_adpcmdecode = partial(_recorded, "mediabench-adpcmdecode", "mediabench-adpcmdecode_32.stl")
mediabench_adpcmencode = partial(_recorded, "mediabench-adpcmencode", "mediabench-adpcmencode_32.stl")
mediabench_h263decode = partial(_recorded, "mediabench-h263decode", "mediabench-h263decode_32.stl")
ddr3_example = partial(_recorded, "ddr3-example", "ddr3_example.stl")
