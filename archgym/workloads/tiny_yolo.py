"""Tiny YOLO v2 for Pascal VOC (20 classes, 416x416).

Redmon, Farhadi, "YOLO9000: Better, Faster, Stronger", CVPR 2017; the shapes are those of Darknet's
``tiny-yolo-voc.cfg``. A 2x2 pooling follows each of the first six convolutions, the last one with
stride 1, so that the grid stays 13x13; 125 = 5 anchors x (20 classes + 5).

Published: 6.97 G operations, two to a MAC (YOLO web page); 15,867,885 parameters with four batch norm
numbers a channel and the bias of the last layer (Keras port; the size of Darknet's weight file).
"""

from __future__ import annotations

from archgym.workload import Layer, Network


def tiny_yolo() -> Network:
    """Tiny YOLO v2 (VOC), one 416x416 image."""
    layers = []
    channels = 3
    shapes = ((416, 16), (208, 32), (104, 64), (52, 128), (26, 256), (13, 512), (13, 1024), (13, 1024))
    for index, (size, filters) in enumerate(shapes, 1):
        layers.append(Layer.conv(f"conv{index}", channels, size, size, filters, 3, padding=1))
        channels = filters
    layers.append(Layer.conv("conv9", channels, 13, 13, 125, 1))
    return Network("tiny_yolo", tuple(layers), "Redmon, Farhadi, CVPR 2017; Darknet tiny-yolo-voc.cfg; 416x416")
