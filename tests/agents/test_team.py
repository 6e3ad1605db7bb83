"""A team's learning: whose gradient knows what, games whose best joint action is known, and that nothing leaks."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import toys

from archgym.agents.marl.networks import joint_width
from archgym.agents.marl.policies import Learning, Team
from archgym.errors import MissingExtraError, UsageError
from archgym.evaluator import Evaluator
from archgym.registry import AGENTS
from archgym.spec import StudySpec
from archgym.study import make_agent

NAMES = ("ippo", "mappo", "joint-ppo")
KINDS = {"ippo": {}, "mappo": {"central": True}, "joint-ppo": {"joint": True}}
PLAIN = Learning(entropy=0.0, entropy_floor=0.0, explore=0.0)


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks this small only lose time to threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ones(n):
    return np.ones((n, 1))


def search(name, problem, budget=100, batch=10, seed=0, track="scalar", **config):
    agent = make_agent(StudySpec(problem.spec, name, config, budget, batch, track, seed), problem)
    evaluator = Evaluator(problem, budget, track=track, seed=seed)
    agent.run(evaluator)
    return agent, evaluator


@pytest.fixture(scope="module")
def hills():
    return toys.problem("toys:Hills", objective="latency")


# ---- whose gradient knows what -------------------------------------------------------------


def gradients(team, codes, logp, advantage):
    """Of the policies' loss, for all weights of the actors."""
    loss = team._loss(torch.ones((len(codes), 1)), torch.as_tensor(codes), torch.as_tensor(logp, dtype=torch.float32),
                      torch.as_tensor(advantage, dtype=torch.float32), 0.0)  # fmt: skip
    return torch.autograd.grad(loss, team.actors.tensors)


def of_agent(team, tensors, agent):
    """An agent's share of stacked weights, as one row of numbers."""
    parts = [t[agent] for t in tensors[:4]] + [t[team.actors._owner == agent] for t in tensors[4:]]
    return torch.cat([part.flatten() for part in parts])


def test_an_agents_gradient_knows_only_its_own_actions_ratio_and_advantage():
    # The second agent has other actions, other ratios and other advantages: the first one's gradient stays bit for bit.
    team = Team(1, [[3, 2], [4]], PLAIN, seed=0)
    codes, logp = team.act(ones(8))
    advantage = np.random.default_rng(0).normal(size=(8, 2))
    before = gradients(team, codes, logp, advantage)
    others = codes.copy()
    others[:, 2] = (codes[:, 2] + 1) % 4
    after = gradients(team, others, logp + np.array([0.0, 0.1]), advantage * np.array([1.0, -2.0]))
    assert torch.equal(of_agent(team, before, 0), of_agent(team, after, 0))
    assert not torch.equal(of_agent(team, before, 1), of_agent(team, after, 1))
    assert of_agent(team, before, 0).abs().max() > 0


def test_ratio_and_clip_are_an_agents_own():
    # The second agent has become twice as likely to do what it did, beyond 1.2: nothing more to gain, so its gradient
    # is zero and the first agent's is not. One network for all has one ratio, also 2: no head learns any more.
    doubled = np.array([[0.0, -np.log(2.0)]])
    team = Team(1, [[3], [4]], PLAIN, seed=0)
    codes, logp = team.act(ones(8))
    clipped = gradients(team, codes, logp + doubled, np.ones((8, 2)))
    assert of_agent(team, clipped, 0).abs().max() > 0
    assert of_agent(team, clipped, 1).abs().max() == 0
    joint = Team(1, [[3], [4]], PLAIN, seed=0, joint=True)
    codes, logp = joint.act(ones(8))
    assert logp.shape == (8, 1)
    assert all(g.abs().max() == 0 for g in gradients(joint, codes, logp + doubled[:, 1:], np.ones((8, 1))))


def test_log_probabilities_by_hand():
    # New heads are nearly even: an agent of levels 3 and 2 has 1/6 each, whatever it draws; the joint action 1/24.
    for kind, expected in (({}, [1 / 6, 1 / 4]), ({"joint": True}, [1 / 24])):
        team = Team(1, [[3, 2], [4]], seed=1, **kind)
        codes, logp = team.act(ones(500))
        assert np.exp(logp) == pytest.approx(np.tile(expected, (500, 1)), rel=0.1)
        assert codes.min(axis=0).tolist() == [0, 0, 0]
        assert codes.max(axis=0).tolist() == [2, 1, 3]


