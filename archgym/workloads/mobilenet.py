"""MobileNetV1 and MobileNetV2 with true depthwise convolutions (one group a channel).

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", 2017 (arXiv 1704.04861), table 1 (its last depthwise row says stride 2 at 7x7;
the sizes that follow need 1, as every implementation has it).
Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018
(arXiv 1801.04381), table 2. Padding is 1 around every 3x3.

Published: V1 569 M MACs and 4.2 M parameters (table 4 of the paper), 4,253,864 with four batch norm
numbers a channel (Keras). V2 300 M MACs and 3.4 M parameters (table 4 of the paper), 0.301 G and
3,504,872 with batch norm and bias (torchvision).
"""

from __future__ import annotations

from archgym.workload import Layer, Network


def mobilenet_v1() -> Network:
    """MobileNetV1, width 1.0, one 224x224 image."""
    layers = [Layer.conv("conv1", 3, 224, 224, 32, 3, stride=2, padding=1)]
    channels, size = 32, 112
    blocks = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
    for block, (filters, stride) in enumerate(blocks, 1):
        layers.append(_depthwise(f"block{block}.depthwise", channels, size, stride))
        size //= stride
        layers.append(Layer.conv(f"block{block}.pointwise", channels, size, size, filters, 1))
        channels = filters
    layers.append(Layer.gemm("fc", M=1, N=1000, K=channels))
    return Network("mobilenet_v1", tuple(layers), "Howard et al., arXiv 1704.04861, table 1; 224x224")


def mobilenet_v2() -> Network:
    """MobileNetV2, width 1.0, one 224x224 image."""
    layers = [Layer.conv("conv1", 3, 224, 224, 32, 3, stride=2, padding=1)]
    channels, size, block = 32, 112, 0
    # expansion, output channels, number of blocks, stride of the first: table 2 of the paper
    for expansion, filters, count, first_stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for index in range(count):
            block += 1
            name, stride, hidden = f"block{block}", first_stride if index == 0 else 1, expansion * channels
            if expansion > 1:
                layers.append(Layer.conv(f"{name}.expand", channels, size, size, hidden, 1))
            layers.append(_depthwise(f"{name}.depthwise", hidden, size, stride))
            size //= stride
            layers.append(Layer.conv(f"{name}.project", hidden, size, size, filters, 1))
            channels = filters
    layers.append(Layer.conv("conv_last", channels, size, size, 1280, 1))
    layers.append(Layer.gemm("fc", M=1, N=1000, K=1280))
    return Network("mobilenet_v2", tuple(layers), "Sandler et al., CVPR 2018, table 2; 224x224")


def _depthwise(name: str, channels: int, size: int, stride: int) -> Layer:
    return Layer.conv(name, channels, size, size, channels, 3, stride, padding=1, groups=channels)
