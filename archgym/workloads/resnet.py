"""ResNet-18 and ResNet-50.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1, with
1x1 projection shortcuts where the shape changes (option B). Names follow torchvision; a shortcut
comes after the convolutions of its block.

``resnet50`` is v1.5, the version of torchvision and MLPerf: in the first block of stages 2 to 4
the stride of 2 is in the 3x3 convolution. The paper (v1) has it in the 1x1 before:
``resnet50(stride_in_1x1=True)``.

Published: ResNet-18 1.814 G MACs, 11,689,512 parameters; ResNet-50 v1.5 4.089 G MACs, 25,557,032
parameters (torchvision ``_ops``, ``num_params``; parameters with batch norm and the bias of fc).
ResNet-50 v1: 3.8 G "FLOPs" (the paper, table 1), 3.86 G MACs (Caffe model).
"""

from __future__ import annotations

from archgym.workload import Layer, Network


def resnet18() -> Network:
    """ResNet-18 (basic blocks of two 3x3 convolutions), one 224x224 image."""
    layers, channels, size = [_stem()], 64, 56
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            out = size // stride
            layers += [
                Layer.conv(f"{name}.conv1", channels, size, size, width, 3, stride, padding=1),
                Layer.conv(f"{name}.conv2", width, out, out, width, 3, padding=1),
            ]
            if stride != 1:
                layers.append(Layer.conv(f"{name}.downsample", channels, size, size, width, 1, stride))
            channels, size = width, out
    layers.append(Layer.gemm("fc", M=1, N=1000, K=channels))
    return Network("resnet18", tuple(layers), "He et al., CVPR 2016, table 1; 224x224")


def resnet50(stride_in_1x1: bool = False) -> Network:
    """ResNet-50 (bottleneck blocks 1x1, 3x3, 1x1), one 224x224 image.

    Args:
        stride_in_1x1: False is v1.5, True is v1 as in the paper (see above).
    """
    layers, channels, size = [_stem()], 64, 56
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            first, second = (stride, 1) if stride_in_1x1 else (1, stride)
            inner, out = size // first, size // stride
            layers += [
                Layer.conv(f"{name}.conv1", channels, size, size, width, 1, first),
                Layer.conv(f"{name}.conv2", width, inner, inner, width, 3, second, padding=1),
                Layer.conv(f"{name}.conv3", width, out, out, 4 * width, 1),
            ]
            if block == 0:
                layers.append(Layer.conv(f"{name}.downsample", channels, size, size, 4 * width, 1, stride))
            channels, size = 4 * width, out
    layers.append(Layer.gemm("fc", M=1, N=1000, K=channels))
    version = "v1, stride in the 1x1" if stride_in_1x1 else "v1.5, stride in the 3x3"
    return Network("resnet50", tuple(layers), f"He et al., CVPR 2016, table 1; {version}; 224x224")


def _stem() -> Layer:
    return Layer.conv("conv1", 3, 224, 224, 64, 7, stride=2, padding=3)
