"""The built-in networks against published MAC and parameter counts.

A "MAC" here is what torchvision calls FLOP. Parameter counts are exact: the words that a
`Network` leaves out (biases, normalisation, embeddings) are added by their own formula.
"""

import math
from itertools import pairwise

import pytest

from archgym.errors import UsageError
from archgym.workload import Layer, load_workload, workload_names
from archgym.workloads.googlenet import googlenet
from archgym.workloads.resnet import resnet50
from archgym.workloads.transformer import bert_base, gpt2_decode, gpt2_prefill

G, M = 1e9, 1e6
NAMES = (
    "alexnet", "vgg16", "resnet18", "resnet50", "mobilenet_v1", "mobilenet_v2", "googlenet", "tiny_yolo",
    "bert-base", "vit-b16", "gpt2-prefill", "gpt2-decode",
)  # fmt: skip


def test_every_name_loads_under_its_name():
    assert tuple(name for name in workload_names() if load_workload(name).kind == "network") == NAMES
    networks = [load_workload(name) for name in NAMES]
    assert tuple(network.name for network in networks) == NAMES
    assert len({network.fingerprint for network in networks}) == len(NAMES)
    assert all(network.source and all(map(math.isfinite, network.features().values())) for network in networks)


@pytest.mark.parametrize(
    ("network", "macs", "tolerance", "source"),
    # The tolerance is half the last published digit, unless a reason is given.
    [
        (load_workload("alexnet"), 724 * M, 0.5 * M, "Sze et al. 2017, table II"),
        (load_workload("vgg16"), 15.47 * G, 0.005 * G, "torchvision VGG16_Weights"),
        (load_workload("resnet18"), 1.814 * G, 0.0005 * G, "torchvision ResNet18_Weights"),
        (load_workload("resnet50"), 4.089 * G, 0.0005 * G, "torchvision ResNet50_Weights"),
        (resnet50(stride_in_1x1=True), 3.86 * G, 0.005 * G, "Abdelouahab, CNN-Workload (Caffe model, v1)"),
        (resnet50(stride_in_1x1=True), 3.8 * G, 0.1 * G, "He et al., table 1 (3.8, cut rather than rounded)"),
        (load_workload("mobilenet_v1"), 569 * M, 0.5 * M, "Howard et al., table 4"),
        (load_workload("mobilenet_v2"), 300 * M, 5 * M, "Sandler et al., table 4 (300, rounded to tens)"),
        (load_workload("mobilenet_v2"), 0.301 * G, 0.0005 * G, "torchvision MobileNet_V2_Weights"),
        (load_workload("googlenet"), 1.58 * G, 0.005 * G, "Abdelouahab, CNN-Workload (Caffe model)"),
        (googlenet(third_kernel=3), 1.498 * G, 0.0005 * G, "torchvision GoogLeNet_Weights"),
        (load_workload("tiny_yolo"), 6.97 * G / 2, 0.005 * G / 2, "YOLO web page, operations"),
        (
            load_workload("bert-base"),
            22.5 * G / 2,
            0.2 * G / 2,
            "TinyBERT table 1, operations; it counts some non-MACs",
        ),
        (load_workload("vit-b16"), 17.564 * G, 0.0005 * G, "torchvision ViT_B_16_Weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_published_macs(network, macs, tolerance, source):
    assert abs(network.macs - macs) <= tolerance, source


def _channels(name):
    """Output channels of all convolutions: each has a bias or the numbers of a batch norm."""
    return sum(layer.G * layer.K for layer in load_workload(name).layers if layer.H > 1)


# Twelve blocks: biases of qkv, out, up, down, and two layer norms of scale and shift.
BLOCKS = 12 * ((3 * 768 + 768 + 3072 + 768) + 2 * 2 * 768)


@pytest.mark.parametrize(
    ("name", "published", "left_out", "source"),
    [
        ("alexnet", 60_965_224, _channels("alexnet") + 4096 + 4096 + 1000, "Caffe model, biases"),
        ("vgg16", 138_357_544, _channels("vgg16") + 4096 + 4096 + 1000, "torchvision num_params, biases"),
        ("resnet18", 11_689_512, 2 * _channels("resnet18") + 1000, "torchvision num_params, batch norm"),
        ("resnet50", 25_557_032, 2 * _channels("resnet50") + 1000, "torchvision num_params, batch norm"),
        ("mobilenet_v1", 4_253_864, 4 * _channels("mobilenet_v1") + 1000, "Keras, batch norm with its statistics"),
        ("mobilenet_v2", 3_504_872, 2 * _channels("mobilenet_v2") + 1000, "torchvision num_params, batch norm"),
        ("tiny_yolo", 15_867_885, 4 * (_channels("tiny_yolo") - 125) + 125, "Keras port, Darknet weight file"),
        # embeddings of 30522 words, 512 positions, 2 segments and their norm; bias of the pooler
        ("bert-base", 109_482_240, BLOCKS + (30522 + 512 + 2 + 2) * 768 + 768, "bert-base-uncased"),
        # class token, 197 positions, bias of patch embedding, last norm, bias of the head
        ("vit-b16", 86_567_656, BLOCKS + (1 + 197 + 1 + 2) * 768 + 1000, "torchvision num_params"),
        # 1024 positions and the last norm; the word embedding is the output layer
        ("gpt2-prefill", 124_439_808, BLOCKS + (1024 + 2) * 768, "GPT2LMHeadModel"),
        ("gpt2-decode", 124_439_808, BLOCKS + (1024 + 2) * 768, "GPT2LMHeadModel"),
    ],
)
def test_published_parameters(name, published, left_out, source):
    assert load_workload(name).parameters + left_out == published, source


def test_googlenet_parameters():
    # Abdelouahab, CNN-Workload: 5.97 M in convolutions, 1.02 M in the fully connected layer.
    network = googlenet()
    assert network.layers[-1].weights == 1_024_000
    assert network.parameters - 1_024_000 == pytest.approx(5.97e6, abs=0.005e6)
    # torchvision num_params, with 3x3 in the third branch, batch norm and the bias of fc
    small = googlenet(third_kernel=3)
    channels = sum(layer.K for layer in small.layers if layer.H > 1)
    assert small.parameters + 2 * channels + 1000 == 6_624_904


def test_alexnet_layer_by_layer():
    # The paper's towers: conv2, 4, 5 see half the channels. Weights per layer as in its figure 2.
    network = load_workload("alexnet")
    assert [layer.P for layer in network.layers[:5]] == [55, 27, 13, 13, 13]
    assert [layer.G for layer in network.layers[:5]] == [1, 2, 1, 2, 2]
    assert [layer.weights for layer in network.layers[:5]] == [34848, 307200, 884736, 663552, 442368]
    convolutions = sum(layer.macs for layer in network.layers[:5])
    assert convolutions == pytest.approx(666e6, abs=0.5e6)  # Chen et al., Eyeriss, ISSCC 2016
    assert network.macs - convolutions == pytest.approx(58.6e6, abs=0.05e6)


def test_resnet50_strides():
    new, old = load_workload("resnet50"), resnet50(stride_in_1x1=True)
    assert new.parameters == old.parameters
    for network, where in ((new, "conv2"), (old, "conv1")):
        strided = [layer.name for layer in network.layers if layer.stride == (2, 2)]
        stages = [name for stage in (2, 3, 4) for name in (f"layer{stage}.0.{where}", f"layer{stage}.0.downsample")]
        assert strided == ["conv1", *stages]


def test_mobilenets_are_truly_depthwise():
    for name, count in (("mobilenet_v1", 13), ("mobilenet_v2", 17)):
        grouped = [layer for layer in load_workload(name).layers if layer.G > 1]
        assert len(grouped) == count
        assert all(layer.C == layer.K == 1 and layer.padding == (1, 1) for layer in grouped)
    # Howard et al., table 2: 3.06 % of the MACs of V1 are depthwise.
    share = load_workload("mobilenet_v1").features()["grouped_share"]
    assert share == pytest.approx(0.0306, abs=0.0001)


@pytest.mark.parametrize("name", [name for name in NAMES if "-" not in name and name != "googlenet"])
def test_shapes_chain(name):
    # Without branches, a layer reads the channels that the one before (its shortcut apart) wrote.
    layers = [layer for layer in load_workload(name).layers if "downsample" not in layer.name]
    for before, after in pairwise(layers):
        written, read = before.G * before.K, after.G * after.C
        assert read % written == 0, (before.name, after.name)  # fc after a convolution reads all pixels
        assert max(before.P, 1) >= after.H, (before.name, after.name)  # pooling only shrinks


def test_inception_modules_chain():
    # Channels at the end of each module: table 1 of Szegedy et al., column "output size".
    inputs = {layer.name: layer.C for layer in googlenet().layers if layer.name.endswith(".1x1")}
    assert list(inputs.values()) == [192, 256, 480, 512, 512, 512, 528, 832, 832]
    assert all(layer.P == layer.H for layer in googlenet().layers[1:])  # same padding throughout


def test_gpt2_equals_the_published_count_per_operation():
    # Karpathy's nanoGPT "transformer_sizing": 291,648,307,200 operations, output layer for all tokens.
    *blocks, head = gpt2_prefill().layers
    total = sum(layer.repeats * layer.macs for layer in blocks) + 1024 * head.macs
    assert 2 * total == 291_648_307_200
    shares = {layer.name: round(100 * layer.repeats * layer.macs / total, 2) for layer in blocks}
    assert shares["attention.qkv"] == 14.91
    assert shares["attention.scores"] == shares["attention.context"] == 6.63
    assert shares["attention.out"] == 4.97
    assert shares["mlp.up"] + shares["mlp.down"] == pytest.approx(39.76, abs=0.01)


def test_gpt2_decode_touches_weights_and_cache_once():
    network = gpt2_decode(context=1024)
    assert all(layer.mnk[0] == 1 for layer in network.layers)
    # K and V: 12 blocks x 1024 tokens x 768; one MAC for each word of weights and cache.
    assert network.weights - network.parameters == 2 * 12 * 1024 * 768
    assert network.macs == network.weights
    # A batch shares the weights, each sample has its own cache.
    assert network.with_batch(8).weights == network.parameters + 8 * 2 * 12 * 1024 * 768


def test_attention_is_one_group_a_head():
    scores, context = bert_base(tokens=64).layers[1:3]
    assert scores == Layer.gemm("attention.scores", 64, 64, 64, groups=12, repeats=12, dynamic=True)
    assert context.mnk == (64, 64, 64)
    scores, context = gpt2_decode(context=100).layers[1:3]
    assert (scores.mnk, context.mnk) == ((1, 100, 64), (1, 64, 100))


def test_token_limits():
    for build, most in ((bert_base, 512), (gpt2_prefill, 1024), (gpt2_decode, 1024)):
        assert build(most).macs > build(1).macs
        for bad in (0, most + 1):
            with pytest.raises(UsageError, match=f"expected 1 to {most} tokens"):
                build(bad)
