"""Layer and Network arithmetic, JSON, fingerprints, and the registry of names."""

import json
import math
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym import workload
from archgym.errors import UnknownNameError, UsageError, WorkloadFormatError
from archgym.workload import (
    Layer,
    Network,
    Workload,
    load_workload,
    register_workload,
    workload_from_dict,
    workload_names,
)

SMALL = st.integers(1, 4)
PAIR = st.tuples(SMALL, SMALL)


@st.composite
def layers(draw):
    """Valid layers small enough to count by hand, dilation, ragged strides and groups included."""
    stride, dilation = draw(PAIR), draw(PAIR)
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    R, S = draw(PAIR)
    least = [max(1, d * (f - 1) + 1 - 2 * p) for d, f, p in zip(dilation, (R, S), padding, strict=True)]
    H, W = (size + draw(st.integers(0, 6)) for size in least)
    return Layer(
        draw(st.text(min_size=1, max_size=5)),
        N=draw(st.integers(1, 3)), G=draw(SMALL), K=draw(SMALL), C=draw(SMALL), H=H, W=W, R=R, S=S,
        stride=stride, padding=padding, dilation=dilation,
        bits=draw(st.none() | st.integers(1, 32)), repeats=draw(SMALL), dynamic=draw(st.booleans()),
    )  # fmt: skip


NETWORKS = st.builds(Network, st.text(min_size=1), st.lists(layers(), min_size=1, max_size=4), st.text())


# ---- a layer's numbers


def test_a_strided_padded_grouped_convolution_by_hand():
    # 8 -> 16 channels in 4 groups over 10x7, filter 3x2, stride (2, 1), padding (1, 0), batch 2:
    # P = (10 + 2 - 3) // 2 + 1 = 5 (one row is left over), Q = (7 - 2) // 1 + 1 = 6.
    layer = Layer.conv("c", 8, 10, 7, 16, (3, 2), stride=(2, 1), padding=(1, 0), groups=4, N=2)
    assert (layer.G, layer.K, layer.C) == (4, 4, 2)
    assert (layer.P, layer.Q) == (5, 6)
    assert layer.macs == 2 * 4 * (5 * 6) * 4 * (2 * 3 * 2) == 11520
    assert layer.weights == 16 * 2 * 3 * 2 == 192
    assert layer.ifmap_words == 2 * 8 * 10 * 7 == 1120
    assert layer.ofmap_words == 2 * 16 * 5 * 6 == 960
    assert layer.mnk == (2 * 5 * 6, 4, 2 * 3 * 2)  # of each of the 4 groups


def test_dilation_stretches_the_filter():
    # Three taps two apart cover 5 of 9 positions, which leaves 5 places to stand.
    layer = Layer("c", H=9, W=9, R=3, S=1, dilation=(2, 7))
    assert (layer.P, layer.Q) == (5, 9)


def test_gemm_is_a_layer_of_single_words():
    layer = Layer.gemm("g", M=5, N=7, K=11, groups=3, repeats=2)
    assert layer.mnk == (5, 7, 11)
    assert layer.macs == 3 * 5 * 7 * 11  # one run, all groups
    assert (layer.ifmap_words, layer.weights, layer.ofmap_words) == (3 * 5 * 11, 3 * 7 * 11, 3 * 5 * 7)
    assert replace(layer, N=4).mnk == (20, 7, 11)  # a batch adds rows


def test_numbers_of_one_run_ignore_repeats():
    once, thrice = Layer.gemm("g", 2, 3, 4), Layer.gemm("g", 2, 3, 4, repeats=3)
    assert (once.macs, once.weights) == (thrice.macs, thrice.weights)
    assert Network("n", (thrice,)).macs == 3 * once.macs


def _window_starts(size, padding, filter_size, dilation, stride):
    """Output positions of one axis, by sliding: a window counts if its last tap is inside."""
    start, starts = -padding, []
    while start + dilation * (filter_size - 1) < size + padding:
        starts.append(start)
        start += stride
    return starts


@settings(deadline=None)  # shared machines stall now and then
@given(layers())
def test_output_size_and_macs_equal_the_loop_nest(layer):
    rows = _window_starts(layer.H, layer.padding[0], layer.R, layer.dilation[0], layer.stride[0])
    columns = _window_starts(layer.W, layer.padding[1], layer.S, layer.dilation[1], layer.stride[1])
    assert (len(rows), len(columns)) == (layer.P, layer.Q)
    outputs = layer.N * layer.G * layer.K * len(rows) * len(columns)
    assert (layer.ofmap_words, layer.macs) == (outputs, outputs * layer.C * layer.R * layer.S)
    M, N, K = layer.mnk
    assert layer.macs == layer.G * M * N * K
    assert layer.weights == layer.G * N * K


