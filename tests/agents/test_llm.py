"""The language-model agent, with scripted replies in place of a model: nothing here leaves the machine."""

import doctest
import hashlib
import json
import re

import numpy as np
import pytest
import toys

from archgym.agents import llm
from archgym.agents.genetic import Genetic
from archgym.agents.llm import LanguageModel
from archgym.errors import UsageError
from archgym.study import run
from archgym.testing import check_agent


class Scripted(LanguageModel):
    """Answers with ``replies`` in turn (an exception is raised), then with nothing usable; keeps what it was sent."""

    def __init__(self, space, config=None, *, replies=(), **study):
        super().__init__(space, config, **study)
        self.replies, self.received = list(replies), []

    def complete(self, messages):
        self.received.append(messages)
        reply = self.replies.pop(0) if self.replies else "I have no idea."
        if isinstance(reply, BaseException):
            raise reply
        return reply


def scripted(*replies, problem=None, **config):
    problem = problem or toys.problem()
    names = {"budget": 40, "batch": 4, "objective": problem.objective, "n_constraints": len(problem.constraint_names)}
    return Scripted(problem.space, Scripted.Config(**config), replies=replies, **names)


def designs(space, codes):
    return [tuple(space.design(row).values()) for row in codes]


def heuristic(messages):
    """What a sensible model would do: move one parameter of the best designs in the table by one level."""
    levels = {}
    for name, values in re.findall(r"^- (\w+): (.*?) \(\d+ (?:un)?ordered levels", messages[0]["content"], re.M):
        levels[name] = values.split(", ")
    question = messages[1]["content"]
    wanted = int(re.search(r"Propose (\d+) new", question)[1])
    draw = np.random.default_rng(int(hashlib.sha256(question.encode()).hexdigest()[:8], 16))
    shown = re.search(r"best first:\n(.*)\n(.*)", question)
    names, cells = (line.split(" | ") for line in shown.groups()) if shown else (list(levels), [])
    best = dict(zip(names, cells, strict=False)) if shown else {name: v[len(v) // 2] for name, v in levels.items()}
    out = []
    for _ in range(wanted):
        name = list(levels)[draw.integers(len(levels))]
        at = levels[name].index(best[name]) + (1 if draw.random() < 0.5 else -1)
        out.append({**{key: best[key] for key in levels}, name: levels[name][at % len(levels[name])]})
    return f"Here are {wanted} neighbours of the best design.\n```json\n{json.dumps(out)}\n```"


def hangs(messages):
    raise TimeoutError("no answer within 60 s")


HEURISTIC, HANGS = f"{__name__}:heuristic", f"{__name__}:hangs"
not_callable = "a text"


# ---- the contract ---------------------------------------------------------------------------


@pytest.mark.parametrize("config", [{"complete": HEURISTIC}, {"complete": HANGS, "fallback": "random"}])
def test_it_keeps_the_contract_of_agents(config):
    check_agent("llm", **config)


def test_the_example_of_the_module_runs():
    results = doctest.testmod(llm)
    assert (results.failed, results.attempted) == (0, 7)


def test_the_defaults_are_among_the_values_to_sweep():
    defaults = LanguageModel.Config()
    assert all(getattr(defaults, name) in values for name, values in LanguageModel.search_space.items())


def test_what_the_model_is_shown_suffices_to_improve_on_it():
    # The heuristic knows nothing but the messages. 60 samples of a smooth valley of 1.7 million designs: following the
    # best row it must beat uniform search (whose best of 60 has a latency near 30) for each of four seeds.
    spec = toys.spec("toys:Hills", objective="latency")
    for seed in range(4):
        followed = run(spec, "llm", budget=60, batch=5, seed=seed, config={"complete": HEURISTIC})
        uniform = run(spec, "random", budget=60, batch=5, seed=seed)
        assert followed.best["metrics"]["latency"] < uniform.best["metrics"]["latency"]


# ---- replies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        '[{"a": 4, "b": 5, "mode": "z", "c": 0}, {"a": 2, "b": 1, "mode": "y", "c": 2}]',
        'As [1] says:\n```json\n[{"a": 4, "b": 5, "mode": "z", "c": 0}, {"a": 2, "b": 1, "mode": "y", "c": 2}]\n```',
        'Not [{"a": 1}]: {"designs": [{"a": 4, "b": 5, "mode": "z"}, {"a": 2, "b": 1, "mode": "y", "c": 2}]} it is',
        '[{"a": 4, "b": 5, "mode": "z", "c": 0}, {"a": 2, "b": 1, "mode": "y", "c": 2}, {"a": 8, "b"',  # cut off
        '{"a": 4, "b": 5, "mode": "z", "c": 0}\n{"a": 2, "b": 1, "mode": "y", "c": 2}',  # JSON lines
        '[{" A ": "4", "B": 4.9, "MODE": "Z", "why": "wide"}, {"a": "2 lanes", "b": -3, "mode": " y", "c": 1e9}]',
        '[{"a": 3.5, "b": 1e999, "mode": "z"}, {"a": 2.9, "b": "0", "mode": "Y", "c": 17}]',  # out of range
    ],
    ids=["plain", "fenced", "nested", "cut off", "lines", "loose", "out of range"],
)
def test_designs_are_found_and_repaired(reply):
    # Without anything told, c of the first design is free to be anything: mode z does not know it.
    problem = toys.problem()
    agent = scripted(reply.replace("1e999", "1" + "0" * 400), problem=problem)
    assert designs(problem.space, agent.ask(2)) == [(4, 5, "z", 0), (2, 1, "y", 2)]
    assert (agent.calls, agent.from_model) == (1, 2)


