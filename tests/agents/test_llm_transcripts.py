"""Transcripts of the language-model agent: a rerun asks the same without a model, and damage is named."""

import hashlib
import json
import re

import numpy as np
import pytest
import toys
from test_llm import HEURISTIC, Scripted, designs, heuristic, scripted

from archgym.errors import LogError
from archgym.spec import StudySpec
from archgym.study import load, replay, run


def study(folder, budget=30, seed=2, problem="toys:Toy", **config):
    return StudySpec(toys.spec(problem, limits=("area<=16",)), "llm", {"transcripts": str(folder), **config}, budget, 4,
                     "grey", seed)  # fmt: skip


def test_offline_asks_the_same_without_the_model(tmp_path):
    # Both what the heuristic said and that it failed now and then are replayed; the offline agent has no function.
    online = study(tmp_path / "t", complete=f"{__name__}:moody")
    first = run(online)
    assert len(first.samples) == 30
    kept = [json.loads(path.read_text()) for path in sorted((tmp_path / "t").iterdir())]
    failures = [record["failure"] for record in kept]
    assert "TimeoutError: too busy" in failures
    assert "" in failures
    again = run(study(tmp_path / "t", offline=True))
    assert np.array_equal(again.samples.codes, first.samples.codes)


def moody(messages):
    """The heuristic, which fails at every ask that begins with an odd number of known designs in fours."""
    if int(re.search(r"(\d+) designs known", messages[1]["content"])[1]) % 8:
        raise TimeoutError("too busy")
    return heuristic(messages)


def test_a_transcript_holds_messages_and_reply_under_their_hash(tmp_path):
    agent = scripted("no", '[{"a": 2, "b": 2, "mode": "x"}]', transcripts=str(tmp_path / "deep" / "t"))
    agent.ask(1)
    kept = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "deep" / "t").iterdir()}
    assert [record["messages"] for record in kept.values()] in (agent.received, agent.received[::-1])
    assert {record["reply"] for record in kept.values()} == {"no", '[{"a": 2, "b": 2, "mode": "x"}]'}
    for name, record in kept.items():
        text = json.dumps(record["messages"], sort_keys=True)
        assert hashlib.sha256(text.encode()).hexdigest().startswith(name)


def test_a_rerun_online_does_not_ask_the_model_again(tmp_path):
    # The second script would answer otherwise, the third would raise.
    for reply in ('[{"a": 2, "b": 2, "mode": "x"}]', '[{"a": 1}]', RuntimeError("must not be called")):
        agent = scripted(reply, transcripts=str(tmp_path))
        assert designs(toys.SPACE, agent.ask(1)) == [(2, 2, "x", 0)]
    assert agent.received == []


def test_a_missing_transcript_is_named_offline(tmp_path):
    agent = scripted('[{"a": 2, "b": 2, "mode": "x"}]', transcripts=str(tmp_path))
    agent.ask(1)
    (path,) = tmp_path.iterdir()
    path.unlink()
    with pytest.raises(LogError, match=f"no transcript .*{path.name} .call 1."):
        scripted(transcripts=str(tmp_path), offline=True).ask(1)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"reply": 1}'])
def test_a_damaged_transcript_is_named(tmp_path, content):
    scripted("no", transcripts=str(tmp_path), max_calls=1).ask(1)
    (path,) = tmp_path.iterdir()
    path.write_text(content)
    with pytest.raises(LogError, match=f"{path.name} is damaged"):
        scripted(transcripts=str(tmp_path)).ask(1)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot be written"):
        scripted("no", transcripts=str(tmp_path / "file" / "t")).ask(1)


def test_odd_text_survives_the_transcript(tmp_path):
    # A lone surrogate, which no encoding writes: JSON escapes it.
    for _ in range(2):
        agent = scripted('\ud800 ü → [{"a": 2, "b": 2, "mode": "x"}]', transcripts=str(tmp_path))
        assert designs(toys.SPACE, agent.ask(1)) == [(2, 2, "x", 0)]


def test_each_seed_has_its_own_transcripts(tmp_path):
    # Nothing is known at the first ask of either study: only the seed tells them apart.
    for seed in (0, 1):
        Scripted(toys.SPACE, Scripted.Config(transcripts=str(tmp_path), max_calls=1), seed=seed).ask(1)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_model_cannot_change_what_was_said():
    class Rude(Scripted):
        def complete(self, messages):
            messages[0]["content"] = ""
            messages.clear()
            return super().complete(messages)

    agent = Rude(toys.SPACE, replies=["no"])
    agent.ask(1)
    again = scripted("no")
    again.ask(1)
    assert agent._task["content"].startswith("You search")
    assert "Parameters" in again.received[1][0]["content"]


def test_a_logged_study_replays_with_its_agent(tmp_path, monkeypatch):
    # The replay imports no model at all: the function is gone from the module, the transcripts are there.
    spec = study(tmp_path / "t", complete=HEURISTIC)
    run(spec, out=tmp_path / "s")
    monkeypatch.delattr("test_llm.heuristic")
    assert replay(tmp_path / "s", agent=True) == 30


def test_an_interrupted_study_goes_on_from_its_transcripts(tmp_path, monkeypatch):
    spec = study(tmp_path / "t", complete=HEURISTIC)
    whole = run(spec)

    def stop(evaluator):
        if evaluator.n_samples >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec, out=tmp_path / "s", on_ask=stop)
    assert len(load(tmp_path / "s").samples) == 12
    monkeypatch.delattr("test_llm.heuristic")
    assert np.array_equal(run(spec, out=tmp_path / "s").samples.codes, whole.samples.codes)


def test_the_config_lands_in_the_spec_as_it_is(tmp_path):
    run(study(tmp_path / "t", budget=4, complete=HEURISTIC, about="lanes", max_calls=3), out=tmp_path / "s")
    kept = json.loads((tmp_path / "s" / "spec.json").read_text())["study"]["config"]
    assert kept == {"complete": HEURISTIC, "about": "lanes", "max_calls": 3, "transcripts": str(tmp_path / "t")}