def test_exploration_is_a_floor_of_every_probability():
    # Ever the same level rewarded, 0.2 of its policy stays even: the two others keep 0.2/3 each.
    team = Team(1, [[3]], Learning(hidden=4, explore=0.2, learning_rate=0.05, entropy=0.0, entropy_floor=0.0), seed=0)
    for _ in range(20):
        codes, logp = team.act(ones(32))
        team.update(ones(32), codes, logp, (codes[:, 0] == 1) * 1.0)
    with torch.no_grad():
        odds = team._log_policy(torch.ones((1, 1))).exp()[0, 0].numpy()
    assert odds.sum() == pytest.approx(1.0, abs=1e-6)
    assert odds[[0, 2]].min() >= 0.2 / 3 - 1e-6
    assert odds[1] > 0.8


# ---- games ---------------------------------------------------------------------------------

# Rows are the first agent's action, (0, 0) is best. To an agent that knows nothing of the other, 0 is little better
# than 2 (13/3 to 11/3 in the mean); where the other leans to 1 or 2, it had better not play 0, and (1, 1) is an
# equilibrium that nobody leaves alone: the climbing game of Claus and Boutilier (AAAI 1998) with milder penalties.
GAME = np.array([[9.0, 1.0, 3.0], [1.0, 5.0, 4.0], [3.0, 4.0, 4.0]])


@pytest.mark.parametrize("name", ["ippo", "mappo"])
def test_teams_agree_on_the_best_joint_action(name):
    found = 0
    for seed in range(10):
        team = Team(
            1, [[3], [3]], Learning(hidden=8, epochs=4, entropy=0.1, learning_rate=0.02), seed=seed, **KINDS[name]
        )
        for step in range(15):
            codes, logp = team.act(ones(64))
            team.update(ones(64), codes, logp, GAME[codes[:, 0], codes[:, 1]], progress=step / 15)
        codes, _ = team.act(ones(200))
        found += (codes == 0).all(axis=1).mean() > 0.5
    assert found >= 9


@pytest.mark.parametrize("name", NAMES)
def test_one_policy_for_several_observations(name):
    # Two contexts want opposite actions of both agents: a policy that did not look would be right half of the time.
    team = Team(2, [[2], [2]], Learning(learning_rate=0.01), seed=0, **KINDS[name])
    contexts = np.eye(2)[np.arange(64) % 2]
    for _ in range(40):
        codes, logp = team.act(contexts)
        team.update(contexts, codes, logp, (codes == contexts.argmax(axis=1)[:, None]).mean(axis=1))
    codes, _ = team.act(contexts)
    assert (codes == contexts.argmax(axis=1)[:, None]).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_learning_beats_luck(name, hills):
    # One smooth valley, 1.7 million designs: 200 samples of a policy against the median best of as many random ones.
    random = np.random.default_rng(0).integers(0, 6, (20, 200, 8))
    luck = np.median((1 + ((random - toys.Hills.optimum) ** 2).sum(axis=2)).min(axis=1))
    assert search(name, hills, 200, seed=1)[1].best.metrics["latency"][0] < luck


# ---- one network for the same number of weights --------------------------------------------


@pytest.mark.parametrize("groups", [[[9], [8], [3], [5]], [[2]] * 40, [[4, 3], [30]], [[100]]])
@pytest.mark.parametrize("observation_size", [1, 20])
def test_a_joint_policy_has_as_many_weights_as_the_team(groups, observation_size):
    team, joint = Team(observation_size, groups), Team(observation_size, groups, joint=True)
    assert joint.weights == pytest.approx(team.weights, rel=0.1)
    hidden = 32
    by_hand = sum(2 * (observation_size + 1 + hidden + 1) * hidden + (sum(g) + 1) * (hidden + 1) for g in groups)
    assert team.weights == by_hand
    assert joint_width(observation_size, [[100]], hidden) == hidden  # a team of one is the joint policy