def test_macs_equal_counted_multiplications():
    # A convolution actually carried out, every multiplication counted.
    layer = Layer("c", N=2, G=2, K=3, C=2, H=5, W=4, R=3, S=2, stride=(2, 1), padding=(1, 1), dilation=(1, 2))
    count = 0
    for _n, _g, _k, p, q in np.ndindex(2, 2, 3, layer.P, layer.Q):
        for _c, r, s in np.ndindex(2, 3, 2):
            row = p * 2 + r - 1
            column = q + 2 * s - 1
            assert -1 <= row <= 5
            assert -1 <= column <= 4  # inside the padded input: nothing hangs over
            count += 1
    assert count == layer.macs


# ---- a layer's checks


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("N", 0, "layer 'bad': N: expected an integer >= 1, got 0"),
        ("K", 2.0, "layer 'bad': K: expected an integer >= 1, got 2.0"),
        ("C", True, "layer 'bad': C: expected an integer >= 1, got True"),
        ("H", "5", "layer 'bad': H: expected an integer >= 1, got '5'"),
        ("repeats", -1, "layer 'bad': repeats: expected an integer >= 1, got -1"),
        ("bits", 0, "layer 'bad': bits: expected an integer >= 1, got 0"),
        ("stride", (1, 0), "layer 'bad': stride: expected an integer >= 1, got 0"),
        ("padding", (-1, 0), "layer 'bad': padding: expected an integer >= 0, got -1"),
        ("dilation", 2, "layer 'bad': dilation: expected (vertical, horizontal), two integers, got 2"),
        ("dynamic", 1, "layer 'bad': dynamic: expected true or false, got 1"),
        ("R", 9, "layer 'bad': R: expected a filter that fits the padded input H, got R=9"),
        ("S", 9, "layer 'bad': S: expected a filter that fits the padded input W, got S=9"),
        ("K", 2**63, "layer 'bad': expected MACs and words (times repeats) below 2**63"),
        ("repeats", 2**62, "layer 'bad': expected MACs and words (times repeats) below 2**63"),
        ("N", 10**400, "layer 'bad': expected MACs and words (times repeats) below 2**63"),
    ],
)
def test_a_bad_value_names_layer_and_field(field, value, expected):
    with pytest.raises(UsageError) as caught:
        Layer("bad", **({"H": 5, "W": 5} | {field: value}))
    assert str(caught.value).startswith(expected)


def test_names_and_groups_are_checked():
    with pytest.raises(UsageError, match="non-empty string, got ''"):
        Layer("")
    with pytest.raises(UsageError, match="layer 'c': groups: expected a divisor of K=10, got 4"):
        Layer.conv("c", 8, 5, 5, 10, 3, groups=4)


def test_padding_makes_room_for_the_filter():
    assert Layer("c", R=3, S=3, padding=(1, 1)).P == 1  # a single word and its padding
    with pytest.raises(UsageError, match="filter that fits"):
        Layer("c", R=4, S=3, padding=(1, 1))


def test_numpy_integers_become_plain_ones():
    layer = Layer("c", K=np.int64(3), stride=(np.int32(1), 1))
    assert type(layer.K) is int
    assert json.loads(json.dumps(layer.to_dict())) == {"name": "c", "K": 3}


# ---- networks


def test_totals_count_repeats():
    network = Network("n", [Layer.gemm("a", 2, 3, 4), Layer.gemm("b", 1, 1, 5, repeats=10, dynamic=True)])
    assert isinstance(network.layers, tuple)
    assert network.macs == 24 + 50
    assert network.weights == 12 + 50
    assert network.parameters == 12  # the dynamic layer has operands but no parameters
    assert network.activation_words == (8 + 6) + 10 * (5 + 1)
    assert network.executions == 11
    assert isinstance(network, Workload)


def test_a_network_needs_layers_and_a_name():
    with pytest.raises(UsageError, match="network 'n': expected at least one layer"):
        Network("n", ())
    with pytest.raises(UsageError, match="network 'n': expected layers, got 'conv'"):
        Network("n", ("conv",))
    with pytest.raises(UsageError, match="network name"):
        Network("", (Layer("a"),))
    big = Layer("a", K=2**62)
    with pytest.raises(UsageError, match=r"network 'n': expected MACs and words below 2\*\*63"):
        Network("n", (big, big))


