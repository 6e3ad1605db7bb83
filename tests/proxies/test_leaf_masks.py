"""Forests as bit masks, against the nodes themselves: the same bits, whatever the trees look like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesRegressor

from archgym.proxies import leaf_masks
from archgym.proxies.forest import NODE, Forest
from archgym.proxies.inputs import Encoding, Inputs
from archgym.proxies.leaf_masks import LatticeForest, LeafMasks
from archgym.space import DesignSpace, Parameter


def space(levels):
    return DesignSpace([Parameter.integers(f"p{i}", 0, n - 1) for i, n in enumerate(levels)])


def places(levels):
    return lambda codes: codes / np.maximum(np.array(levels) - 1, 1)


def test_a_tree_by_hand():
    """p0 <= 1 ? (p1 <= 0 ? 10 : 20) : 30, where p0 has four levels at 0, 1/3, 2/3, 1 and p1 two at 0, 1."""
    tree = np.zeros(5, NODE)
    tree["number"] = [0.5, 0.5, 30.0, 10.0, 20.0]
    tree["feature"] = [0, 1, -1, -1, -1]
    tree["left"], tree["right"] = [1, 3, 0, 0, 0], [2, 4, 0, 0, 0]
    masks = LeafMasks(Forest.join([tree], offset=1.0), [4, 2], places([4, 2]))
    codes = np.array([[0, 0], [1, 1], [2, 0], [3, 1]])
    assert masks.predict(codes).tolist() == [11.0, 21.0, 31.0, 31.0]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.integers(2, 400), st.integers(0, 99))
def test_masks_find_the_leaves_that_nodes_lead_to(levels, n, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, levels, (n, len(levels)))
    columns = places(levels)
    forest = Forest.of_ensemble(
        ExtraTreesRegressor(7, random_state=seed).fit(columns(codes).astype(np.float32), rng.normal(size=n))
    )

    def single(codes):
        return columns(codes).astype(np.float32).astype(np.float64)

    new = rng.integers(0, levels, (50, len(levels)))
    masks = LeafMasks(forest, levels, single)
    np.testing.assert_array_equal(masks.predict(new), forest.predict(single(new)))
    np.testing.assert_array_equal(masks.predict(new[7:8]), masks.predict(new)[7:8])


@pytest.mark.parametrize("columns", ["for_trees", "dense"])
def test_encodings_of_categorical_parameters(columns):
    kinds = DesignSpace(
        [Parameter.categorical("kind", tuple("abcde")), Parameter("size", (1, 2, 8)), Parameter.boolean("on")]
    )
    encode = getattr(Encoding(kinds), columns)
    rng = np.random.default_rng(0)
    x, new = (Inputs.of(kinds.sample(n, rng)) for n in (300, 100))

    def single(x):
        return encode(x).astype(np.float32).astype(np.float64)

    forest = Forest.of_ensemble(ExtraTreesRegressor(20, random_state=0).fit(single(x), rng.normal(size=300)))
    found = LatticeForest(forest, kinds, single)
    assert found._masks is not None
    np.testing.assert_array_equal(found.predict(new), forest.predict(single(new)))


def test_nodes_are_visited_where_masks_do_not_pay(monkeypatch):
    """Workload features are on no lattice, and masks of large forests do not stay in a cache."""
    rng = np.random.default_rng(0)
    plain = space([8, 8])
    encode = Encoding(plain).for_trees

    def single(x):
        return encode(x).astype(np.float32).astype(np.float64)

    x = Inputs.of(plain.sample(200, rng), rng.normal(size=(200, 1)))
    forest = Forest.of_ensemble(ExtraTreesRegressor(5, random_state=0).fit(single(x), rng.normal(size=200)))
    np.testing.assert_array_equal(LatticeForest(forest, plain, single).predict(x), forest.predict(single(x)))
    x = Inputs.of(x.codes)
    forest = Forest.of_ensemble(ExtraTreesRegressor(5, random_state=0).fit(single(x), rng.normal(size=200)))
    assert LeafMasks.size(forest, [8, 8]) == 16 * 5 * 8  # 16 levels, five trees, one word each
    monkeypatch.setattr(leaf_masks, "_BYTES", 639)
    large = LatticeForest(forest, plain, single)
    assert large._masks is None
    np.testing.assert_array_equal(large.predict(x), forest.predict(single(x)))
