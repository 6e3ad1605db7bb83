"""Search with a language model: it is shown what was found so far and proposes the next designs.

The prompt lists scored designs, best first, as in OPRO (Yang et al., "Large language models as optimizers", ICLR 2024);
as in LLAMBO (Liu et al., "Large language models to enhance Bayesian optimization", ICLR 2024) the model proposes
candidates and is told what the numbers stand for. The model is any function from messages to a reply, in an
importable file of your own, or a method of a subclass, which a study names as ``"module:Class"``::

    def complete(messages: list[dict[str, str]]) -> str:  # my_model.py; roles are system, user and assistant
        return client.chat(messages)

    PYTHONPATH=. archgym run systolic-alexnet-ed2p-100k --agent llm --set agent.complete=my_model:complete \
        --set agent.transcripts=transcripts --budget 40 --batch 8

>>> from archgym import Evaluator, Problem, ProblemSpec
>>> from archgym.agents.llm import LanguageModel
>>> class Scripted(LanguageModel):
...     def complete(self, messages):
...         return 'I would try [{"rows": 30, "cols": "32", "dataflow": "WS"}], a square.'
>>> problem = Problem(ProblemSpec("systolic", ("alexnet",), "edp"))
>>> agent = Scripted(problem.space, budget=12, batch=4)
>>> agent.run(Evaluator(problem, 12, track="scalar"))
>>> agent.calls, agent.from_model  # one design a reply; the fallback asked for the other nine
(3, 3)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from archgym import rng
from archgym.agent import Agent
from archgym.errors import LogError, UsageError
from archgym.evaluation import Evaluation
from archgym.pareto import front
from archgym.registry import AGENTS, import_target
from archgym.space import Codes, DesignSpace, Level

from .dedup import Dedup
from .llm_text import describe_goal, describe_space, read_designs, table
from .ranking import violation
from .told import Told

Message = dict[str, str]
_RETRIES = 2  # after a reply without a usable design
_WAITING = 50  # rows shown of designs asked and not told
_TRIES = 3  # of the fallback, where it asks for designs that the model has just proposed
_TASK = """You search for the best design. Propose designs that are not in the tables you are shown.
Answer with a JSON list of objects, parameter name to level. A parameter left out is taken from the best design."""


class LanguageModel(Agent):
    """Asks a language model for designs, and another agent for those that it does not give.

    A number that is no level becomes the nearest, a missing parameter is the best design's, a known or forbidden design
    is replaced by a near one. After a reply without any usable design the model is told why and asked again, twice at
    most. Where ``complete`` raises (after as long as it thinks fit) the fallback asks: a failure is an outcome as well.

    Pure apart from the folder of transcripts: one JSON file a message, its reply or failure, named by the hash of the
    messages. What is there is never asked again, so that a rerun, a resumed study and ``archgym replay --agent`` give
    the same designs without a model. One folder a model; delete a file to have it asked again.

    Attributes:
        calls: messages so far, answered by the model or by a transcript.
        from_model: designs so far that are the model's (replaced ones included).

    Raises:
        UsageError: ``complete`` or ``fallback`` names nothing usable.
        LogError: (from ``ask``) a transcript is missing though ``offline``, is damaged, or cannot be written.
    """

    @dataclass(frozen=True)
    class Config:
        """How the model is reached and what it is shown.

        Attributes:
            complete: ``"module:function"``; "" where a subclass has ``complete``, else every design is the fallback's.
            about: told to the model: what is designed and what is known of it; the agent itself does not know.
            best, worst: rows of the table, from both ends; of a Pareto front some from everywhere.
            metrics: columns beside the objective's metrics, on the grey track.
            max_calls: messages in a study, after which the fallback asks alone, warmed up; None: no end.
            fallback: registered name or ``"module:Class"``.
            transcripts: their folder; "" keeps none.
            offline: never call the model; a missing transcript is an error.
        """

        complete: str = ""
        about: str = ""
        best: int = 10
        worst: int = 5
        metrics: int = 8
        max_calls: int | None = None
        fallback: str = "genetic"
        transcripts: str = ""
        offline: bool = False

        def __post_init__(self) -> None:
            if self.best < 1 or min(self.worst, self.metrics, self.max_calls or 0) < 0:
                raise UsageError("llm: best must be at least 1; worst, metrics and max_calls at least 0")
            if self.offline and not self.transcripts:
                raise UsageError("llm: offline needs the folder of the transcripts: set transcripts")

    search_space: ClassVar[Mapping[str, tuple[Level, ...]]] = {"best": (5, 10, 20), "worst": (0, 5), "metrics": (0, 8)}
    config: Config

    def __init__(self, space: DesignSpace, config: Any = None, **study: Any) -> None:
        super().__init__(space, config, **study)
        c, fallback = self.config, AGENTS.load(self.config.fallback)
        if not isinstance(fallback, type) or not issubclass(fallback, Agent) or issubclass(fallback, LanguageModel):
            raise UsageError(f"llm: fallback: expected another agent, got '{c.fallback}'")
        if fallback.needs == "grey" and self.objective is None:
            raise UsageError(f"llm: fallback {c.fallback} needs metrics: use track grey, or another fallback")
        replayed = c.transcripts and Path(c.transcripts).is_dir()  # perhaps where no model is installed
        if c.complete and not replayed and not callable(import_target(c.complete)):
            raise UsageError(f"llm: complete: expected a function from messages to text, got '{c.complete}'")
        self.calls = self.from_model = self._n_asked = 0
        self.rng = rng.generator(self.seed, "agent", "llm")  # the fallback draws from "agent"
        self._fallback: Agent = fallback(space, **study)
        self._unseen, self._told = Dedup(space, self.rng), Told(space)
        self._pending: dict[Any, npt.NDArray[np.int64]] = {}  # asked, not told
        task = (_TASK, c.about, describe_space(space), describe_goal(self.objective))
        self._task: Message = {"role": "system", "content": "\n\n".join(part for part in task if part)}
        self._has_model = bool(c.complete or c.offline or type(self).complete is not LanguageModel.complete)

    def complete(self, messages: list[Message]) -> str:
        """The reply to messages of ``role`` and ``content``; for subclasses to override. It may raise."""
        reply: str = import_target(self.config.complete)(messages)
        return reply

    def ask(self, n: int) -> Codes:
        """``n`` new designs (k, d), the model's first; fewer only when the space runs out."""
        parts = [self._proposed(n)]
        self.from_model += len(parts[0])
        for _ in range(_TRIES):
            missing = n - sum(map(len, parts))
            if missing:
                parts.append(self._unseen.claim(self._fallback.ask(missing), missing))
        codes = np.concatenate([*parts, self._unseen.draw(n - sum(map(len, parts)), self.rng)])
        self._n_asked += len(codes)
        self._pending.update(zip(self.space.keys(codes).tolist(), codes, strict=True))
        return codes

    def tell(self, evaluation: Evaluation) -> None:
        """Remember what the model will be shown, and tell the fallback."""
        self._fallback.tell(evaluation)
        self._unseen.add(evaluation.codes)
        self._told.add(evaluation)
        for key in self.space.keys(self.space.canonical(evaluation.codes)).tolist():
            self._pending.pop(key, None)

    def _proposed(self, n: int) -> Codes:
        """At most ``n`` new designs from the model; none where it fails."""
        proposed = np.empty((0, len(self.space)), np.int64)
        limit = self.config.max_calls
        messages_left = 1 + _RETRIES if limit is None else min(1 + _RETRIES, limit - self.calls)
        if messages_left == 0 or not self._has_model:
            return proposed
        ranked = self._ranked()
        pattern = self.space.nvec // 2 if ranked is None else ranked.codes[0]
        messages = [self._task, {"role": "user", "content": self._state(n, ranked)}]
        for _ in range(messages_left):
            reply = self._reply(messages)
            if reply is None:
                break
            codes, wrong = read_designs(reply, self.space, pattern)
            proposed = self._unseen.replace(codes[:n])
            if len(proposed):
                break
            complaint = f"No usable design: {wrong}. Answer again, with the JSON list only."
            messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": complaint}]
        return proposed

    def _ranked(self) -> Evaluation | None:
        """What was told, best first: the feasible by reward, then the infeasible by what they violate."""
        rows = self._told.rows
        return None if rows is None else rows.take(np.lexsort((-rows.reward, violation(rows))))

    def _state(self, n: int, ranked: Evaluation | None) -> str:
        """The message that asks for ``n`` designs."""
        left = "" if self.budget is None else f", {max(self.budget - self._n_asked, 0)} samples left"
        # The seed stands here so that each of several studies gets replies, and transcripts, of its own.
        parts = [f"Study {self.seed}: {len(self._told)} designs known{left}."]
        if ranked is not None and len(ranked):
            rows = ranked.take(self._chosen(ranked))
            parts.append("Best and worst, best first:\n" + table(self.space, rows, self.objective, self.config.metrics))
        if self._pending:
            waiting = np.stack(list(self._pending.values())[-_WAITING:])
            parts.append("Asked, outcome not known yet:\n" + table(self.space, waiting))
        return "\n\n".join([*parts, f"Propose {n} new designs."])

    def _chosen(self, ranked: Evaluation) -> npt.NDArray[np.int64]:
        """Row numbers of the best and the worst, ascending; with several values the best are spread over the front."""
        n, c = len(ranked), self.config
        best = np.arange(min(c.best, n))
        if ranked.values.shape[1] > 1:
            first = front(np.where(ranked.feasible[:, None], ranked.values, np.nan))
            best = first[np.arange(c.best) * (len(first) - 1) // max(c.best - 1, 1)] if len(first) else best
        return np.unique(np.concatenate([best, np.arange(max(n - c.worst, 0), n)]))

    def _reply(self, messages: list[Message]) -> str | None:
        """What the transcript of these messages holds, else what the model says now; None for a failure."""
        self.calls += 1
        name = hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:32]
        path = Path(self.config.transcripts, f"{name}.json")
        if self.config.transcripts and path.exists():
            return _recall(path)
        if self.config.offline:
            raise LogError(f"llm: no transcript {path} (call {self.calls}); run once with offline=False to make it")
        reply, failure = self._answer(messages)
        if self.config.transcripts:
            _keep(path, {"messages": messages, "reply": reply, "failure": failure})
        return reply

    def _answer(self, messages: list[Message]) -> tuple[str | None, str]:
        """The model's reply, or None and why there is none."""
        try:
            reply: Any = self.complete([dict(message) for message in messages])
        except (UsageError, ImportError):
            raise  # not a failure of the model: it was never reached
        except Exception as error:
            return None, f"{type(error).__name__}: {error}"
        return (reply, "") if isinstance(reply, str) else (None, f"expected text, got {type(reply).__name__}")


def _recall(path: Path) -> str | None:
    try:
        reply = json.loads(path.read_text(encoding="utf-8"))["reply"]
        if isinstance(reply, str | None):
            return reply
        raise TypeError("the reply is no text")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LogError(f"llm: transcript {path} is damaged ({type(error).__name__}: {error}); delete it") from None


def _keep(path: Path, record: Mapping[str, Any]) -> None:
    partial = path.with_suffix(f".{os.getpid()}")  # put in place as a whole: no killed study leaves half a transcript
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise LogError(f"llm: transcript {path} cannot be written: {error}") from None
