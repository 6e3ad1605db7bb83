"""Memory traces: the columns, their JSON form, the readers and the writer, recorded and generated workloads."""

import gzip
import hashlib
import json
import math
import pickle
import re
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym.errors import UnknownNameError, UsageError, WorkloadFormatError
from archgym.experiments import inspect_commands
from archgym.problem import ProblemSpec
from archgym.topology import read_topology
from archgym.trace import RequestError, Trace
from archgym.trace_files import read_trace, write_trace
from archgym.workload import Network, Workload, load_workload, workload_from_dict, workload_names
from archgym.workloads import traces as generators

DATA = Path(__file__).parent / "data" / "dram"
RECORDED = (
    "stream", "random", "cloud-1", "cloud-2", "chstone-adpcm", "chstone-aes", "chstone-bf", "chstone-gsm",
    "chstone-jpeg", "chstone-mips", "chstone-motion", "chstone-sha", "mediabench-adpcmdecode",
    "mediabench-adpcmencode", "mediabench-h263decode", "ddr3-example",
)  # fmt: skip
MOST = 2**63 - 1


def trace(**changes):
    """Three requests; every field can be changed."""
    return Trace(**{"name": "t", "address": [0, 64, 256], "is_write": [False, True, False], "cycle": [0, 3, 2],
                    "clock_mhz": 800.0} | changes)  # fmt: skip


@st.composite
def traces(draw, in_cycles=None):
    """Any valid trace of up to 20 requests."""
    n = draw(st.integers(1, 20))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    if draw(st.booleans()) if in_cycles is None else in_cycles:
        times = {"cycle": column(st.integers(0, 10**12)), "clock_mhz": draw(st.floats(0.5, 1e4))}
    else:
        times = {"time_ns": column(st.floats(0, 9e15))}
    return Trace(
        draw(st.text(min_size=1)),
        column(st.integers(0, 2**62)),
        column(st.booleans()),
        size=column(st.integers(1, 2**40)),
        source=draw(st.just(0) | st.lists(st.integers(0, 7), min_size=n, max_size=n)),
        **times,
    )


# ---- columns


def test_columns_are_read_only_copies_of_fixed_types():
    address = np.array([0, 64, 256], np.uint32)
    made = trace(address=address)
    address[0] = 1
    assert made.address.tolist() == [0, 64, 256]
    types = {name: getattr(made, name).dtype.str for name in ("address", "is_write", "cycle", "size", "source")}
    assert types == {"address": "<i8", "is_write": "|b1", "cycle": "<i8", "size": "<i8", "source": "<i8"}
    assert made.size.tolist() == [64, 64, 64]  # documented default
    assert made.source.tolist() == [0, 0, 0]
    assert (made.n, len(made), made.time_ns) == (3, 3, None)
    for column in (made.address, made.is_write, made.cycle, made.size, made.source, made.time_ps):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    with pytest.raises(FrozenInstanceError):
        made.name = "other"


def test_it_is_a_workload():
    made = trace()
    assert isinstance(made, Workload)
    assert made.kind == "trace"
    assert repr(made) == "Trace('t', 3 requests, 800.0 MHz)"


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (800, [0, 1250, 3750]),
        (1200, [0, 833, 2500]),  # 833.33, 2500
        (3200, [0, 312, 938]),  # 312.5 and 937.5: half to even
        (933.1, [0, 1072, 3215]),  # 10^6 / 933.1 = 1071.70, times 3 = 3215.09
    ],
)
def test_cycles_become_picoseconds(clock, expected):
    assert trace(cycle=[0, 1, 3], clock_mhz=clock).time_ps.tolist() == expected


@given(st.lists(st.integers(0, 10**12), min_size=1), st.floats(0.5, 1e5))
def test_picoseconds_are_exact_for_any_clock(cycle, clock):
    # The oracle divides fractions; a product in float64 or int64 would be wrong here.
    made = Trace("t", [0] * len(cycle), False, cycle, clock)
    assert made.time_ps.tolist() == [round(c * 10**6 / Fraction(repr(clock))) for c in cycle]


def test_nanoseconds_become_picoseconds():
    made = trace(cycle=None, clock_mhz=None, time_ns=[0.0, 1.25, 8e15])
    assert made.time_ps.tolist() == [0, 1250, 8 * 10**18]