# ---- bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits_and_nothing_leaks(name, hills):
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    first = search(name, hills, 100, seed=3)[1].history().codes
    assert torch.equal(before, torch.get_rng_state())
    assert threads == torch.get_num_threads()
    torch.manual_seed(6)  # the global stream has no say
    assert np.array_equal(first, search(name, hills, 100, seed=3)[1].history().codes)
    assert not np.array_equal(first, search(name, hills, 100, seed=4)[1].history().codes)


def test_the_precision_of_others_does_not_matter(hills):
    before, precision = search("mappo", hills, 60)[1].history().codes, torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # as users of Gaussian processes like it
    try:
        assert np.array_equal(before, search("mappo", hills, 60)[1].history().codes)
    finally:
        torch.set_default_dtype(precision)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_team_goes_on_bit_for_bit(name, tmp_path):
    team = Team(2, [[3, 2], [4]], Learning(epochs=2), seed=7, **KINDS[name])
    seen = np.random.default_rng(0).normal(size=(20, 2))

    def learn(learner):
        codes, logp = learner.act(seen)
        learner.update(seen, codes, logp, codes.sum(axis=1) * 1.0, progress=0.5)
        return codes, logp

    learn(team)
    team.save(tmp_path / "team.pt")
    other = Team.load(tmp_path / "team.pt")
    for _ in range(3):
        assert all(np.array_equal(a, b) for a, b in zip(learn(team), learn(other), strict=True))


# ---- agents --------------------------------------------------------------------------------


def test_a_known_design_costs_no_sample(hills):
    # 1.7 million designs; a policy that has learnt something draws the same ones again, which costs the plain form
    # samples and the other one none.
    plain, distinct = (
        search("ippo", hills, 200, learning_rate=0.05, explore=0.02, distinct=d)[1] for d in (False, True)
    )
    assert distinct.n_unique == distinct.n_samples == 200
    assert plain.n_unique < plain.n_samples == 200


def test_groups_are_agents(hills):
    agent, _ = search("ippo", hills, 20, groups="p0+p7,p2+p1")
    assert agent.team.agents == 6
    assert agent.team.parameters == 8
    declared = AGENTS.load("mappo")
    assert declared(toys.SPACE, declared.Config(groups="declared")).team.agents == 3
    with pytest.raises(UsageError, match="'p0' is named twice"):
        search("ippo", hills, 20, groups="p0+p1,p0")


def test_codes_come_back_in_the_order_of_the_space():
    # Groups (a, c), (b), (mode): the agents' columns are a c b mode with 4 3 5 3 levels; b reaches its level 4.
    cls = AGENTS.load("ippo")
    agent = cls(toys.SPACE, cls.Config(groups="a+c", distinct=False), budget=100)
    codes, _ = agent._draw(200)
    assert codes.max(axis=0).tolist() == [3, 4, 2, 2]


@pytest.mark.parametrize("name", NAMES)
def test_without_torch_the_extra_is_named(name, hills, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=r"torch is not installed.*archgym\[marl\]"):
        search(name, hills, 5)


def test_torch_is_loaded_when_an_agent_is_made():
    script = f"""
import sys
from archgym.registry import AGENTS
for name in {NAMES}:
    AGENTS.load(name)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("ippo", {"hidden": 0}),
        ("mappo", {"clip": 1.0}),
        ("joint-ppo", {"learning_rate": 0.0}),
        ("ippo", {"entropy": 0.001, "entropy_floor": 0.01}),
        ("ippo", {"explore": 1.0}),
        ("ippo", {"rollout": 1}),
        ("reinforce", {"rollout": 1}),
        ("reinforce", {"elite": 0.0}),
        ("reinforce", {"explore": 0.0}),
        ("reinforce", {"learning_rate": -1.0}),
    ],
)
def test_wrong_hyperparameters_are_refused(name, config):
    with pytest.raises(UsageError, match="got"):
        AGENTS.load(name).Config(**config)


@pytest.mark.parametrize("groups", [[], [[]], [[3, 0]]])
def test_teams_without_anything_to_choose_are_refused(groups):
    with pytest.raises(UsageError, match="got"):
        Team(1, groups)