@settings(deadline=None)
@given(NETWORKS)
def test_json_round_trip(network):
    data = json.loads(json.dumps(network.to_dict()))
    again = workload_from_dict(data)
    assert again == network
    assert again.to_dict() == data == network.to_dict()
    assert again.fingerprint == network.fingerprint


def test_json_leaves_out_defaults():
    # Fingerprints then survive the addition of a field.
    network = Network("n", (Layer("a", K=2, stride=(2, 1)),), "hand")
    assert network.to_dict() == {
        "kind": "network", "name": "n", "source": "hand",
        "layers": [{"name": "a", "K": 2, "stride": [2, 1]}],
    }  # fmt: skip
    # printf '{"kind":"network","layers":[{"K":2,"stride":[2,1]}]}' | sha256sum
    assert network.fingerprint == "c2c40b6c5d5733f01c7cdb1eb152d8c7c0029f95af0cf82fd4737e34dccd1552"


@settings(deadline=None)
@given(NETWORKS, st.text(min_size=1))
def test_fingerprint_ignores_names_and_source(network, name):
    renamed = Network(name, [replace(layer, name=name) for layer in network.layers], name)
    assert renamed.fingerprint == network.fingerprint


def test_fingerprint_depends_on_every_other_field():
    base = Layer("a", N=3, G=3, K=3, C=3, H=9, W=9, R=3, S=3)
    other = {"stride": (1, 2), "padding": (0, 1), "dilation": (2, 1), "bits": 8, "dynamic": True}
    seen = {Network("n", (base,)).fingerprint, Network("n", (base, base)).fingerprint}
    names = [field.name for field in fields(Layer) if field.name != "name"]
    for field in names:
        seen.add(Network("n", (replace(base, **{field: other.get(field, 4)}),)).fingerprint)
    assert len(seen) == 2 + len(names)
    a, b = Layer("a", K=2), Layer("a", K=3)
    assert Network("n", (a, b)).fingerprint != Network("n", (b, a)).fingerprint  # execution order is content


def test_features_by_hand():
    # 100 MACs dense 1x1 (M=1, N=10, K=10) and 900 MACs depthwise 3x3 (10 groups of M=10, N=1, K=9).
    network = Network("n", (Layer.gemm("fc", 1, 10, 10), Layer.conv("dw", 10, 10, 1, 10, 3, padding=(1, 1), groups=10)))
    weights, activations = 100 + 90, (10 + 10) + (100 + 100)
    assert network.features() == pytest.approx(
        {
            "log10_macs": 3.0,
            "log10_weights": math.log10(weights),
            "log10_activation_words": math.log10(activations),
            "log10_executions": math.log10(2),
            "log10_macs_per_word": math.log10(1000 / (weights + activations)),
            "grouped_share": 0.9,
            "pointwise_share": 0.1,
            "mean_log10_m": 0.5,
            "mean_log10_n": 0.5,
            "mean_log10_k": (1 + math.log10(9)) / 2,
        }
    )


@settings(deadline=None)
@given(NETWORKS)
def test_features_are_finite_ordered_and_see_repeats_as_runs(network):
    features = network.features()
    assert all(type(value) is float and math.isfinite(value) for value in features.values())
    assert list(features) == list(Network("n", (Layer("a"),)).features())
    written_out = [replace(layer, repeats=1) for layer in network.layers for _ in range(layer.repeats)]
    assert Network("n", written_out).features() == pytest.approx(features)


@settings(deadline=None)
@given(NETWORKS, st.integers(2, 5))
def test_batch_multiplies_work_but_not_parameters(network, n):
    batched = network.with_batch(n)
    assert batched.name == f"{network.name}-b{n}"
    assert batched.macs == n * network.macs
    assert batched.activation_words == n * network.activation_words
    assert batched.parameters == network.parameters
    dynamic = network.weights - network.parameters
    assert batched.weights == network.parameters + n * dynamic  # every sample has its own K and V


def test_batch_of_one_is_the_same_network():
    network = Network("n", (Layer("a"),))
    assert network.with_batch(1) == network
    for bad in (0, True, 1.5):
        with pytest.raises(UsageError, match="batch: expected an integer >= 1"):
            network.with_batch(bad)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"layers": [{"name": "a"}, {"name": "b", "K": 0}]}, r"layers\[1\]: layer 'b': K: expected an integer >= 1"),
        ({"layers": [{"name": "a", "strid": 2}]}, r"layers\[0\]: unknown layer field 'strid'; did you mean stride"),
        ({"layers": [{"K": 2}]}, r"layers\[0\]: expected a layer with a name, got the fields K"),
        ({"layers": ["conv"]}, r"layers\[0\]: expected a layer as an object"),
        ({"layers": {"name": "a"}}, "layers: expected a list"),
        ({"layers": []}, "at least one layer"),
        ({"name": 3}, "network name"),
        ({"source": None}, "source: expected a string"),
        ({"batch": 3}, "unknown network field 'batch'"),
        ({"kind": "trace?"}, "unknown workload kind 'trace\\?'; did you mean trace"),
        ({"kind": None}, "unknown workload kind 'None'"),
    ],
)
def test_bad_json_content_is_named(change, expected):
    good = Network("n", (Layer("a"),)).to_dict()
    with pytest.raises(UsageError, match=expected):
        workload_from_dict(good | change)