def test_the_last_representable_time():
    latest = MOST // 1250
    assert trace(cycle=[0, 1, latest]).time_ps[2] == latest * 1250
    with pytest.raises(RequestError, match=rf"cycle\[2\]: expected an integer from 0 to {latest}, got {latest + 1}"):
        trace(cycle=[0, 1, latest + 1])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": ""}, "trace name: expected a non-empty string, got ''"),
        ({"address": []}, r"address: expected at least one request, shape \(n,\), got shape \(0,\)"),
        ({"address": [[0, 1, 2]]}, r"got shape \(1, 3\)"),
        ({"address": [0, -64, 1]}, r"address\[1\]: expected an integer from 0 to 9223372036854775807, got -64"),
        ({"address": [0, 1, 2.5]}, r"address\[2\]: expected an integer .*, got 2\.5"),
        ({"address": np.array([0.0, 64.0, 256.0])}, r"address\[0\]: expected an integer .*, got 0\.0"),
        ({"address": [0, 1, 2**63]}, r"address\[2\]: expected an integer .*, got 9223372036854775808"),
        ({"address": [0, 1, 2**70]}, r"address\[2\]"),
        ({"address": [True, False, True]}, r"address\[0\]: expected an integer .*, got True"),
        ({"address": [0, MOST - 63, 1]}, rf"address\[1\]: expected an integer from 0 to {MOST - 64}, got {MOST - 63}"),
        ({"is_write": [False, 2, True]}, r"is_write\[1\]: expected True or False, got 2"),
        ({"is_write": [False, True]}, r"is_write: expected shape \(3,\) like address, or one value for all"),
        (
            {"address": np.array([0, 1, 2**63], np.uint64)},
            r"address\[2\]: expected an integer .*, got 9223372036854775808",
        ),
        ({"address": np.array([0, 1, 2], object)}, "address: expected an integer .*, got an array of object"),
        ({"address": [np.int64(0), np.int64(-1), 2]}, r"address\[1\]: expected an integer .*, got -1"),
        ({"address": [np.int64(0), 1.5, 2]}, r"address\[1\]: expected an integer .*, got 1\.5"),
        ({"size": [64, 64, 0]}, r"size\[2\]: expected an integer from 1 to"),
        ({"source": [0, -1, 0]}, r"source\[1\]: expected an integer from 0 to"),
        ({"cycle": [0, 1, -1]}, r"cycle\[2\]"),
        ({"cycle": None}, "times: expected either cycle with clock_mhz or time_ns, got neither"),
        ({"time_ns": [0.0, 1.0, 2.0]}, "got both"),
        ({"cycle": None, "time_ns": [0.0, 1.0, 2.0]}, r"clock_mhz: expected none beside time_ns, got 800\.0"),
        ({"clock_mhz": None}, "clock_mhz: expected MHz of at least 1e-06 beside cycle, got None"),
        ({"clock_mhz": 0}, "clock_mhz: expected MHz"),
        ({"clock_mhz": -800.0}, "clock_mhz: expected MHz"),
        ({"clock_mhz": math.nan}, "clock_mhz: expected MHz"),
        ({"clock_mhz": math.inf}, "clock_mhz: expected MHz"),
        ({"clock_mhz": True}, "clock_mhz: expected MHz"),
        ({"clock_mhz": "800"}, "clock_mhz: expected MHz"),
        ({"cycle": None, "clock_mhz": None, "time_ns": [0.0, math.nan, 1.0]}, r"time_ns\[1\]: expected ns .*, got nan"),
        ({"cycle": None, "clock_mhz": None, "time_ns": [0.0, 1.0, -0.5]}, r"time_ns\[2\]: expected ns .*, got -0\.5"),
        ({"cycle": None, "clock_mhz": None, "time_ns": [0.0, 1e16, 1.0]}, r"time_ns\[1\]"),
    ],
)
def test_wrong_columns_are_named(changes, expected):
    with pytest.raises(UsageError, match=expected):
        trace(**changes)


# ---- fingerprint and equality


def test_the_name_is_no_content():
    other = replace(trace(), name="other")
    assert other.fingerprint == trace().fingerprint
    assert other == trace()
    assert hash(other) == hash(trace())
    assert re.fullmatch("[0-9a-f]{64}", other.fingerprint)


def test_everything_else_is_content():
    times = {"cycle": None, "clock_mhz": None, "time_ns": [0.0, 3.75, 2.5]}  # the same instants are another content
    changes = [{"address": [0, 64, 128]}, {"is_write": [False, False, False]}, {"cycle": [0, 3, 3]}, {"clock_mhz": 801},
               {"size": 32}, {"size": [64, 64, 32]}, {"source": [0, 1, 0]}, times,
               {"address": [0, 64], "is_write": [False, True], "cycle": [0, 3]}]  # fmt: skip
    different = [trace(), *(trace(**change) for change in changes)]
    assert len({made.fingerprint for made in different}) == len(different)
    assert all(made != trace() for made in different[1:])
    assert trace() != "t"


