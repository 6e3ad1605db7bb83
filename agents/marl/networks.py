"""Small networks of a team, one per agent, and how wide a single one has to be for as many weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..libraries import library

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Ints = npt.NDArray[np.int64]


class Networks:
    """One small network per agent, all of one shape and evaluated at once: two hidden layers of tanh, and heads.

    No agent's outputs, and so no agent's gradients, know another agent's weights. Weights are orthogonal, those of the
    heads small, so that a policy starts nearly even.

    Args:
        inputs: numbers k that every network sees.
        hidden: units per layer.
        owner: (o,) which agent each output belongs to, from 0.
        scale: of the heads' weights.
        draws: torch's generator.

    Attributes:
        tensors: of all agents: (agents, k, hidden), (agents, 1, hidden), (agents, hidden, hidden), (agents, 1, hidden),
            and of all outputs (o, hidden), (o,).
    """

    def __init__(self, inputs: int, hidden: int, owner: Ints, scale: float, draws: torch.Generator) -> None:
        self._torch = torch = library("torch", "marl")
        self._owner = torch.as_tensor(owner)
        agents = int(owner.max()) + 1
        shapes = (agents, inputs, hidden), (agents, 1, hidden), (agents, hidden, hidden), (agents, 1, hidden)
        self.tensors: list[Tensor] = [
            torch.zeros(shape, dtype=torch.float32) for shape in (*shapes, (len(owner), hidden), (len(owner),))
        ]
        for agent in range(agents):
            for layer in (0, 2):
                torch.nn.init.orthogonal_(self.tensors[layer][agent], math.sqrt(2.0), generator=draws)
            heads = torch.empty((int((owner == agent).sum()), hidden), dtype=torch.float32)
            self.tensors[4][self._owner == agent] = torch.nn.init.orthogonal_(heads, scale, generator=draws)
        for tensor in self.tensors:
            tensor.requires_grad_()

    def __call__(self, seen: Tensor) -> Tensor:
        """Outputs (n, o) for inputs (n, k)."""
        first, first_bias, second, second_bias, heads, heads_bias = self.tensors
        x = (seen @ first + first_bias).tanh()  # (agents, n, hidden)
        x = (x @ second + second_bias).tanh()
        out: Tensor = (x[self._owner] * heads[:, None]).sum(dim=2).T + heads_bias
        return out

    def load(self, tensors: Sequence[Tensor]) -> None:
        """Take over the weights."""
        with self._torch.no_grad():
            for own, other in zip(self.tensors, tensors, strict=True):
                own.copy_(other)


class Adam:
    """Gradient descent with a step per weight (Kingma and Ba, ICLR 2015, algorithm 1).

    Every weight is treated by itself, so one object serves many agents. torch.optim does the same, but imports torch's
    compiler, which takes longer than many a search.

    Attributes:
        means, squares: running means of each gradient and of its square.
        steps: taken so far.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._torch = library("torch", "marl")
        self._tensors = list(tensors)
        self.means = [self._torch.zeros_like(tensor) for tensor in tensors]
        self.squares = [self._torch.zeros_like(tensor) for tensor in tensors]
        self.steps = 0

    def descend(self, loss: Tensor, rate: float) -> None:
        """One step of that learning rate down the gradient of ``loss``."""
        gradients = self._torch.autograd.grad(loss, self._tensors)
        self.steps += 1
        unbias = 1.0 - 0.9**self.steps, 1.0 - 0.999**self.steps
        with self._torch.no_grad():
            for tensor, g, mean, square in zip(self._tensors, gradients, self.means, self.squares, strict=True):
                mean.lerp_(g, 0.1)
                square.mul_(0.999).addcmul_(g, g, value=0.001)
                tensor.addcdiv_(mean, (square / unbias[1]).sqrt_().add_(1e-5), value=-rate / unbias[0])


def joint_width(observation_size: int, groups_nvec: Sequence[Sequence[int]], hidden: int) -> int:
    """Units per hidden layer with which one actor and one critic have as many weights as those of a team.

    Returns:
        The width whose number of weights is nearest to that of one actor and critic of width ``hidden`` per agent.
    """

    def weights(outputs: int, width: int) -> int:
        """Of an actor and its critic."""
        return 2 * (observation_size + width + 2) * width + (outputs + 1) * (width + 1)

    heads = [sum(group) for group in groups_nvec]
    wanted = sum(weights(head, hidden) for head in heads)
    width = 1
    while weights(sum(heads), width + 1) <= wanted:
        width += 1
    return min((width, width + 1), key=lambda w: abs(weights(sum(heads), w) - wanted))
