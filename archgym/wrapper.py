"""Agents around agents: what would do every one of some kind good stands outside, once.

``dedup(random)`` is an agent like any other, named wherever one is named. To add a wrapper: subclass ``Wrapper``,
override ``ask``, ``tell`` or both, and register it in `archgym.registry.WRAPPERS` or through the entry point group
``archgym.wrappers``. It may stand around every agent, wrapped ones too.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, ClassVar, cast

from archgym.agent import Agent, NoHyperparameters
from archgym.errors import UsageError
from archgym.evaluation import Evaluation
from archgym.space import Codes, DesignSpace


class Wrapper(Agent):
    """Base of all wrappers; by itself it passes everything on.

    The inner agent is made for the same study, with the same seed and thus the same random stream, so that a wrapper
    that never steps in changes nothing. Hyperparameters are those of the inner agent; the wrapper's own are called
    ``key.NAME``. The inner agent asks and tells: a loop of its own (``run``) would pass the wrapper by.

    Class attributes:
        key: in front of the wrapper's own hyperparameters; an identifier.
        Own: frozen dataclass of these, with defaults.
        inner_class: what is wrapped, set by ``around``.
    """

    key: ClassVar[str] = ""
    Own: ClassVar[type[Any]] = NoHyperparameters
    inner_class: ClassVar[type[Agent]]

    @classmethod
    def around(cls, inner: type[Agent]) -> type[Wrapper]:
        """This wrapper around a class of agents; it needs what that needs, and is anytime if that is.

        Raises:
            UsageError: not a class of agents, one that drives the evaluator itself, or one of whose hyperparameters
                is called like the wrapper.
        """
        if not (isinstance(inner, type) and issubclass(inner, Agent)):
            raise UsageError(f"{cls.key}: expected an Agent class to wrap, got {inner!r}")
        if inner.run is not Agent.run:
            raise UsageError(f"{cls.key}: {inner.__name__} runs a loop of its own, which cannot be wrapped")
        return _around(cls, inner)

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        self.inner = self.inner_class(space, self.config, **self.inner_study(study))

    @property
    def own(self) -> Any:
        """The wrapper's own hyperparameters, an instance of ``Own``."""
        return getattr(self.config, self.key)

    def inner_study(self, study: dict[str, Any]) -> dict[str, Any]:
        """What the inner agent is made with: the keyword arguments of Agent, here unchanged."""
        return study

    def ask(self, n: int) -> Codes:
        """What the inner agent proposes."""
        return self.inner.ask(n)

    def tell(self, evaluation: Evaluation) -> None:
        """Tell the inner agent."""
        self.inner.tell(evaluation)


@functools.cache  # one class for a name, whoever loads it
def _around(wrapper: type[Wrapper], inner: type[Agent]) -> type[Wrapper]:
    attributes = {
        "__doc__": wrapper.__doc__,
        "__module__": wrapper.__module__,
        "inner_class": inner,
        "Config": _joined(inner.Config, wrapper.key, wrapper.Own),
        "search_space": inner.search_space,
        "needs": inner.needs,
        "anytime": inner.anytime,
        "uses_prior": inner.uses_prior,
    }
    return cast(type[Wrapper], type(f"{wrapper.__name__}({inner.__name__})", (wrapper,), attributes))


def _joined(inner: type[Any], key: str, own: type[Any]) -> type[Any]:
    """The inner agent's Config, and in its field ``key`` the wrapper's; so it is one of the inner agent's, too."""
    if not dataclasses.fields(own):
        return inner
    taken = {field.name: field.type for field in dataclasses.fields(inner)}
    if taken.get(key) is own:  # the same wrapper twice: they share its hyperparameters
        return inner
    if key in taken:
        raise UsageError(f"{key}: the agent inside has a hyperparameter '{key}' of its own")
    field = (key, own, dataclasses.field(default=own()))
    return dataclasses.make_dataclass("Config", [field], bases=(inner,), frozen=True)