def test_missing_parameters_are_those_of_the_best_design():
    problem = toys.problem()
    known = [{"a": 4, "b": 4, "mode": "y", "c": 2}, {"a": 1, "b": 1, "mode": "x", "c": 0}]  # the first is better
    agent = scripted('[{"b": 2}]', problem=problem)
    agent.tell(problem.evaluate(problem.space.encode(known)))
    assert designs(problem.space, agent.ask(1)) == [(4, 2, "y", 2)]


def test_without_a_best_design_they_are_the_middle_ones():
    assert designs(toys.SPACE, scripted('[{"a": 8, "mode": null}]').ask(1)) == [(8, 3, "y", 1)]


def test_a_malformed_reply_is_answered_with_what_is_wrong():
    agent = scripted("Bigger is better.", '[{"mode": "w"}]', '[{"a": 2, "b": 2, "mode": "x"}]')
    codes = agent.ask(1)
    assert designs(toys.SPACE, codes) == [(2, 2, "x", 0)]
    roles = [message["role"] for message in agent.received[2]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "no JSON list" in agent.received[2][3]["content"]
    assert agent.received[2][4]["content"] == '[{"mode": "w"}]'
    assert "no level 'w'" in agent.received[2][5]["content"]


def test_after_two_more_attempts_the_fallback_asks():
    agent = scripted("no", "no", "no", "no")
    codes = agent.ask(4)
    assert np.array_equal(codes, Genetic(toys.SPACE, budget=40, batch=4).ask(4))
    assert (agent.calls, agent.from_model) == (3, 0)


def test_the_fallback_asks_for_what_is_missing():
    agent = scripted('[{"a": 2, "b": 2, "mode": "x"}]')
    codes = agent.ask(4)
    assert designs(toys.SPACE, codes)[0] == (2, 2, "x", 0)
    assert len(np.unique(codes, axis=0)) == 4
    assert (agent.calls, agent.from_model) == (1, 1)


def test_more_designs_than_wanted_are_cut():
    reply = json.dumps([{"a": a, "b": b, "mode": "x"} for a in (2, 4) for b in (1, 2, 3)])
    assert designs(toys.SPACE, scripted(reply).ask(2)) == [(2, 1, "x", 0), (2, 2, "x", 0)]


def test_duplicates_become_near_designs():
    # The same design three times, once through its dead knob c: it comes once, then neighbours, one step away.
    same = {"a": 2, "b": 2, "mode": "x"}
    agent = scripted(json.dumps([{**same, "c": 0}, {**same, "c": 2}, {**same, "c": 0}]))
    codes = agent.ask(3)
    assert designs(toys.SPACE, codes)[0] == (2, 2, "x", 0)
    near = {tuple(row) for row in toys.SPACE.neighbours(codes[0]).tolist()}
    assert {tuple(row) for row in codes[1:].tolist()} <= near
    assert len(np.unique(codes, axis=0)) == agent.from_model == 3


def test_what_was_told_counts_as_known():
    problem = toys.problem()
    agent = scripted('[{"a": 2, "b": 2, "mode": "x"}]', problem=problem)
    agent.tell(problem.evaluate(problem.space.encode([{"a": 2, "b": 2, "mode": "x", "c": 1}])))
    assert designs(problem.space, agent.ask(1)) != [(2, 2, "x", 0)]


def test_forbidden_designs_become_near_ones():
    codes = scripted('[{"a": 8, "b": 2, "mode": "z"}]').ask(1)
    assert toys.SPACE.is_allowed(codes).all()
    a, b, mode, c = designs(toys.SPACE, codes)[0]
    assert (a == 8) + (b == 2) + (mode == "z") == 2  # one step away


def test_the_fallback_learns_from_the_model_s_designs():
    # Genetic alone, told the same, would have these survivors.
    problem = toys.problem()
    agent = scripted('[{"a": 2, "b": 2, "mode": "x"}, {"a": 4, "b": 2, "mode": "x"}]', problem=problem)
    agent.tell(problem.evaluate(agent.ask(2)))
    alone = Genetic(problem.space, budget=40, batch=4)
    alone.tell(problem.evaluate(problem.space.encode([{"a": a, "b": 2, "mode": "x", "c": 0} for a in (2, 4)])))
    assert np.array_equal(agent.ask(8), alone.ask(8))  # the script has ended: both are genetic's


# ---- failures -------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [TimeoutError("60 s"), RuntimeError("429"), ValueError("bad"), KeyError("choices")])
def test_a_failing_model_is_no_error(failure):
    agent = scripted(failure, '[{"a": 2, "b": 2, "mode": "x"}]')
    assert np.array_equal(agent.ask(2), Genetic(toys.SPACE, budget=40, batch=4).ask(2))
    assert agent.calls == 1  # nothing was said, so nothing is to be corrected
    assert designs(toys.SPACE, agent.ask(1)) == [(2, 2, "x", 0)]  # the next ask tries again


@pytest.mark.parametrize("reply", [None, 7, {"content": "[]"}])
def test_a_reply_that_is_no_text_is_a_failure(reply):
    agent = scripted(reply)
    assert len(agent.ask(2)) == 2
    assert (agent.calls, agent.from_model) == (1, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ImportError("openai"), UsageError("no key")])
