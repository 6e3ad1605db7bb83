"""Neural networks as workloads: `Layer` and `Network`, a list of convolutions and matrix products.

Importing this module needs the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from archgym.errors import UnknownNameError, UsageError

_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution or matrix product, in the field's own letters.

    A convolution slides ``G * K`` filters of ``C x R x S`` words over ``G * C`` input
    channels of ``H x W``. A fully connected layer or GEMM is the case ``W = R = S = 1``
    (see `Layer.gemm`).

    Args:
        name: for people; need not be unique.
        N: batch.
        G: groups; depthwise is ``C = 1`` with G = channels, attention is one group a head.
        K: output channels per group.
        C: input channels per group.
        H, W: input height and width, without padding.
        R, S: filter height and width.
        stride: vertical, horizontal.
        padding: rows above and below, columns left and right (symmetric per axis).
        dilation: vertical, horizontal distance between filter taps.
        bits: word width of all three operands; None = the simulator's Config decides.
        repeats: how often the layer runs, each time with operands of its own
            (the identical blocks of a transformer). Every other number is of one run.
        dynamic: the second operand is computed at run time (K and V of attention), so it
            is no parameter and every sample of a batch has its own.

    Raises:
        UsageError: a value is out of range, or the filter is larger than the padded
            input; the message names layer and field.
    """

    name: str
    N: int = 1
    G: int = 1
    K: int = 1
    C: int = 1
    H: int = 1
    W: int = 1
    R: int = 1
    S: int = 1
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    bits: int | None = None
    repeats: int = 1
    dynamic: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"layer name: expected a non-empty string, got {self.name!r}")
        # Integers are stored as plain int (numpy's do not serialise), pairs as tuples (JSON has lists).
        for field in ("N", "G", "K", "C", "H", "W", "R", "S", "repeats"):
            object.__setattr__(self, field, self._integer(field, getattr(self, field), 1))
        for field, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
            object.__setattr__(self, field, self._pair(field, getattr(self, field), least))
        if self.bits is not None:
            object.__setattr__(self, "bits", self._integer("bits", self.bits, 1))
        if not isinstance(self.dynamic, bool):
            raise UsageError(f"layer '{self.name}': dynamic: expected true or false, got {self.dynamic!r}")
        for axis, size, out in (("R", "H", self.P), ("S", "W", self.Q)):
            if out < 1:
                raise UsageError(
                    f"layer '{self.name}': {axis}: expected a filter that fits the padded input {size}, got "
                    f"{axis}={getattr(self, axis)} with dilation {self.dilation}, "
                    f"{size}={getattr(self, size)} and padding {self.padding}"
                )
        if max(self.macs, self.ifmap_words) * self.repeats > _INT64_MAX:  # weights, ofmap_words <= macs
            raise UsageError(f"layer '{self.name}': expected MACs and words (times repeats) below 2**63")

    def _integer(self, field: str, value: Any, least: int) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            number = least - 1
        if number < least or isinstance(value, bool):
            raise UsageError(f"layer '{self.name}': {field}: expected an integer >= {least}, got {value!r}")
        return number

    def _pair(self, field: str, value: Any, least: int) -> tuple[int, int]:
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise UsageError(
                f"layer '{self.name}': {field}: expected (vertical, horizontal), two integers, got {value!r}"
            )
        return self._integer(field, value[0], least), self._integer(field, value[1], least)

    @classmethod
    def gemm(
        cls,
        name: str,
        M: int,
        N: int,
        K: int,
        *,
        groups: int = 1,
        bits: int | None = None,
        repeats: int = 1,
        dynamic: bool = False,
    ) -> Self:
        """Matrix product ``(M x K) . (K x N)``, ``groups`` independent ones of that shape.

        M becomes the height of the input, K its channels, N the output channels; batch is 1.
        """
        return cls(name, G=groups, K=N, C=K, H=M, bits=bits, repeats=repeats, dynamic=dynamic)

    @classmethod
    def conv(
        cls,
        name: str,
        C: int,
        H: int,
        W: int,
        K: int,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        groups: int = 1,
        *,
        dilation: int | tuple[int, int] = 1,
        N: int = 1,
        bits: int | None = None,
        repeats: int = 1,
    ) -> Self:
        """Convolution with C input and K output channels *in total*, as frameworks count them.

        A single number for kernel, stride, padding or dilation counts for both axes.

        Raises:
            UsageError: also when ``groups`` does not divide C and K.
        """
        for field, channels in (("C", C), ("K", K)):
            if groups < 1 or channels % groups:
                raise UsageError(f"layer '{name}': groups: expected a divisor of {field}={channels}, got {groups}")
        R, S = _both_axes(kernel)
        return cls(
            name, N, groups, K // groups, C // groups, H, W, R, S,
            _both_axes(stride), _both_axes(padding), _both_axes(dilation), bits, repeats,
        )  # fmt: skip

    @property
    def P(self) -> int:
        """Output height: window positions that lie wholly inside the padded input (floor)."""
        return (self.H + 2 * self.padding[0] - self.dilation[0] * (self.R - 1) - 1) // self.stride[0] + 1

    @property
    def Q(self) -> int:
        """Output width, counted like `P`."""
        return (self.W + 2 * self.padding[1] - self.dilation[1] * (self.S - 1) - 1) // self.stride[1] + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run, those with padding zeros included."""
        return self.N * self.G * self.K * self.C * self.P * self.Q * self.R * self.S

    @property
    def weights(self) -> int:
        """Words of the second operand of one run (filters; for a dynamic layer an activation)."""
        return self.G * self.K * self.C * self.R * self.S

    @property
    def ifmap_words(self) -> int:
        """Words of the first operand of one run, without padding."""
        return self.N * self.G * self.C * self.H * self.W

    @property
    def ofmap_words(self) -> int:
        """Words of the result of one run."""
        return self.N * self.G * self.K * self.P * self.Q

    @property
    def mnk(self) -> tuple[int, int, int]:
        """(M, N, K) of the matrix product one group amounts to: (N*P*Q, K, C*R*S)."""
        return self.N * self.P * self.Q, self.K, self.C * self.R * self.S

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the name and the fields that differ from their defaults."""
        # Leaving defaults out keeps fingerprints unchanged when a field is added later.
        values = {"name": self.name} | {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.default is not MISSING and getattr(self, field.name) != field.default
        }
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; missing fields take their defaults.

        Raises:
            UsageError: not a mapping, no name, a value out of range (UnknownNameError: an unknown field).
        """
        if not isinstance(data, Mapping):
            raise UsageError(f"expected a layer as an object of fields, got {data!r}")
        known = [field.name for field in fields(cls)]
        for key in data:
            if key not in known:
                raise UnknownNameError("layer field", key, known)
        if "name" not in data:
            raise UsageError(f"expected a layer with a name, got the fields {', '.join(data) or 'none'}")
        return cls(**data)