def test_equal_content_is_equal_however_it_was_given():
    big = trace(address=np.array([0, 64, 256], ">u2"), size=np.full(3, 64, np.int8), clock_mhz=np.float32(800))
    assert big == trace()
    zero = {"cycle": None, "clock_mhz": None, "time_ns": [0.0, 1.0, 2.0]}
    assert trace(**zero) == trace(**zero | {"time_ns": [-0.0, 1.0, 2.0]}) == trace(**zero | {"time_ns": [0, 1, 2]})


# ---- JSON


@given(traces())
def test_json_and_pickle_are_exact_inverses(made):
    text = json.dumps(made.to_dict())
    for again in (workload_from_dict(json.loads(text)), pickle.loads(pickle.dumps(made))):
        assert again.name == made.name
        assert again.fingerprint == made.fingerprint
        assert json.dumps(again.to_dict()) == text
        assert not again.address.flags.writeable


def test_json_by_hand():
    # Steps of 64 and 192 do not fit int8 (192 > 127) and are written as int16; cycles step +3, -1 in int8.
    assert trace().to_dict() == {
        "kind": "trace", "name": "t", "requests": 3, "clock_mhz": 800.0,
        "cycle": {"first": 0, "dtype": "int8", "values": "A/8="},  # 03 ff
        "address": {"first": 0, "dtype": "int16", "values": "QADAAA=="},  # 40 00 c0 00
        "is_write": {"dtype": "bits", "values": "QA=="},  # 010 and five zeros
        "size": {"first": 64, "step": 0},
        "source": {"first": 0, "step": 0},
    }  # fmt: skip


def test_a_regular_trace_is_small_in_json():
    assert len(json.dumps(load_workload("stream").to_dict())) < 2000  # 10,000 bits of is_write are 1,668 characters


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "network"}, "kind: expected 'trace', got 'network'"),
        ({"adress": {}}, "unknown trace field 'adress'; did you mean address"),
        ({"requests": 0}, "requests: expected an integer >= 1, got 0"),
        ({"requests": 3.0}, r"requests: expected an integer >= 1, got 3\.0"),
        ({"requests": 4}, r"cycle: values: expected 3 bytes for this number of requests, got 2"),
        ({"address": [0, 64, 256]}, r"address: expected an object as Trace.to_dict writes it, got \[0, 64, 256\]"),
        ({"address": {"first": "0", "step": 64}}, "address: first: expected a 64-bit integer, got '0'"),
        ({"address": {"first": 0, "step": 2**64}}, "address: step: expected a 64-bit integer"),
        ({"address": {"first": 0, "step": 2**62}}, r"address\[2\]: expected an integer from 0"),  # 2**63 wraps
        ({"address": {"first": 0, "dtype": "int4", "values": ""}}, "address: dtype: expected one of bits, int8"),
        ({"address": {"first": 0, "dtype": "int8", "values": "#"}}, "address: values: expected base64 text"),
        ({"address": {"first": 0, "dtype": "int8", "values": 3}}, "address: values: expected base64 text"),
        ({"is_write": {"first": 0, "step": 0}}, r"is_write\[0\]: expected True or False, got 0"),
        ({"clock_mhz": None}, "clock_mhz: expected MHz"),
    ],
)
def test_damaged_json_is_named(change, expected):
    with pytest.raises(UsageError, match=expected):
        Trace.from_dict(trace().to_dict() | change)


def test_json_without_a_column():
    data = trace(source=[0, 1, 0]).to_dict()
    for key in ("name", "requests", "address", "is_write"):
        with pytest.raises(UsageError, match=f"{key}: expected it in a trace"):
            Trace.from_dict({k: v for k, v in data.items() if k != key})
    del data["source"]  # defaults stand in for size and source only
    assert Trace.from_dict(data) == trace()


# ---- features


def test_features_by_hand():
    # 64-byte requests at 0, 64, 128, 4096, 4160; cycles 0 0 8 4 10 of 1.25 ns.
    made = Trace("t", [0, 64, 128, 4096, 4160], [0, 1, 0, 0, 0] == np.ones(5), [0, 0, 8, 4, 10], 800.0)
    assert made.features() == pytest.approx(
        {
            "log10_requests": math.log10(5),
            "read_share": 4 / 5,
            "log10_mean_gap_ns": math.log10(1 + 12.5 / 4),  # sent at 0 0 8 8 10: the fourth waits for the third
            "log10_bytes": math.log10(320),
            "log10_lines": math.log10(5),
            "same_1kib_share": 3 / 4,  # all but 128 -> 4096
            "same_8kib_share": 1.0,
            "sequential_share": 3 / 4,
            "log10_sources": 0.0,
            "log10_span_bytes": math.log10(4224),
        },
        rel=1e-12,
    )


def test_features_of_one_request_are_finite():
    features = Trace("t", [MOST - 1], True, [0], 800.0, size=1).features()
    assert all(map(math.isfinite, features.values()))
    assert features["same_1kib_share"] == features["log10_span_bytes"] == 0.0
    assert list(features) == list(trace().features())


