"""One policy for several workloads: what it observes, that training can be interrupted, and that it helps elsewhere."""

import numpy as np
import pytest
import toys
from typer.testing import CliRunner

from archgym.agents.marl.agents import Ippo, JointPpo, Mappo
from archgym.agents.marl.policies import Team
from archgym.agents.marl.policy import Descriptions, Policy, ordered
from archgym.envs.contexts import Contexts
from archgym.envs.entry import make_contexts
from archgym.errors import UsageError
from archgym.evaluator import Evaluator
from archgym.experiments import cli
from archgym.problem import Problem
from archgym.spec import StudySpec
from archgym.study import make_agent

SMALL = {
    "rows": (8, 16, 32, 64),
    "cols": (8, 16, 32, 64),
    "ifmap_sram": (16, 64, 256),
    "filter_sram": (16, 64, 256),
    "ofmap_sram": (16, 64, 256),
    "memory": ("DDR4-2400 x64", "LPDDR4-3200 x32"),
}  # 2,592 designs
TRAINED = "alexnet,vgg16,resnet18,googlenet"


def workloads(names=TRAINED, **options):
    options = {"simulator": "systolic", "objective": "edp", "space": SMALL, **options}
    return make_contexts(1, workload=f"random:[{names}]", **options)


def weights(policy):
    tensors = (*policy.team.actors.tensors, *policy.team.critics.tensors)
    return [tensor.detach().numpy() for tensor in tensors]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A policy of 4,096 designs on four networks."""
    path = tmp_path_factory.mktemp("policy") / "ippo.pt"
    Ippo.train(workloads(), path, samples=4096)
    return path


def search(problem, budget, seed=0, agent="ippo", **config):
    agent = make_agent(StudySpec(problem.spec, agent, config, budget, 10, "scalar", seed), problem)
    evaluator = Evaluator(problem, budget, track="scalar", seed=seed)
    agent.run(evaluator)
    return agent, evaluator


# ---- observations --------------------------------------------------------------------------


def test_workloads_are_observed_in_standard_deviations_of_those_of_the_training():
    seen = Descriptions.of(np.array([[1.0, 5.0], [3.0, 5.0]]))  # mean 2, deviation 1; the other never varied
    np.testing.assert_array_equal(seen.observe(np.array([[2.0, 5.0], [3.5, 9.0], [99.0, 5.0]])),
                                  [[1, 0, 0], [1, 1.5, 0], [1, 3, 0]])  # fmt: skip


def test_actions_of_agents_are_codes_in_the_order_of_the_space():
    np.testing.assert_array_equal(ordered([[2, 0], [1]], np.array([[7, 8, 9]])), [[8, 9, 7]])


# ---- training ------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", [Ippo, Mappo, JointPpo])
def test_training_that_was_interrupted_ends_with_the_same_policy(agent, tmp_path, monkeypatch):
    monkeypatch.setattr("archgym.agents.marl.agents._KEPT", 2)  # a file after every second rollout
    config = agent.Config(groups="rows+cols", rollout=16)
    whole = agent.train(workloads(), tmp_path / "whole.pt", config, samples=160, seed=3)

    def interrupt(samples):
        if samples == 112:  # the last file has 96
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent.train(workloads(), tmp_path / "parts.pt", config, samples=160, seed=3, on_rollout=interrupt)
    again = agent.train(workloads(), tmp_path / "parts.pt", config, samples=160, seed=3)
    assert whole.samples == again.samples == 160
    assert all(np.array_equal(a, b) for a, b in zip(weights(whole), weights(again), strict=True))
    other = agent.train(workloads(), tmp_path / "other.pt", config, samples=160, seed=4)
    assert not np.array_equal(weights(whole)[0], weights(other)[0])


def test_a_rollout_is_shared_evenly_and_every_design_is_logged(tmp_path):
    contexts = workloads(log=str(tmp_path / "log"))
    Ippo.train(contexts, tmp_path / "p.pt", Ippo.Config(rollout=10), samples=20)
    contexts.close()
    assert sum(e.n_samples for e in contexts.evaluators) == 20
    assert all(4 <= e.n_samples <= 6 for e in contexts.evaluators)  # 2 or 3 of each rollout of 10
    assert len(list((tmp_path / "log").glob("*/trials.jsonl"))) == 4


def test_forbidden_designs_are_not_evaluated_but_count(tmp_path):
    # a = 8 may not go with mode z: a twelfth of the raw designs.
    contexts = Contexts([Evaluator(toys.problem(macs=(macs,))) for macs in (16, 32)])
    policy = Ippo.train(contexts, tmp_path / "p.pt", Ippo.Config(rollout=60, epochs=1), samples=240)
    evaluated = sum(e.n_samples for e in contexts.evaluators)
    assert policy.samples == 240
    assert 200 <= evaluated < 240


def test_a_policy_finds_designs_for_a_network_it_has_never_seen(trained):
    # 4,096 designs on four networks, then 20 on resnet50: its median best against that of random search.
    problem = Problem.parse("systolic/resnet50/edp", space=SMALL)

    def median(agent, **config):
        return np.median([search(problem, 20, s, agent, **config)[1].best.reward[0] for s in range(7)])

    luck = median("random")
    assert median("ippo", policy=str(trained), learn=False) > luck + 0.1
    assert median("ippo", policy=str(trained), rollout=8) > luck + 0.1
    best = search(problem, 2000, agent="genetic")[1].best.reward[0]
    assert best > luck + 0.2  # so there was something to gain


def test_drawing_from_a_policy_leaves_it_as_it_is_and_learning_does_not(trained):
    problem = Problem.parse("systolic/resnet50/edp", space=SMALL)
    before = weights(Policy.load(trained, problem.space))
    kept = search(problem, 50, policy=str(trained), learn=False)[0]
    learnt = search(problem, 50, policy=str(trained), rollout=8)[0]
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(kept), strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(before, weights(learnt), strict=True))
    first, second = (search(problem, 50, s, policy=str(trained))[1].history().codes for s in (0, 1))
    assert not np.array_equal(first, second)  # a seed of its own, not that of the training


def test_the_team_of_an_agent_can_be_saved(tmp_path):
    agent = search(toys.problem("toys:Hills", objective="latency"), 40, groups="declared")[0]
    agent.team.save(tmp_path / "team.pt")
    assert Team.load(tmp_path / "team.pt").weights == agent.team.weights


# ---- errors --------------------------------------------------------------------------------


def test_wrong_policies_say_what_is_wrong(trained, tmp_path):
    resnet = Problem.parse("systolic/resnet50/edp", space=SMALL)
    with pytest.raises(UsageError, match=r"cannot read .*; archgym train makes one"):
        search(resnet, 10, policy=str(tmp_path / "none.pt"))
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(trained.read_bytes()[:1000])
    with pytest.raises(UsageError, match="no policy, or a damaged one"):
        search(resnet, 10, policy=str(damaged))
    with pytest.raises(UsageError, match=r"another design space .*alexnet"):
        search(Problem.parse("systolic/resnet50/edp"), 10, policy=str(trained))
    with pytest.raises(UsageError, match=r"is one of ippo.*use --agent ippo"):
        search(resnet, 10, agent="mappo", policy=str(trained))
    with pytest.raises(UsageError, match="learn is False"):
        search(resnet, 10, learn=False)
    with pytest.raises(UsageError, match="expected the 10 workload features"):
        Ippo(resnet.space, Ippo.Config(policy=str(trained)))


def test_training_refuses_what_it_cannot_go_on_with(trained, tmp_path):
    with pytest.raises(UsageError, match="expected the objective, options and workloads of the policy"):
        Ippo.train(workloads("alexnet,vgg16"), trained, samples=10_000)
    with pytest.raises(UsageError, match="expected the objective, options and workloads of the policy"):
        Ippo.train(workloads(objective="energy"), trained, samples=10_000)
    with pytest.raises(UsageError, match="has groups=parameter, got declared"):
        Ippo.train(workloads(), trained, Ippo.Config(groups="declared"), samples=10_000)
    with pytest.raises(UsageError, match="leave out policy="):
        Ippo.train(workloads(), tmp_path / "p.pt", Ippo.Config(policy=str(trained)), samples=100)
    with pytest.raises(UsageError, match="at least 2 designs a workload"):
        Ippo.train(workloads(), tmp_path / "p.pt", Ippo.Config(rollout=7), samples=100)
    assert not (tmp_path / "p.pt").exists()


# ---- command -------------------------------------------------------------------------------


def test_the_command_trains_a_policy_that_a_run_begins_with(tmp_path):
    path = tmp_path / "policy.pt"
    space = [x for name, levels in SMALL.items() for x in ("--set", f"space.{name}={','.join(map(str, levels))}")]
    train = ["train", "systolic/random:[alexnet,vgg16]/edp", "--samples", "128", "--out", str(path), *space]
    done = CliRunner().invoke(cli.app, [*train, "--json"])
    assert done.exit_code == 0, done.output
    assert '"samples": 128' in done.output
    again = CliRunner().invoke(cli.app, train)  # nothing left to learn
    assert "128 designs on alexnet, vgg16" in again.output
    other = [*train, "--out", str(tmp_path / "other.pt")]
    other[1:2] = ["systolic/resnet50/edp", "--on", "alexnet,vgg16"]  # the same in other words
    assert CliRunner().invoke(cli.app, other).exit_code == 0
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            *(weights(Policy.load(p, workloads().space)) for p in (path, tmp_path / "other.pt")), strict=True
        )
    )
    run = ["run", "systolic/resnet50/edp", "--agent", "ippo", "--budget", "20", "--out", str(tmp_path / "run"), *space]
    assert CliRunner().invoke(cli.app, [*run, "--set", f"agent.policy={path}"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["systolic/resnet50/edp"], "expected simulator/random:"),
        (["systolic/resnet50/edp", "--on", "alexnet,"], "expected random:[NAME"),
        (["dram-rl-stream-edp", "--on", "cloud-1,cloud-2"], "cloud-1"),
        (["systolic/random:[alexnet,vgg16]/edp", "--samples", "0"], "--samples: expected at least 1"),
        (["systolic/random:[alexnet,vgg16]/edp", "--log", "."], "--log: expected a new folder"),
        (["systolic/random:[alexnet,vgg16]/edp", "--agent", "genetic"], "no policy to train"),
        (["systolic/random:[alexnet]/edp", "--set", "agent.rollot=8"], "rollout"),
        (["systolic/random:[alexnet,stream]/edp"], "stream"),
    ],
)
def test_the_command_says_what_it_expected(arguments, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        cli.main(["train", *arguments, "--out", str(tmp_path / "p.pt")])
    assert exit_info.value.code == 2
    assert said in capsys.readouterr().err