def _both_axes(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


@dataclass(frozen=True)
class Network:
    """Layers in execution order: what matters of a neural network to an accelerator.

    Element-wise operations, pooling, normalisation, embeddings and biases are left out.

    Args:
        name: shown to people.
        layers: at least one.
        source: where the shapes come from, in words.

    Raises:
        UsageError: no layers, something that is no `Layer`, or totals beyond 2**63.
    """

    name: str
    layers: tuple[Layer, ...]
    source: str = ""

    kind: ClassVar[str] = "network"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"network name: expected a non-empty string, got {self.name!r}")
        if not isinstance(self.source, str):
            raise UsageError(f"network '{self.name}': source: expected a string, got {self.source!r}")
        if not self.layers:
            raise UsageError(f"network '{self.name}': expected at least one layer, got none")
        for layer in self.layers:
            if not isinstance(layer, Layer):
                raise UsageError(f"network '{self.name}': expected layers, got {layer!r}")
        if max(self.macs, self.activation_words) > _INT64_MAX:
            raise UsageError(f"network '{self.name}': expected MACs and words below 2**63")

    def _total(self, count: Callable[[Layer], int]) -> int:
        return sum(layer.repeats * count(layer) for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates, repeats included."""
        return self._total(lambda layer: layer.macs)

    @property
    def weights(self) -> int:
        """Words of all second operands, repeats and dynamic ones included."""
        return self._total(lambda layer: layer.weights)

    @property
    def parameters(self) -> int:
        """Words of the learned second operands (`weights` less the dynamic layers), repeats included."""
        return self._total(lambda layer: 0 if layer.dynamic else layer.weights)

    @property
    def activation_words(self) -> int:
        """Words of all inputs and outputs, layer by layer, repeats included."""
        return self._total(lambda layer: layer.ifmap_words + layer.ofmap_words)

    @property
    def executions(self) -> int:
        """Number of layer runs: the sum of repeats."""
        return self._total(lambda layer: 1)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the layers in order, without any name or source."""
        content = [{key: value for key, value in layer.to_dict().items() if key != "name"} for layer in self.layers]
        text = json.dumps({"kind": self.kind, "layers": content}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def features(self) -> dict[str, float]:
        """Ten finite numbers in a fixed order.

        Decimal logarithms of MACs, weights, activation words, layer runs and MACs per word
        touched (weights and activations once a run); the shares of MACs in layers with G > 1
        (depthwise, grouped, attention heads) and in layers with R = S = 1 (GEMM); the means over
        layer runs of the logarithms of M, N, K of the matrix product per group.
        """
        macs, runs = self.macs, self.executions
        means = [0.0, 0.0, 0.0]
        for layer in self.layers:
            for axis, size in enumerate(layer.mnk):
                means[axis] += math.log10(size) * layer.repeats / runs
        return {
            "log10_macs": math.log10(macs),
            "log10_weights": math.log10(self.weights),
            "log10_activation_words": math.log10(self.activation_words),
            "log10_executions": math.log10(runs),
            "log10_macs_per_word": math.log10(macs / (self.weights + self.activation_words)),
            "grouped_share": self._total(lambda layer: layer.macs if layer.G > 1 else 0) / macs,
            "pointwise_share": self._total(lambda layer: layer.macs if layer.R * layer.S == 1 else 0) / macs,
            "mean_log10_m": means[0],
            "mean_log10_n": means[1],
            "mean_log10_k": means[2],
        }

    def with_batch(self, n: int) -> Network:
        """The same network for n times the batch, named ``<name>-b<n>`` (n = 1 changes nothing).

        N is multiplied, so that the batch shares the weights; dynamic layers get n times the
        groups, because every sample brings its own second operand.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise UsageError(f"batch: expected an integer >= 1, got {n!r}")
        if n == 1:
            return self
        layers = (
            replace(layer, G=layer.G * n) if layer.dynamic else replace(layer, N=layer.N * n) for layer in self.layers
        )
        return Network(f"{self.name}-b{n}", tuple(layers), self.source)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: kind, name, source, layers."""
        return {
            "kind": self.kind,
            "name": self.name,
            "source": self.source,
            "layers": [layer.to_dict() for layer in self.layers],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Network:
        """Inverse of `to_dict`; ``source`` may be missing.

        Raises:
            UsageError: something is missing, unknown or out of range; the message names the layer.
        """
        known = ("kind", "name", "source", "layers")
        for key in data:
            if key not in known:
                raise UnknownNameError("network field", key, known)
        if data.get("kind") != cls.kind:
            raise UsageError(f"kind: expected 'network', got {data.get('kind')!r}")
        rows = data.get("layers")
        if not isinstance(rows, list | tuple):
            raise UsageError(f"layers: expected a list of layers, got {rows!r}")
        layers = []
        for index, row in enumerate(rows):
            try:
                layers.append(Layer.from_dict(row))
            except UsageError as error:
                raise UsageError(f"layers[{index}]: {error}") from None
        return cls(data.get("name", ""), tuple(layers), data.get("source", ""))
