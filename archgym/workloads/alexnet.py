"""AlexNet, the original network in two towers.

Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural
Networks", NIPS 2012, figure 2 and section 3.5: conv2, conv4 and conv5 see only the half of
the channels that lies on their own GPU, which is ``groups=2``. The input is 227x227, the size
that gives the 55x55 outputs of the paper (its text says 224x224).

Published: 724 M MACs and 61 M weights (Sze et al., "Efficient Processing of Deep Neural
Networks", 2017, table II: convolutions 666 M and 2.3 M, fully connected 58.6 M and 58.6 M);
60,965,224 parameters with biases (the Caffe model). torchvision's ``alexnet`` is another
network, of "One weird trick" (2014): no groups, fewer filters.
"""

from __future__ import annotations

from archgym.workload import Layer, Network


def alexnet() -> Network:
    """AlexNet with grouped convolutions, one 227x227 image."""
    layers = (
        Layer.conv("conv1", 3, 227, 227, 96, 11, stride=4),
        Layer.conv("conv2", 96, 27, 27, 256, 5, padding=2, groups=2),
        Layer.conv("conv3", 256, 13, 13, 384, 3, padding=1),
        Layer.conv("conv4", 384, 13, 13, 384, 3, padding=1, groups=2),
        Layer.conv("conv5", 384, 13, 13, 256, 3, padding=1, groups=2),
        Layer.gemm("fc6", M=1, N=4096, K=256 * 6 * 6),
        Layer.gemm("fc7", M=1, N=4096, K=4096),
        Layer.gemm("fc8", M=1, N=1000, K=4096),
    )
    return Network("alexnet", layers, "Krizhevsky et al., NIPS 2012; 227x227, groups of 2")
