"""The SCALE-Sim topology reader: what it takes, what it refuses and where it points."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archgym.errors import UnknownNameError, UsageError, WorkloadFormatError
from archgym.topology import read_topology
from archgym.workload import Layer, load_workload

DATA = Path(__file__).parent / "data" / "topologies"
CONV = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
GEMM = "Layer,M,N,K,\n"


@pytest.fixture
def write(tmp_path):
    """Write a topology file and return its path."""

    def write_file(content, name="net.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


# ---- files of the tool


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        # Rows counted and copied from the files by eye.
        ("Resnet50", 54, ("Conv1", 224, 224, 7, 7, 3, 64, 2), ("FC6", 1, 1, 1, 1, 2048, 1000, 1)),
        ("UNet_2d", 19, ("Conv1a", 2048, 2048, 3, 3, 1, 64, 1), ("Conv10", 1864, 1864, 1, 1, 64, 2, 1)),
        ("alexnet", 5, ("Conv1", 224, 224, 11, 11, 3, 96, 4), ("Conv5", 13, 13, 3, 3, 384, 256, 1)),
        ("mobilenet", 27, ("Conv1", 224, 224, 3, 3, 3, 32, 2), ("Conv27", 7, 7, 1, 1, 1024, 1024, 1)),
        ("mobilnet_paper", 28, ("Conv1", 224, 224, 3, 3, 3, 32, 2), ("FC", 1, 1, 1, 1, 1024, 1000, 1)),
    ],
)
def test_convolution_files(name, count, first, last):
    network = load_workload(DATA / f"{name}.csv")
    assert network.name == name
    assert network.source == f"SCALE-Sim topology {name}.csv"
    assert len(network.layers) == count
    for layer, (layer_name, H, W, R, S, channels, filters, stride) in (
        (network.layers[0], first),
        (network.layers[-1], last),
    ):
        assert layer == Layer(layer_name, K=filters, C=channels, H=H, W=W, R=R, S=S, stride=(stride, stride))


def test_gemm_files():
    ncf = read_topology(DATA / "NCF.csv")
    assert [layer.name for layer in ncf.layers] == [str(index) for index in range(1, 13)]
    assert ncf.layers[0] == Layer.gemm("1", M=256, N=128, K=2048)
    assert ncf.layers[-1].mnk == (2048, 128, 1)
    single = read_topology(DATA / "test_mnk_input.csv")
    assert single.layers == (Layer.gemm("Test 1", M=256, N=128, K=256),)


def test_a_ragged_window_is_dropped():
    # The tool rounds (224 - 11 + 4) / 4 up to 55 rows, the last one hanging over the edge; here 54.
    layer = read_topology(DATA / "alexnet.csv").layers[0]
    assert (layer.H, layer.P, layer.Q) == (224, 54, 54)


# ---- tolerance


@pytest.mark.parametrize(
    "row",
    [
        "a,9,8,3,2,4,6,2,",
        "a,9,8,3,2,4,6,2",
        "  a , 9,\t8 ,3 ,2, 4,6 ,2 , ",
        "a,9,8,3,2,4,6,2,,,,",
        "a,9,8,3,2,4,6,2,,,110,110,x",
        "a,9,8,3,2,4,6,2,1:1",
        "a,9,8,3,2,4,6,2, 2 : 4 ,",
        "a,9,8,3,2,4,6,2,#dw: remark",
        "a,09,8,3,2,4,6,2,",
    ],
)
def test_one_row_in_many_spellings(write, row):
    layer = Layer("a", K=6, C=4, H=9, W=8, R=3, S=2, stride=(2, 2))
    assert read_topology(write(CONV + row)).layers == (layer,)
    assert read_topology(write(CONV + row + "\n")).layers == (layer,)


def test_sparse_gemm_rows_are_read_dense(write):
    assert read_topology(write(GEMM + "a,4,5,6,2:4,\n")).layers == (Layer.gemm("a", 4, 5, 6),)


def test_blank_rows_line_ends_mark_and_repeated_names(write):
    rows = ["", ",,,,,,,,,,,,", "a,5,5,3,3,2,4,1,", "   ", "a,5,5,3,3,2,4,1,", ""]
    expected = (Layer("a", K=4, C=2, H=5, W=5, R=3, S=3),) * 2
    for end in ("\n", "\r\n", "\r"):
        text = end.join([CONV.strip(), *rows])
        assert read_topology(write(text)).layers == expected
        assert read_topology(write(b"\xef\xbb\xbf" + text.encode())).layers == expected


def test_only_newlines_end_a_line(write):
    # str.splitlines would also split at a line separator inside a name.
    assert read_topology(write(CONV + "a\u2028b,5,5,3,3,2,4,1,\n")).layers[0].name == "a\u2028b"


def test_depthwise_convention(write):
    # 4 channels of one group each, 2 filters a channel: 4 * 2 * (3 * 3 outputs) * 9 taps.
    (layer,) = read_topology(write(CONV + "ConvDP_3,5,5,3,3,4,2,1,\n")).layers
    assert (layer.G, layer.C, layer.K) == (4, 1, 2)
    assert layer.macs == 4 * 2 * 9 * 9
    (dense,) = read_topology(write(CONV + "Convdp_3,5,5,3,3,4,2,1,\n")).layers
    assert (dense.G, dense.C) == (1, 4)  # the tool looks for capitals


SIZES = st.integers(1, 2000)


@settings(deadline=None)
@given(st.lists(st.tuples(SIZES, SIZES, SIZES, SIZES, SIZES, SIZES, st.integers(1, 9)), min_size=1, max_size=5))
def test_written_layers_come_back(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("topology") / "net.csv"
    shapes = [(H + R - 1, W + S - 1, R, S, C, K, stride) for H, W, R, S, C, K, stride in sizes]
    rows = [",".join(map(str, (f"l{i}", *shape))) + "," for i, shape in enumerate(shapes)]
    path.write_text(CONV + "\n".join(rows))
    for layer, (H, W, R, S, C, K, stride) in zip(read_topology(path).layers, shapes, strict=True):
        assert (layer.H, layer.W, layer.R, layer.S, layer.C, layer.K) == (H, W, R, S, C, K)
        assert layer.stride == (stride, stride)


# ---- which kind


@pytest.mark.parametrize(
    ("header", "row", "mnk"),
    [
        ("Layer,M,N,K,", "a,4,5,6,", (4, 5, 6)),
        ("Layer Name, m, n, k", "a,4,5,6", (4, 5, 6)),
        ("Layer,M,N,K,,,,,,remark", "a,4,5,6,,,,7,8", (4, 5, 6)),  # the header decides before the count
        ("name,rows,columns,depth,", "a,4,5,6,", (4, 5, 6)),
        ("", "a,4,5,6,1:2,", (4, 5, 6)),
        ("name,height,width,r,s,c,k,stride,", "a,4,4,1,1,6,5,1,", (16, 5, 6)),
        ("convolutions", "a,4,4,1,1,6,5,1,", (16, 5, 6)),
    ],
)
def test_the_kind_is_found(write, header, row, mnk):
    assert read_topology(write(f"{header}\n{row}\n")).layers[0].mnk == mnk


def test_the_kind_can_be_said(write):
    row = "a,9,8,3,2,4,6,2,"
    assert read_topology(write(f"x\n{row}\n"), kind="gemm").layers[0].mnk == (9, 8, 3)
    assert read_topology(write(f"x\n{row}\n"), kind="conv").layers[0].K == 6
    with pytest.raises(UnknownNameError, match="unknown topology kind 'cnov'; did you mean conv"):
        read_topology(write(CONV), kind="cnov")
    with pytest.raises(WorkloadFormatError, match=r":2:6: expected 8 fields \(convolution\) or 4 \(GEMM\), got 6"):
        read_topology(write("x\na,1,2,3,4,5,,,\n"))


# ---- errors


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (CONV + "a,5,5,3,3,2,4,1,\nb,5,x,3,3,2,4,1,\n", "3:3", "expected ifmap width, INTEGER, got 'x'"),
        (CONV + "\na,0,5,3,3,2,4,1,\n", "3:2", "expected ifmap height, INTEGER, got '0'"),
        (CONV + "a,5,5,3,3,2,-4,1,", "2:7", "expected number of filters, INTEGER, got '-4'"),
        (CONV + "a,5,5,3,3,2.0,4,1,", "2:6", "expected channels, INTEGER, got '2.0'"),
        (CONV + "a,5,5,3,3,2,4,1e1,", "2:8", "expected stride, INTEGER, got '1e1'"),
        (CONV + "a,5,5,3,3,2,1_0,1,", "2:7", "expected number of filters, INTEGER, got '1_0'"),
        (CONV + "a,5,5,3,3,2,٣,1,", "2:7", "expected number of filters, INTEGER, got '٣'"),
        (CONV + "a,5,5,3,3,2,4,", "2:8", "expected stride, INTEGER, got ''"),
        (CONV + "a,5,5", "2:4", "expected filter height, INTEGER, got ''"),
        (CONV + "a,5,,3,3,2,4,1,", "2:3", "expected ifmap width, INTEGER, got ''"),
        (CONV + "a,5,5,3,3,2147483648,4,1,", "2:6", "expected channels, INTEGER, got '2147483648'"),
        (CONV + ",5,5,3,3,2,4,1,", "2:1", "expected a layer name, got ''"),
        (CONV + "a,5,9,6,3,2,4,1,", "2:4", "expected filter height at most the ifmap height 5, got '6'"),
        (CONV + "a,9,5,6,7,2,4,1,", "2:5", "expected filter width at most the ifmap width 5, got '7'"),
        (CONV + "a,5,5,3,3,2,4,1,4:2,", "2:9", "expected sparsity N:M with 1 <= N <= M, got '4:2'"),
        (CONV + "a,5,5,3,3,2,4,1,0:2,", "2:9", "expected sparsity N:M with 1 <= N <= M, got '0:2'"),
        (CONV + "a,5,5,3,3,2,4,1,2:,", "2:9", "expected sparsity N:M with 1 <= N <= M, got '2:'"),
        (GEMM + "a,4,5,6,3:2", "2:5", "expected sparsity N:M with 1 <= N <= M, got '3:2'"),
        (GEMM + "a,4,5,6\nb,4,5", "3:4", "expected K, INTEGER, got ''"),
        ("", "1:1", "expected a header line and at least one layer, got an empty file"),
        ("\n\n,,\n", "4:1", "expected a header line and at least one layer, got an empty file"),
        (CONV, "2:1", "expected a header line and at least one layer, got only a header"),
        ("a,5,5,3,3,2,4,1,\nb,5,5,3,3,2,4,1,\n", "1:2", "expected a header line before the layers, got '5'"),
        (CONV.encode() + b"a,5,5,3,3,2,4,1,\nb,5,\xff5,", "3:3", "expected UTF-8 text, got byte 0xff"),
        (b"\xef\xbb\xbf" + CONV.encode() + b"\xff,5", "2:1", "expected UTF-8 text, got byte 0xff"),
        ("x".encode("utf-16"), "1:1", "expected UTF-8 text, got byte 0xff"),
        (
            GEMM + "a,2147483647,2147483647,2147483647,", "2:1",
            "layer 'a': expected MACs and words (times repeats) below 2**63",
        ),
    ],
)  # fmt: skip
def test_errors_name_file_line_and_field(write, content, place, message):
    path = write(content)
    with pytest.raises(WorkloadFormatError) as caught:
        load_workload(path)
    message = message.replace("INTEGER", "an integer from 1 to 2147483647")
    assert str(caught.value) == f"{path}:{place}: {message}"


def test_a_missing_file_is_no_format_error(tmp_path):
    with pytest.raises(UsageError, match=r"missing\.csv.*No such file") as caught:
        read_topology(tmp_path / "missing.csv")
    assert not isinstance(caught.value, WorkloadFormatError)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_give_a_network_or_a_format_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("topology") / "net.csv"
    for prefix in (b"", CONV.encode(), CONV.encode() + b"a,5,5,3,"):
        path.write_bytes(prefix + content)
        try:
            network = read_topology(path)
        except WorkloadFormatError as error:
            outcome = str(error)
        else:
            outcome = f"{path}:{len(network.layers)}"
        assert outcome.startswith(f"{path}:")


def test_gemm_columns_in_another_order_are_refused(tmp_path):
    """SCALE-Sim reads M, N, K by position; whoever writes M, K, N means them by name."""
    path = tmp_path / "gemm.csv"
    path.write_text("Layer,M,K,N,\na,128,64,768,\n")
    with pytest.raises(WorkloadFormatError, match=r"gemm\.csv:1:2: expected the columns M, N, K"):
        read_topology(path)


def test_a_second_stride_column_is_refused(tmp_path):
    path = tmp_path / "conv.csv"
    path.write_text("Layer,H,W,R,S,C,K,Stride height,Stride width,\na,14,14,3,3,8,8,1,2,\n")
    with pytest.raises(WorkloadFormatError, match=r"conv\.csv:1:9: expected one stride"):
        read_topology(path)