REQUESTS = st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 400)), min_size=1, max_size=12)


@given(REQUESTS)
def test_lines_touched_against_a_set(requests):
    # Overlaps, nested requests and any order: count the lines one by one.
    address, size = zip(*requests, strict=True)
    lines = {byte // 64 for a, s in requests for byte in range(a, a + s)}
    features = Trace("t", list(address), False, 0 * np.arange(len(address)), 800.0, size=list(size)).features()
    assert round(10 ** features["log10_lines"]) == len(lines)


# ---- reading


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def columns(made):
    return [c.tolist() for c in (made.cycle, made.is_write, made.address, made.size, made.source)]


STL = "0:\tread\t0x40\n3:\twrite\t0xFf\n"


@pytest.mark.parametrize(
    "text",
    [
        STL,
        "0 read 0x40\n3 write 0xff",  # no colon, no last line end
        "\ufeff# a comment\n\n 0 :  READ\t 0X40 \r\n  #\r\n\r\n3:write 0xff\t\r\n",
        "0:\tread\t0x40\t0xdeadbeef\n3:\twrite\t0xff\n",  # a column of data
        gzip.compress(STL.encode(), mtime=0),
    ],
)
def test_stl_forms(tmp_path, text):
    made = read_trace(write(tmp_path / "a.stl", text))
    assert columns(made) == [[0, 3], [False, True], [64, 255], [64, 64], [0, 0]]
    assert made.name == "a"
    assert made.clock_mhz == 800.0  # ArchGym's trace clock


@pytest.mark.parametrize(
    "text",
    [
        "0,r,0x40\n3,w,0xff\n",
        "0 R 64\n3\tW\t255",
        "0:read 0x40\n3: write 0xFF\n",  # .stl lines in a .txt
        "cycle,rw,address\n0 , 0 , 64\n3 , 1 , 255\n",
        "# note\nTime Type Address\n\n0,Read,0x40\r\n# note\r\n3,WRITE,255\n",
        "0,r,0x40,64\n3,w,0xff,64,0\n",  # size and source line by line
        "cycle,rw,address,size,source\n0,r,0x40,64,0\n3,w,0xff\n",
    ],
)
def test_text_forms(tmp_path, text):
    assert columns(read_trace(write(tmp_path / "a.txt", text))) == [[0, 3], [False, True], [64, 255], [64, 64], [0, 0]]


def test_size_source_clock_and_name(tmp_path):
    path = write(tmp_path / "a.b.csv.gz", gzip.compress(b"0,r,0,128,2\n0,r,64\n"))
    made = read_trace(path, clock_mhz=1200, size=32, name=None)
    assert columns(made) == [[0, 0], [False, False], [0, 64], [128, 32], [2, 0]]
    assert (made.name, made.clock_mhz) == ("a.b", 1200.0)
    assert read_trace(path, name="x").name == "x"
    with pytest.raises(UsageError, match="size: expected bytes of a request, an integer >= 1, got 0"):
        read_trace(path, size=0)
    with pytest.raises(UsageError, match="clock_mhz: expected MHz"):
        read_trace(path, clock_mhz=0)


TEXT_FORM = "'CYCLE,read|write,ADDRESS[,SIZE[,SOURCE]]'"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.stl", STL + "4:\tread\t40\n", ":3: expected 'CYCLE: read|write 0xADDRESS', got '4:\tread\t40'"),
        ("a.stl", "# x\n\n" + STL + "\n4: fetch 0x4\n" + STL, ":6: expected 'CYCLE: read|write 0xADDRESS'"),
        ("a.stl", "0: (16) write 0x0 0xff\n", ":1: expected 'CYCLE: read|write 0xADDRESS', got '0: (16) write"),
        ("a.stl", "-1: read 0x0\n", ":1: expected 'CYCLE: read|write 0xADDRESS', got '-1: read 0x0'"),
        ("a.stl", "1: read 0x0 0x1 0x2\n", ":1: expected"),
        ("a.stl", STL + "9: read 0x" + "f" * 31, ":3: expected 'CYCLE: read|write 0xADDRESS', got '9: read 0xffff"),
        ("a.stl", STL + "9: read 0x8000000000000000\n", ":3: expected address to be an integer from 0 to 92"),
        ("a.stl", STL + "\n\n9: read 0x7fffffffffffffff\n", ":5: expected address to be an integer from 0 to 92"),
        ("a.stl", "9223372036854775807: read 0x0\n", f":1: expected cycle to be an integer from 0 to {MOST // 1250}"),
        ("a.stl", "", ":1: expected at least one request, got the end of the file"),
        ("a.stl", "# nothing\n\n", ":3: expected at least one request, got the end of the file"),
        ("a.txt", "cycle,rw,address\n", ":2: expected at least one request, got the end of the file"),
        ("a.txt", "cycle,address,rw\n0,0x0,r\n", ":1: expected 'address' as column 3, got it as column 2"),
        ("a.txt", "#\ncycle,rw,address\n\n0,r,0\n1,2,64\n", f":5: expected {TEXT_FORM}, got '1,2,64'"),
        ("a.txt", "0,r,0x\n", f":1: expected {TEXT_FORM}"),
        ("a.txt", "0,r,64,64,0,1\n", f":1: expected {TEXT_FORM}"),
        ("a.txt", "0,r\n", f":1: expected {TEXT_FORM}"),
        ("a.txt", "0,r,64\n0.5,r,64\n", f":2: expected {TEXT_FORM}, got '0.5,r,64'"),
        ("a.txt", "0,r,64\n1,r,64,0\n", ":2: expected size to be an integer from 1 to 92"),
        ("a.txt", b"0,r,64\n1,r,\xff\n", f":2: expected {TEXT_FORM}, got '1,r,\ufffd'"),
        ("a.stl.gz", gzip.compress(STL.encode(), mtime=0)[:-9], ": expected complete gzip data: "),
    ],
)
def test_bad_lines_are_named(tmp_path, name, text, expected):
    path = write(tmp_path / name, text)
    with pytest.raises(WorkloadFormatError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"{path}{expected}")


