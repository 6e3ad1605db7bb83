"""VGG-16.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
ICLR 2015, table 1, configuration D: thirteen 3x3 convolutions, padding 1, a 2x2 pooling after
each stage, three fully connected layers.

Published: 15.47 G MACs ("GFLOPS") and 138,357,544 parameters with biases (torchvision
``VGG16_Weights``).
"""

from __future__ import annotations

from archgym.workload import Layer, Network


def vgg16() -> Network:
    """VGG-16 (configuration D), one 224x224 image."""
    layers = []
    channels, size = 3, 224
    for stage, (count, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for index in range(1, count + 1):
            layers.append(Layer.conv(f"conv{stage}_{index}", channels, size, size, filters, 3, padding=1))
            channels = filters
        size //= 2
    layers += [
        Layer.gemm("fc6", M=1, N=4096, K=channels * size * size),
        Layer.gemm("fc7", M=1, N=4096, K=4096),
        Layer.gemm("fc8", M=1, N=1000, K=4096),
    ]
    return Network("vgg16", tuple(layers), "Simonyan, Zisserman, ICLR 2015, configuration D; 224x224")
