"""A multilayer perceptron as a proxy: accurate with many designs (extra ``rl``: torch, to learn; not to predict)."""

from __future__ import annotations

from typing import Any

import numpy as np

from archgym.errors import MissingExtraError
from archgym.kernel import kernel

from .inputs import Floats, Inputs
from .regressor import Regressor

_WIDTH = 256
_MEMBERS = 2  # networks whose mean is taken
_STEPS = 4000
_BATCH = 256
_RATE = 5e-3


class Mlp(Regressor):
    """Two hidden layers of SiLU units on level indicators and places; AdamW with a one-cycle rate (L. N. Smith, 2018).

    The members of the ensemble learn side by side, as one network with a dimension more.
    """

    def _fit(self, x: Inputs, y: Floats) -> None:
        torch = _torch()
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # sums that are split between threads differ in the last bit
        try:
            draw = torch.Generator().manual_seed(self.seed)
            self._centre, self._scale = float(y.mean()), float(y.std()) or 1.0
            inputs = torch.tensor(self.encoding.dense(x), dtype=torch.float32)
            targets = torch.tensor((y - self._centre) / self._scale, dtype=torch.float32)
            layers = _layers(inputs.shape[1], draw)
            optimiser = torch.optim.AdamW(layers, lr=_RATE, weight_decay=1e-3)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_STEPS)
            for _ in range(_STEPS):
                rows = torch.randint(len(x), (_MEMBERS, min(_BATCH, len(x))), generator=draw)
                loss = ((_forward(layers, inputs[rows]) - targets[rows]) ** 2).mean(dim=1).sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
            self._layers = [layer.detach().numpy() for layer in layers]
        finally:
            torch.set_num_threads(before)

    def _predict(self, x: Inputs) -> Floats:
        inputs = self.encoding.dense(x).astype(np.float32)
        return np.asarray(self._centre + self._scale * _outputs(inputs, *self._layers))


@kernel
def _outputs(inputs: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any) -> Any:
    """Mean output (n,) of the members for inputs (n, columns); layers as `_layers` makes them.

    Row by row, and through the inputs that are not 0: most of them indicate levels.
    """
    members, width = w1.shape[0], w1.shape[2]
    out = np.zeros(len(inputs))
    first, second = np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(len(inputs)):
        for m in range(members):
            first[:] = b1[m, 0]
            for k in range(inputs.shape[1]):
                a = inputs[i, k]
                if a != 0.0:
                    weights = w1[m, k]
                    for j in range(width):
                        first[j] += a * weights[j]
            second[:] = b2[m, 0]
            for k in range(width):
                a = first[k] / (np.float32(1.0) + np.exp(-first[k]))
                weights = w2[m, k]
                for j in range(width):
                    second[j] += a * weights[j]
            total = b3[m, 0, 0]
            for j in range(width):
                total += second[j] / (np.float32(1.0) + np.exp(-second[j])) * w3[m, j, 0]
            out[i] += total
        out[i] /= members
    return out


def _layers(width: int, draw: Any) -> list[Any]:
    """Weights and biases of all members, with their gradients."""
    torch = _torch()
    layers = []
    for inside, outside in ((width, _WIDTH), (_WIDTH, _WIDTH), (_WIDTH, 1)):
        bound = inside**-0.5
        for shape in ((_MEMBERS, inside, outside), (_MEMBERS, 1, outside)):
            values = (2.0 * torch.rand(shape, generator=draw) - 1.0) * bound
            layers.append(values.requires_grad_())
    return layers


def _forward(layers: list[Any], inputs: Any) -> Any:
    """Outputs (members, n) for inputs (members, n, columns)."""
    silu = _torch().nn.functional.silu
    hidden = silu(inputs @ layers[0] + layers[1])
    hidden = silu(hidden @ layers[2] + layers[3])
    return (hidden @ layers[4] + layers[5])[..., 0]


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "rl") from None
    return torch