def test_a_long_bad_line_is_cut(tmp_path):
    with pytest.raises(WorkloadFormatError) as caught:
        read_trace(write(tmp_path / "a.stl", "x" * 100_000))
    assert str(caught.value).endswith(f"got '{'x' * 60}'")


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"workload file '.*no\.stl': expected a readable file"):
        read_trace(tmp_path / "no.stl")


# ---- writing


@pytest.mark.parametrize("name", ["a.stl", "a.stl.gz", "a.csv", "a.csv.gz", "a.txt", "a.TRACE"])
@settings(max_examples=30)
@given(made=traces(in_cycles=True))
def test_writing_is_the_inverse_of_reading(tmp_path_factory, name, made):
    path = tmp_path_factory.getbasetemp() / name
    if ".stl" in name:
        made = replace(made, size=made.size[0], source=0)
    write_trace(made, path)
    assert read_trace(path, clock_mhz=made.clock_mhz, size=int(made.size[0])) == made


def test_written_files_by_hand(tmp_path):
    write_trace(trace(), tmp_path / "a.stl")
    assert (tmp_path / "a.stl").read_bytes() == b"0:\tread\t0x0\n3:\twrite\t0x40\n2:\tread\t0x100\n"
    write_trace(trace(size=[1, 2, 3], source=[0, 1, 0]), tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_bytes().split()
    assert lines == [b"cycle,rw,address,size,source", b"0,r,0x0,1,0", b"3,w,0x40,2,1", b"2,r,0x100,3,0"]


def test_compressed_files_are_the_same_at_any_time(tmp_path):
    write_trace(trace(), tmp_path / "a.stl.gz")
    assert (tmp_path / "a.stl.gz").read_bytes()[4:8] == bytes(4)  # no time stamp (RFC 1952, MTIME)


def test_what_cannot_be_written_is_refused(tmp_path):
    in_ns = trace(cycle=None, clock_mhz=None, time_ns=[0.0, 1.0, 2.0])
    for made, name, expected in (
        (in_ns, "a.csv", "expected cycles, got times in ns"),
        (trace(source=[0, 1, 0]), "a.stl", r"\.stl has no column for size and source; write \.csv"),
        (trace(size=[64, 64, 32]), "a.stl", r"\.stl has no column for size and source"),
        (trace(), "a.json", r"expected \.stl, \.csv, \.txt or \.trace"),
        (trace(), "no/a.csv", "expected a writable path, got: No such file"),
    ):
        with pytest.raises(UsageError, match=expected):
            write_trace(made, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# ---- load_workload


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.stl", STL),
        ("a.STL.GZ", gzip.compress(STL.encode(), mtime=0)),
        ("a.txt", "0 r 64\n3 w 255\n"),
        ("a.trace", "0 r 64\n3 w 255\n"),
        ("a.csv", "0,r,0x40\n3,w,0xff\n"),
        ("a.csv", "# note\n0,0,64,64\n3,1,255,64\n"),
        ("a.csv", "cycle,rw,address,size,source\n0,r,0x40,64,0\n3,w,0xff,64,0\n"),
        ("a.csv.gz", gzip.compress(b"when,what,where\n0,r,64\n3,w,255\n", mtime=0)),
    ],
)
def test_trace_files_load_by_suffix_and_content(tmp_path, name, text):
    made = load_workload(write(tmp_path / name, text))
    assert columns(made)[:3] == [[0, 3], [False, True], [64, 255]]
    assert made.name == "a"