def test_interrupts_and_what_prevents_every_call_are_passed_on(error):
    with pytest.raises(type(error)):
        scripted(error).ask(2)


def test_without_a_model_it_is_its_fallback():
    spec = toys.spec("toys:Hills", objective="latency")
    alone = run(spec, "genetic", budget=60, batch=7, seed=3)
    assert np.array_equal(run(spec, "llm", budget=60, batch=7, seed=3).samples.codes, alone.samples.codes)
    failing = run(spec, "llm", budget=60, batch=7, seed=3, config={"complete": HANGS})
    assert np.array_equal(failing.samples.codes, alone.samples.codes)


def test_max_calls_makes_the_model_a_warm_start():
    agent = scripted("no", '[{"a": 2, "b": 2, "mode": "x"}]', '[{"a": 4, "b": 2, "mode": "x"}]', max_calls=2)
    for _ in range(3):
        agent.ask(1)
    assert (agent.calls, agent.from_model, len(agent.replies)) == (2, 1, 1)
    assert scripted(max_calls=0).ask(3).shape == (3, 4)


class NeedsMetrics(Genetic):
    needs = "grey"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"best": 0}, "best must be at least 1"),
        ({"max_calls": -1}, "at least 0"),
        ({"offline": True}, "set transcripts"),
        ({"fallback": "genetik"}, "did you mean genetic"),
        ({"fallback": "llm"}, "expected another agent"),
        ({"fallback": f"{__name__}:heuristic"}, "expected another agent"),
        ({"fallback": f"{__name__}:NeedsMetrics"}, "needs metrics"),
        ({"complete": "no_such_module:f"}, "there is no module"),
        ({"complete": f"{__name__}:no_such_function"}, "has no 'no_such_function'"),
        ({"complete": f"{__name__}:not_callable"}, "expected a function"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(config, message):
    with pytest.raises(UsageError, match=message):
        LanguageModel(toys.SPACE, LanguageModel.Config(**config))
