"""GoogLeNet (Inception v1), without the auxiliary classifiers of training.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, table 1. The third branch of a module
is 5x5 as in the paper; torchvision has 3x3 there: ``googlenet(third_kernel=3)``.

Published: 1.58 G MACs and 6.99 M parameters, 5.97 M of them in convolutions (Abdelouahab,
"CNN-Workload", counted on the Caffe model). The "ops" column of the paper's table adds up to 1.5 G.
With 3x3: 1.498 G MACs and 6,624,904 parameters with batch norm and bias (torchvision).
"""

from __future__ import annotations

from archgym.workload import Layer, Network

# module: size, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection (table 1 of the paper)
_MODULES = {
    "3a": (28, 64, 96, 128, 16, 32, 32),
    "3b": (28, 128, 128, 192, 32, 96, 64),
    "4a": (14, 192, 96, 208, 16, 48, 64),
    "4b": (14, 160, 112, 224, 24, 64, 64),
    "4c": (14, 128, 128, 256, 24, 64, 64),
    "4d": (14, 112, 144, 288, 32, 64, 64),
    "4e": (14, 256, 160, 320, 32, 128, 128),
    "5a": (7, 256, 160, 320, 32, 128, 128),
    "5b": (7, 384, 192, 384, 48, 128, 128),
}


def googlenet(third_kernel: int = 5) -> Network:
    """GoogLeNet, one 224x224 image.

    Args:
        third_kernel: filter size of the third branch, odd: 5 in the paper, 3 in torchvision.
    """
    layers = [
        Layer.conv("conv1", 3, 224, 224, 64, 7, stride=2, padding=3),
        Layer.conv("conv2.reduce", 64, 56, 56, 64, 1),
        Layer.conv("conv2", 64, 56, 56, 192, 3, padding=1),
    ]
    channels = 192
    for name, (size, one, reduce3, three, reduce5, five, pool) in _MODULES.items():
        layers += [
            Layer.conv(f"{name}.1x1", channels, size, size, one, 1),
            Layer.conv(f"{name}.3x3_reduce", channels, size, size, reduce3, 1),
            Layer.conv(f"{name}.3x3", reduce3, size, size, three, 3, padding=1),
            Layer.conv(f"{name}.5x5_reduce", channels, size, size, reduce5, 1),
            Layer.conv(f"{name}.5x5", reduce5, size, size, five, third_kernel, padding=third_kernel // 2),
            Layer.conv(f"{name}.pool_proj", channels, size, size, pool, 1),
        ]
        channels = one + three + five + pool
    layers.append(Layer.gemm("fc", M=1, N=1000, K=channels))
    source = f"Szegedy et al., CVPR 2015, table 1; third branch {third_kernel}x{third_kernel}; 224x224"
    return Network("googlenet", tuple(layers), source)