def test_a_broken_trace_is_not_taken_for_a_topology(tmp_path):
    with pytest.raises(WorkloadFormatError, match=r"a\.csv:2: expected 'CYCLE,"):
        load_workload(write(tmp_path / "a.csv", "cycle,rw,address\n0,x,0x40\n"))


def test_topologies_stay_networks(tmp_path):
    # A GEMM layer called "0" with M = 1 reads like a write at cycle 0: the header decides.
    path = write(tmp_path / "net.csv", "Layer, M, N, K,\n0, 1, 1000, 4096,\n")
    assert load_workload(path) == read_topology(path)
    topologies = sorted((DATA.parent / "topologies").glob("*.csv"))
    assert topologies
    assert all(isinstance(load_workload(topology), Network) for topology in topologies)


def test_json_files_hold_traces_too(tmp_path):
    made = load_workload("gen-sources")
    path = write(tmp_path / "a.json", json.dumps(made.to_dict()))
    assert load_workload(path) == made
    assert load_workload(write(tmp_path / "a.json.gz", gzip.compress(path.read_bytes()))) == made
    with pytest.raises(WorkloadFormatError, match=r"a\.json: is_write: expected"):
        load_workload(write(path, json.dumps(trace().to_dict() | {"is_write": 1})))


def test_a_problem_takes_the_content_of_a_trace_file(tmp_path, monkeypatch):
    # A bare file name too: the spec has to mean the same in another folder.
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.stl.gz", gzip.compress(STL.encode(), mtime=0))
    spec = ProblemSpec.parse("systolic/edp", workload="a.stl.gz")
    assert spec.workloads == (load_workload("a.stl.gz").to_dict(),)


def test_show_prints_the_features_of_a_trace(capsys):
    inspect_commands.show("chstone-mips")
    printed = capsys.readouterr().out
    assert "trace 'chstone-mips'" in printed
    assert re.search(r"log10_requests +2\.997", printed)  # 993 requests


def test_names_of_traces_are_suggested():
    with pytest.raises(UnknownNameError, match="unknown workload 'cloud-3'; did you mean cloud-2 or cloud-1"):
        load_workload("cloud-3")
    with pytest.raises(UnknownNameError, match="unknown workload 'gen-mixd'; did you mean gen-mixed"):
        load_workload("gen-mixd")


# ---- recorded traces


def test_recorded_traces_load_under_their_names():
    assert set(RECORDED) < set(workload_names())
    for name in RECORDED:
        made = load_workload(name)
        assert made.name == name
        assert made.clock_mhz == 800.0
        assert (made.size == 64).all()
        assert not made.source.any()


def test_the_four_of_archgym_are_ten_thousand_reads_one_per_cycle():
    for name in RECORDED[:4]:
        made = load_workload(name)
        assert not made.is_write.any()
        assert made.cycle.tolist() == list(range(10_000))


@pytest.mark.parametrize(("name", "file"), [("stream", "stream.stl.gz"), ("chstone-mips", "chstone-mips_32.stl.gz")])
def test_packed_traces_equal_the_originals(name, file):
    made, content = load_workload(name), gzip.decompress((DATA / file).read_bytes())
    assert made == read_trace(DATA / file)
    rows = [line.replace(":", "").split() for line in content.decode().splitlines()]  # apart from the reader
    assert made.cycle.tolist() == [int(row[0]) for row in rows]
    assert made.is_write.tolist() == [row[1] == "write" for row in rows]
    assert made.address.tolist() == [int(row[2], 16) for row in rows]


def test_the_archive_holds_what_its_page_says():
    folder = files("archgym.workloads")
    page = (folder / "TRACES.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(.*)` \| `(.*)` \| (\d+) \| (\d+) \| (\d+) \| `(.*)` \|$", page, re.M)
    assert tuple(row[0] for row in table) == RECORDED
    with ZipFile(str(folder / "traces.zip")) as archive:
        assert archive.namelist() == [row[1] for row in table]
        for name, member, requests, reads, last, digest in table:
            made = load_workload(name)
            assert hashlib.sha256(archive.read(member)).hexdigest() == digest
            measured = (len(made), round(100 * np.mean(~made.is_write)), int(made.cycle.max()))
            assert measured == (int(requests), int(reads), int(last))


# ---- generated traces

# Frozen: results on these names are comparable only as long as the content stays.
GENERATED = {
    "gen-random-rw50": "23539b75f888", "gen-mixed": "67494c2156b2", "gen-hotrow": "e9559a76e09d",
    "gen-strided": "4347f4e990f9", "gen-copy": "ab64bd972b26", "gen-triad": "3d0ca30c4551",
    "gen-sparse": "169cff04a8a1", "gen-bursty": "45ef8b734103", "gen-chase": "c128064b2332",
    "gen-sources": "e0492d1210fd",
}  # fmt: skip