def test_dispatch_wants_a_mapping_and_the_class_its_own_kind():
    with pytest.raises(UsageError, match="expected a workload as an object"):
        workload_from_dict([])
    with pytest.raises(UsageError, match="kind: expected 'network', got 'trace'"):
        Network.from_dict({"kind": "trace", "name": "n", "layers": []})


# ---- names and files


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown workload 'resnet5'; did you mean resnet50"):
        load_workload("resnet5")


def test_names_are_registered_once(monkeypatch):
    monkeypatch.setattr(workload, "_TARGETS", dict(workload._TARGETS))
    register_workload("mine", "archgym.workloads.vgg:vgg16")
    register_workload("mine", "archgym.workloads.vgg:vgg16")  # the same again is no conflict
    assert workload_names()[-1] == "mine"
    assert load_workload("mine").name == "vgg16"
    with pytest.raises(UsageError, match=r"'mine': already registered as 'archgym\.workloads\.vgg:vgg16'"):
        register_workload("mine", "other:function")
    for bad in ("", "a/b", "a+b", "net.csv", "net.JSON", "-x"):
        with pytest.raises(UsageError, match="workload name: expected letters"):
            register_workload(bad, "module:function")
    for bad in ("module", "module:", ":function"):
        with pytest.raises(UsageError, match="expected a target 'module:function'"):
            register_workload("other", bad)


def test_a_broken_target_is_reported_when_loaded(monkeypatch):
    monkeypatch.setattr(workload, "_TARGETS", {})
    for name, target in (("a", "no_such_module:f"), ("b", "archgym.workloads.vgg:vgg99")):
        register_workload(name, target)
        with pytest.raises(UsageError, match=f"workload '{name}': cannot load '{target}'"):
            load_workload(name)
    register_workload("c", "builtins:dict")
    with pytest.raises(UsageError, match=r"workload 'c': expected a Workload from 'builtins:dict', got \{\}"):
        load_workload("c")


def test_listing_names_imports_little():
    code = (
        "import sys, archgym; before = set(sys.modules); import archgym.workload as w; w.workload_names(); "
        "new = {name for name in set(sys.modules) - before if name.partition('.')[0] not in sys.stdlib_module_names}; "
        "assert new <= {'archgym.errors', 'archgym.workload'}, new"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_json_files_round_trip(tmp_path):
    network = load_workload("mobilenet_v2").with_batch(4)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(network.to_dict(), indent=1), encoding="utf-8-sig")  # an editor's byte order mark
    assert load_workload(path) == network
    assert load_workload(str(path)) == network


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"kind": "network",\r\n "name": oops}', ":2:10: expected JSON: Expecting value"),
        (b"", ":1:1: expected JSON: Expecting value"),
        (b'{"kind":\n "caf\xe9"}', ":2:6: expected UTF-8 text, got byte 0xe9"),
        (b"\xef\xbb\xbf\xff", ":1:1: expected UTF-8 text, got byte 0xff"),
        (b"[1]", ": expected a workload as an object of fields, got [1]"),
        (b'{"kind": "netwrok"}', ": unknown workload kind 'netwrok'; did you mean network?"),
        (b'{"kind": "network", "layers": [{"name": "a", "R": 2}]}', ": layers[0]: layer 'a': R: expected a filter"),
        (b'{"kind": ' + b"9" * 5000 + b"}", ": Exceeds the limit"),
        (b"[" * 100_000, ": maximum recursion depth exceeded"),
    ],
)
def test_json_errors_name_the_file(tmp_path, content, expected):
    path = tmp_path / "net.json"
    path.write_bytes(content)
    with pytest.raises(WorkloadFormatError) as caught:
        load_workload(path)
    assert str(caught.value).startswith(f"{path}{expected}")


@pytest.mark.parametrize("name", ["missing.json", "missing.csv", "folder.csv"])
def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=f"workload file '.*{name}': expected a readable file") as caught:
        load_workload(tmp_path / name)
    assert not isinstance(caught.value, WorkloadFormatError)