@pytest.mark.parametrize("name", GENERATED)
def test_generated_workloads_are_frozen(name):
    made = load_workload(name)
    assert made.name == name
    assert len(made) == 10_000
    assert made.fingerprint.startswith(GENERATED[name])
    assert made.clock_mhz == 800.0
    assert (made.size == 64).all()
    assert not (made.address % 64).any()
    assert made.address.max() < 2**30
    assert (np.diff(made.cycle) >= 0).all()


def test_names_are_distinct_contents():
    names = workload_names()
    assert len({load_workload(name).fingerprint for name in names}) == len(names)


SEEDED = [generators.random_access, generators.pointer_chase, generators.zipf_rows, generators.mixed, generators.bursty]


@pytest.mark.parametrize("generator", SEEDED)
def test_the_seed_decides_and_only_the_seed(generator):
    assert generator(200, seed=5) == generator(200, seed=5)
    assert generator(200, seed=5) != generator(200, seed=6)
    alone = generator(200, write_share=0.0)
    assert not alone.is_write.any()
    assert generator(200, write_share=1.0).address.tolist() == alone.address.tolist()  # writes have their own stream
    assert generator(200, write_share=1.0).is_write.all()


def test_stream_wraps_at_its_footprint():
    made = generators.stream(5, gap=2, footprint=192, clock_mhz=1200)
    assert made.address.tolist() == [0, 64, 128, 0, 64]
    assert made.cycle.tolist() == [0, 3, 6, 9, 12]
    assert made.clock_mhz == 1200


def test_strided_walks_the_columns_of_a_matrix():
    made = generators.strided(7, stride=128, write_every=3, footprint=384)  # three rows of two lines
    assert made.address.tolist() == [0, 128, 256, 64, 192, 320, 0]
    assert made.is_write.tolist() == [False, False, True, False, False, True, False]
    assert made.cycle.tolist() == list(range(7))


def test_copy_and_triad_read_and_write_whole_arrays():
    # Shares of 2**20 bytes; each array begins one row (8 KiB) further than its share.
    made = generators.copy(6, footprint=2**21)
    assert made.address.tolist() == [base + 64 * i for i in range(3) for base in (0, 2**20 + 8192)]
    assert made.is_write.tolist() == [False, True] * 3
    made = generators.triad(6, footprint=3 * 2**20)
    assert made.address.tolist() == [k * (2**20 + 8192) + 64 * i for i in range(2) for k in range(3)]
    assert made.is_write.tolist() == [False, False, True] * 2
    small = generators.triad(1000, footprint=3 * 32768)
    assert small.address.max() == 3 * 32768 - 64  # the last array ends with the footprint, then all begin again
    assert len(np.unique(small.address)) == 3 * (32768 - 2 * 8192) // 64


def test_pointer_chase_visits_every_line_once_a_round():
    made = generators.pointer_chase(200, gap=9, footprint=64 * 100)
    first, second = made.address[:100].tolist(), made.address[100:].tolist()
    assert sorted(first) == [64 * line for line in range(100)]
    assert second == first  # a list has one order
    assert first != sorted(first)
    assert made.cycle[-1] == 199 * 10


def test_random_arrivals_have_the_mean_gap():
    # n different cycles out of n (1 + gap): the largest of 10,000 lies within 1 % of the end but for 1 in e^100 seeds.
    made = generators.random_access(10_000, gap=4)
    gaps = np.diff(made.cycle)
    assert 49_500 <= made.cycle[-1] < 50_000
    assert gaps.min() == 1  # never two in one cycle
    # Memoryless: P(gap = 1) is 1/5, standard deviation 0.004.
    assert np.mean(gaps == 1) == pytest.approx(0.2, abs=0.02)
    # 10,000 of 2^24 lines: the mean has a standard deviation of 0.3 % of the range, writes of 0.5 %.
    assert made.address.mean() / 2**30 == pytest.approx(0.5, abs=0.015)
    assert made.is_write.mean() == pytest.approx(0.5, abs=0.025)


def test_zipf_rows_are_hot_in_zipf_s_order():
    # Weights 1, 1/2, 1/3, 1/4 are 12, 6, 4, 3 of 25; standard deviations are below 0.5 %.
    made = generators.zipf_rows(10_000, rows=4, row_bytes=1024)
    _, counts = np.unique(made.address // 1024, return_counts=True)
    assert np.sort(counts)[::-1] / 10_000 == pytest.approx(np.array([12, 6, 4, 3]) / 25, abs=0.025)
    assert len(np.unique(made.address)) == 4 * 16
    even = generators.zipf_rows(10_000, rows=4, row_bytes=1024, exponent=0)
    _, counts = np.unique(even.address // 1024, return_counts=True)
    assert counts / 10_000 == pytest.approx(np.full(4, 0.25), abs=0.025)


def test_mixed_continues_each_array_by_its_stride():
    made = generators.mixed(4000, strides=(64, 4096), random_share=0.0, footprint=2**30)
    for k, stride in enumerate((64, 4096)):
        walk = made.address[made.address // 2**29 == k]
        assert (np.diff(walk) == stride).all()
        assert len(walk) == pytest.approx(2000, abs=160)  # standard deviation 32
    some = generators.mixed(4000, strides=(64,), random_share=0.25)
    assert np.mean(np.diff(some.address) == 64) == pytest.approx(0.75**2, abs=0.05)  # two neighbours walk


def test_bursts_are_runs_of_lines_with_silence_between():
    made = generators.bursty(10_000, burst=8, idle=100, write_share=0.5)
    jumps = np.diff(made.address) % 2**30 != 64
    wait = np.diff(made.cycle)[jumps] - 1
    assert (np.diff(made.cycle)[~jumps] == 1).all()
    assert (np.diff(made.is_write)[~jumps] == 0).all()  # a burst reads or writes
    # About 1250 bursts of 1 to 15, standard deviation of their mean 0.12; waits of 0 to 200, of their mean 1.6.
    lengths = np.diff(np.flatnonzero(jumps))
    assert (lengths.min(), lengths.max()) == (1, 15)
    assert lengths.mean() == pytest.approx(8, abs=0.6)
    assert (wait.min(), wait.max()) == (0, 200)
    assert wait.mean() == pytest.approx(100, abs=8)


def test_interleaving_merges_by_cycle_and_marks_the_source():
    parts = [Trace("a", [0, 64], False, [0, 4], 800.0, size=32), Trace("b", [128, 192, 256], True, [0, 2, 4], 800.0)]
    made = generators.interleave(parts, region=1024)
    assert columns(made) == [
        [0, 0, 2, 4, 4],
        [False, True, True, False, True],
        [0, 1024 + 128, 1024 + 192, 64, 1024 + 256],
        [32, 64, 64, 32, 64],
        [0, 1, 1, 0, 1],
    ]


def test_gen_sources_are_four_until_the_end():
    made = load_workload("gen-sources")
    for k in range(4):
        own = made.cycle[made.source == k]
        assert own[0] < 1000
        assert own[-1] > 30_000
        assert (made.address[made.source == k] // 2**28 == k).all()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: generators.stream(0), "n: expected an integer >= 1, got 0"),
        (lambda: generators.stream(gap=-1), "gap: expected cycles >= 0, got -1"),
        (lambda: generators.stream(write_share=1.5), r"write_share: expected 0 to 1, got 1\.5"),
        (lambda: generators.stream(footprint=100), "footprint: expected bytes, a multiple of 64, got 100"),
        (lambda: generators.stream(clock_mhz=0), "clock_mhz: expected MHz"),
        (lambda: generators.strided(stride=96), "stride: expected a multiple of 64 that divides the footprint"),
        (lambda: generators.strided(stride=192), "stride: expected a multiple of 64 that divides the footprint"),
        (lambda: generators.strided(write_every=-1), "write_every: expected an integer >= 0"),
        (lambda: generators.zipf_rows(row_bytes=100), "row_bytes: expected a multiple of 64, got 100"),
        (lambda: generators.zipf_rows(rows=3, footprint=16384), r"rows: expected 1 to 2 \(footprint\), got 3"),
        (lambda: generators.zipf_rows(exponent=-1), "exponent: expected 0 to 16"),
        (lambda: generators.mixed(strides=()), "strides: expected multiples of 64"),
        (lambda: generators.mixed(strides=(64, 32)), "strides: expected multiples of 64"),
        (lambda: generators.mixed(random_share=-0.1), "random_share: expected 0 to 1"),
        (lambda: generators.bursty(burst=0), "burst: expected an integer >= 1"),
        (lambda: generators.bursty(idle=-1), "idle: expected an integer >= 0"),
        (lambda: generators.copy(footprint=16384), "footprint: expected more than 16384 bytes, got 16384"),
        (lambda: generators.interleave([], region=64), "traces: expected at least one, got 0"),
        (lambda: generators.interleave([trace()], region=1), "region: expected a multiple of 64, got 1"),
        (
            lambda: generators.interleave([trace(), trace(clock_mhz=933)], region=0),
            r"traces: expected cycles of one clock, got \['800.0', '933.0'\]",
        ),
    ],
)
def test_wrong_generator_arguments_are_named(call, expected):
    with pytest.raises(UsageError, match=expected):
        call()
