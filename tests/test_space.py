"""Design spaces against brute force: every structural answer is compared with plain enumeration."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from archgym import rng
from archgym.errors import UnknownNameError, UsageError
from archgym.space import DesignSpace, Parameter, Rule

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


# ---- random spaces and their oracle ------------------------------------------------------


@st.composite
def parameter_lists(draw):
    """1..4 parameters with 1..4 levels of any kind; active_when on earlier ones, empty level sets included."""
    out = []
    for i in range(draw(st.integers(1, 4))):
        n = draw(st.integers(1, 4))
        kind = draw(st.sampled_from(["int", "float", "text", "bool"]))
        levels = {
            "int": tuple(3 * k for k in range(n)),
            "float": tuple(0.5 * k for k in range(n)),
            "text": tuple("abcd"[:n]),
            "bool": (False, True)[: min(n, 2)],
        }[kind]
        when = {}
        for p in out:
            if draw(st.integers(0, 3)) == 0:
                when[p.name] = tuple(draw(st.lists(st.sampled_from(p.levels), unique=True)))
        out.append(Parameter(f"p{i}", levels, ordered=draw(st.booleans()), active_when=when or None))
    return out


@st.composite
def spaces_as_data(draw):
    """(parameters, rules): 0..3 boolean tables over 1..3 parameters in any order. They may allow nothing."""
    parameters = draw(parameter_lists())
    rules = []
    for _ in range(draw(st.integers(0, 3))):
        most = min(3, len(parameters))
        scope = draw(st.lists(st.sampled_from(parameters), min_size=1, max_size=most, unique_by=lambda p: p.name))
        shape = tuple(len(p.levels) for p in scope)
        cells = math.prod(shape)
        # mostly True, so that most examples allow something
        bits = draw(st.lists(st.sampled_from([True, True, False]), min_size=cells, max_size=cells))
        rules.append(Rule(tuple(p.name for p in scope), np.array(bits, np.bool_).reshape(shape)))
    return parameters, rules


@st.composite
def spaces(draw):
    parameters, rules = draw(spaces_as_data())
    assume(oracle_allowed(parameters, rules))
    return DesignSpace(parameters, rules)


def oracle_canonical(parameters, row):
    """By the words of the design page: dead parameters at their first level, judged on canonical values."""
    out, at = list(row), {p.name: i for i, p in enumerate(parameters)}
    for i, p in enumerate(parameters):
        for name, levels in (p.active_when or {}).items():
            j = at[name]
            if parameters[j].levels[out[j]] not in levels:
                out[i] = 0
    return tuple(out)


def oracle_is_allowed(parameters, rules, row):
    at = {p.name: i for i, p in enumerate(parameters)}
    canonical = oracle_canonical(parameters, row)
    return all(bool(r.table[tuple(canonical[at[name]] for name in r.parameters)]) for r in rules)


def raw_rows(parameters):
    return list(itertools.product(*(range(len(p.levels)) for p in parameters)))


def oracle_allowed(parameters, rules):
    """All allowed raw rows, in lexicographic order."""
    return [row for row in raw_rows(parameters) if oracle_is_allowed(parameters, rules, row)]


def rows_of(codes):
    return [tuple(row) for row in codes.tolist()]


def everything(space):
    """Every raw design (size, d)."""
    return np.array(raw_rows(space.parameters), np.int64)


# ---- conversions -------------------------------------------------------------------------


@EXAMPLES
@given(spaces())
def test_encode_inverts_decode(space):
    # A level stands at one index only, so decoding and encoding again gives the same codes, from every form.
    codes = everything(space)
    columns = space.decode(codes)
    assert np.array_equal(space.encode(columns), codes)
    assert np.array_equal(space.encode(pd.DataFrame(columns).assign(extra=1)), codes)
    assert np.array_equal(space.encode([space.design(row) for row in codes]), codes)


@EXAMPLES
@given(spaces())
def test_encode_reads_levels_written_as_text(space):
    # The command line knows text only; str(level) must mean that level.
    codes = everything(space)
    designs = [{name: str(level) for name, level in space.design(row).items()} for row in codes]
    assert np.array_equal(space.encode(designs), codes)


@EXAMPLES
@given(spaces(), st.integers(0, 2**32))
def test_unit_cube_round_trip(space, seed):
    # Cell centres fall back into their cell; so does any point strictly inside the cell.
    codes = everything(space)
    assert np.array_equal(space.from_unit(space.to_unit(codes)), codes)
    inside = (codes + np.random.default_rng(seed).uniform(0.01, 0.99, codes.shape)) / space.nvec
    assert np.array_equal(space.from_unit(inside), codes)


def test_unit_cube_clips_at_both_ends():
    # 4 levels: cells [0, 1/4), [1/4, 1/2), ...; 1.0 belongs to the last one, values beyond are clipped.
    space = DesignSpace([Parameter.integers("a", 0, 3)])
    points = np.array([[-5.0], [0.0], [0.2499], [0.25], [0.999], [1.0], [7.0]])
    assert space.from_unit(points).ravel().tolist() == [0, 0, 0, 1, 3, 3, 3]


@EXAMPLES
@given(spaces())
def test_rank_is_the_lexicographic_position(space):
    # itertools.product walks in lexicographic order, so ranks must be 0, 1, 2, ...
    codes = everything(space)
    assert space.size == len(codes)
    assert space.rank(codes) == list(range(len(codes)))
    assert np.array_equal(space.unrank(range(len(codes))), codes)


def test_rank_and_unrank_in_a_space_beyond_int64():
    # 7 ** 30 > 2 ** 62: the last design has rank size - 1, the weight of parameter 0 is 7 ** 29.
    space = DesignSpace([Parameter.integers(f"p{i}", 0, 6) for i in range(30)])
    assert space.size == 7**30 > 2**62
    first, last = np.zeros((1, 30), np.int64), np.full((1, 30), 6)
    step = first.copy()
    step[0, 0] = 1
    assert space.rank(np.concatenate([first, step, last])) == [0, 7**29, 7**30 - 1]
    codes = space.sample(50, rng.generator(0, "test"))
    assert np.array_equal(space.unrank(space.rank(codes)), codes)


# ---- identity ----------------------------------------------------------------------------


@EXAMPLES
@given(spaces())
def test_small_spaces_have_distinct_int64_keys(space):
    # As many different keys as rows: no two designs share one.
    keys = space.keys(everything(space))
    assert keys.dtype == np.int64
    assert len(set(keys.tolist())) == space.size


def test_keys_of_large_spaces_are_equal_exactly_where_rows_are():
    # 300 ** 8 > 2 ** 62: bytes. Codes beyond 255 use two bytes; zeros at the end must not be lost,
    # and 1 at the high byte (256) must differ from 1 at the low one.
    space = DesignSpace([Parameter.integers(f"p{i}", 0, 299) for i in range(8)])
    assert space.size > 2**62
    pool = np.array(list(itertools.product((0, 1, 256), repeat=4)), np.int64)
    pad = np.zeros_like(pool)
    codes = np.concatenate([np.hstack([pool, pad]), np.hstack([pad, pool])])  # the zero row occurs twice
    keys = space.keys(codes).tolist()
    assert len(set(keys)) == len({tuple(row) for row in codes.tolist()}) == 2 * 81 - 1
    for i, j in itertools.product(range(len(codes)), repeat=2):
        assert (keys[i] == keys[j]) == (codes[i] == codes[j]).all()
    _, first = np.unique(space.keys(codes), return_index=True)  # what the agents do with keys
    assert len(first) == 2 * 81 - 1


@pytest.mark.parametrize(("n", "kind"), [(61, "i"), (62, "S")])
def test_key_type_changes_at_two_to_the_62(n, kind):
    # 61 switches have 2 ** 61 designs (int64), 62 have 2 ** 62 (bytes).
    space = DesignSpace([Parameter.boolean(f"p{i}") for i in range(n)])
    codes = np.eye(n, dtype=np.int64)
    keys = space.keys(codes)
    assert keys.dtype.kind == kind
    assert len(set(keys.tolist())) == n
    assert space.keys(np.empty((0, n), np.int64)).shape == (0,)


def test_more_than_64_parameters_with_few_free_ones():
    # A large space restricted to two free switches: 4 designs in 70 dimensions (NumPy arrays stop at 64).
    space = DesignSpace([Parameter.boolean(f"p{i}") for i in range(70)])
    small = space.restrict({f"p{i}": (False,) for i in range(68)})
    assert small.size == 4
    codes = small.unrank(range(4))
    assert codes[:, 68:].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert len(set(small.keys(codes).tolist())) == 4
    assert len(small.neighbours(codes[0])) == 2
    assert sum(map(len, small.enumerate())) == 4


@EXAMPLES
@given(spaces())
def test_canonical_matches_the_rule_and_is_idempotent(space):
    codes = everything(space)
    canonical = space.canonical(codes)
    assert rows_of(canonical) == [oracle_canonical(space.parameters, row) for row in rows_of(codes)]
    assert np.array_equal(space.canonical(canonical), canonical)


def test_canonical_does_not_touch_its_argument():
    space = DesignSpace([Parameter.boolean("on"), Parameter("k", (1, 2), active_when={"on": (True,)})])
    codes = np.array([[0, 1]])
    assert space.canonical(codes).tolist() == [[0, 0]]
    assert codes.tolist() == [[0, 1]]


def test_activity_is_judged_on_canonical_values():
    # c is on when b is 1, but b itself is dead (a is 0), so canonically 0: c is dead too.
    space = DesignSpace(
        [
            Parameter("a", (0, 1)),
            Parameter("b", (0, 1), active_when={"a": (1,)}),
            Parameter("c", (0, 1), active_when={"b": (1,)}),
        ]
    )
    assert space.canonical(np.array([[0, 1, 1], [1, 1, 1]])).tolist() == [[0, 0, 0], [1, 1, 1]]


# ---- JSON and fingerprint ----------------------------------------------------------------


@EXAMPLES
@given(spaces())
def test_json_round_trip(space):
    again = DesignSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again.parameters == space.parameters
    for p, q in zip(space.parameters, again.parameters, strict=True):  # 1 == 1.0 == True, so compare types too
        assert list(map(type, p.levels)) == list(map(type, q.levels))
    assert again.to_dict() == space.to_dict()
    assert again.fingerprint == space.fingerprint
    assert np.array_equal(again.is_allowed(everything(space)), space.is_allowed(everything(space)))


@EXAMPLES
@given(parameter_lists())
def test_fingerprint_depends_on_every_level(parameters):
    # Levels are ints below 10, floats below 2 or "a".."d"; 99, 99.5 and "new" are none of them.
    data = DesignSpace(parameters).to_dict()
    seen, changes = {DesignSpace(parameters).fingerprint}, 0
    for i, p in enumerate(parameters):
        fresh = {int: 99, float: 99.5, str: "new"}.get(type(p.levels[0]))
        for k in range(len(p.levels) if fresh is not None else 0):
            changed = json.loads(json.dumps(data))
            changed["parameters"][i]["levels"][k] = fresh
            seen.add(DesignSpace.from_dict(changed).fingerprint)
            changes += 1
    assert len(seen) == 1 + changes


def test_fingerprint_depends_on_every_rule_entry():
    # 2 x 3 entries, each flipped alone: seven different spaces.
    a, b = Parameter("a", (1, 2)), Parameter("b", (1, 2, 3))
    tables = [np.ones((2, 3), np.bool_) for _ in range(7)]
    for k, cell in enumerate(np.ndindex(2, 3)):
        tables[k][cell] = False
    assert len({DesignSpace([a, b], [Rule(("a", "b"), table)]).fingerprint for table in tables}) == 7


def test_fingerprint_depends_on_names_order_and_activity_but_not_on_doc():
    def space(**changes):
        b = {"name": "b", "levels": (1, 2), "active_when": {"a": (1,)}, **changes}
        return DesignSpace([Parameter("a", (0, 1)), Parameter(**b)]).fingerprint

    assert space(doc="words") == space()
    changes = [
        {"name": "bb"},
        {"levels": (2, 1)},
        {"levels": (1, 2, 3)},
        {"levels": (1.0, 2.0)},
        {"ordered": False},
        {"active_when": None},
        {"active_when": {"a": (0,)}},
    ]
    assert len({space(), *(space(**change) for change in changes)}) == 1 + len(changes)


def test_numpy_levels_are_stored_as_plain_python():
    p = Parameter("a", tuple(np.array([1, 2])))
    assert [type(v) for v in p.levels] == [int, int]
    mixed = Parameter("m", (1, 2.5))  # numbers of both kinds become floats
    assert mixed.levels == (1.0, 2.5)
    assert {type(v) for v in mixed.levels} == {float}


# ---- rules -------------------------------------------------------------------------------


@EXAMPLES
@given(spaces_as_data())
def test_a_space_that_allows_nothing_is_refused_exactly_then(data):
    parameters, rules = data
    if oracle_allowed(parameters, rules):
        DesignSpace(parameters, rules)
    else:
        with pytest.raises(UsageError, match="allow no design"):
            DesignSpace(parameters, rules)


@EXAMPLES
@given(spaces())
def test_is_allowed_matches_brute_force(space):
    allowed = set(oracle_allowed(space.parameters, space.allowed))
    assert space.is_allowed(everything(space)).tolist() == [row in allowed for row in raw_rows(space.parameters)]


@EXAMPLES
@given(spaces())
def test_mask_is_exact_for_every_prefix(space):
    # By definition: level v is open exactly if some allowed raw design starts with (*prefix, v).
    starts = {row[:k] for row in oracle_allowed(space.parameters, space.allowed) for k in range(len(row) + 1)}
    for k in range(len(space)):
        for prefix in itertools.product(*(range(int(n)) for n in space.nvec[:k])):
            expected = [(*prefix, level) in starts for level in range(int(space.nvec[k]))]
            assert space.mask(prefix).tolist() == expected, prefix
        prefixes = np.array(list(itertools.product(*(range(int(n)) for n in space.nvec[:k]))), np.int64)
        one_by_one = [space.mask(prefix) for prefix in prefixes]
        assert np.array_equal(space.masks(prefixes), one_by_one)


@EXAMPLES
@given(spaces(), st.integers(0, 2**32))
def test_sample_is_uniform_over_the_allowed_raw_designs(space, seed):
    # Chi-square over all allowed rows with 50 expected draws each; 1e-6 is far below chance over 60 examples.
    allowed = oracle_allowed(space.parameters, space.allowed)
    codes = space.sample(50 * len(allowed), np.random.default_rng(seed))
    counts = dict.fromkeys(allowed, 0)
    for row in rows_of(codes):
        assert row in counts
        counts[row] += 1
    if len(allowed) > 1:
        assert chisquare(list(counts.values())).pvalue > 1e-6


def test_sample_is_uniform_where_levels_have_very_different_completions():
    # b >= a over 0..9: level a has 10 - a completions, 55 rows in all. Drawing a uniformly instead
    # would hit (9, 9) with 1/10 instead of 1/55. Fixed seed, 55,000 draws, 1,000 expected per row.
    a, b = Parameter.integers("a", 0, 9), Parameter.integers("b", 0, 9)
    space = DesignSpace([a, b], [Rule.where([a, b], lambda x, y: y >= x)])
    codes = space.sample(55_000, rng.generator(1, "test"))
    keys, counts = np.unique(space.keys(codes), return_counts=True)
    assert len(keys) == 55
    assert chisquare(counts).pvalue > 1e-3


def test_sample_is_deterministic_and_takes_zero_rows():
    space = DesignSpace([Parameter.integers(f"p{i}", 0, 9) for i in range(5)])
    first, again = (space.sample(20, rng.generator(3, "test")) for _ in range(2))
    assert np.array_equal(first, again)
    assert space.sample(0, rng.generator(3, "test")).shape == (0, 5)


@EXAMPLES
@given(spaces(), st.integers(1, 7))
def test_enumerate_gives_the_distinct_canonical_allowed_designs_in_order(space, chunk):
    allowed = oracle_allowed(space.parameters, space.allowed)
    expected = sorted({oracle_canonical(space.parameters, row) for row in allowed})
    blocks = list(space.enumerate(chunk))
    assert all(0 < len(block) <= chunk for block in blocks)
    assert [row for block in blocks for row in rows_of(block)] == expected


def oracle_neighbours(space, row):
    origin, out = oracle_canonical(space.parameters, row), set()
    for i, p in enumerate(space.parameters):
        for level in range(len(p.levels)):
            if level != origin[i] and (not p.ordered or abs(level - origin[i]) == 1):
                step = oracle_canonical(space.parameters, (*origin[:i], level, *origin[i + 1 :]))
                if step != origin and oracle_is_allowed(space.parameters, space.allowed, step):
                    out.add(step)
    return out


@EXAMPLES
@given(spaces())
def test_neighbours_are_exactly_one_step_away(space):
    for row in raw_rows(space.parameters):
        found = rows_of(space.neighbours(np.array(row)))
        assert len(found) == len(set(found))
        assert set(found) == oracle_neighbours(space, row)


def test_neighbours_by_hand():
    # From a=1 (ordered 0..3) and m=x (categorical): a moves to 0 or 2, m to y or z; z is forbidden with a=1.
    a, m = Parameter.integers("a", 0, 3), Parameter.categorical("m", ("x", "y", "z"))
    space = DesignSpace([a, m], [Rule.where([a, m], lambda v, mode: not (v == 1 and mode == "z"))])
    assert sorted(rows_of(space.neighbours(np.array([1, 0])))) == [(0, 0), (1, 1), (2, 0)]


def moving(code):
    """Ordered a, b and c in a triangle: one level from a to b or back; raw, and out of bounds nowhere."""
    steps = np.array([[-1, 1, 0], [1, -1, 0], [0, 0, 0], [-1, 1, 1]])
    return code + steps[((code + steps >= 0) & (code + steps <= 2)).all(axis=1)]


def test_declared_moves_follow_the_single_steps():
    """a + b <= 3, and c matters only where a is 0. From (1, 1, 0): single steps to a = 0, 2 and b = 0, 2; moves to
    (0, 2, 0) and (2, 0, 0), to itself (left out), and to (0, 2, 1), where c matters."""
    a, b = Parameter.integers("a", 0, 2), Parameter.integers("b", 0, 2)
    c = Parameter("c", (0, 1, 2), active_when={"a": (0,)})
    rules = [Rule.where([a, b], lambda v, w: v + w <= 3)]
    space, plain = DesignSpace([a, b, c], rules, moves=moving), DesignSpace([a, b, c], rules)
    steps = [(0, 1, 0), (2, 1, 0), (1, 0, 0), (1, 2, 0)]
    assert rows_of(plain.neighbours(np.array([1, 1, 0]))) == steps
    assert rows_of(space.neighbours(np.array([1, 1, 0]))) == [*steps, (0, 2, 0), (2, 0, 0), (0, 2, 1)]
    # From (1, 2, 0): (2, 1, 0) by a move alone; (0, 3, .) does not exist. From (2, 1, 0): (1, 2, 0), and with c = 1 the
    # same again, as c is dead there: each design once.
    assert set(rows_of(space.neighbours(np.array([1, 2, 0])))) == {(0, 2, 0), (1, 1, 0), (2, 1, 0)}
    assert set(rows_of(space.neighbours(np.array([2, 1, 0])))) == {(1, 1, 0), (2, 0, 0), (1, 2, 0)}
    assert space.fingerprint == plain.fingerprint


def test_a_move_to_what_the_rules_forbid_is_left_out():
    a, b = Parameter.integers("a", 0, 2), Parameter.integers("b", 0, 2)
    c = Parameter.integers("c", 0, 2)
    space = DesignSpace([a, b, c], [Rule.where([a, b], lambda v, w: (v, w) != (2, 0))], moves=moving)
    assert (2, 0, 0) not in rows_of(space.neighbours(np.array([1, 1, 0])))
    assert (0, 2, 0) in rows_of(space.neighbours(np.array([1, 1, 0])))


def test_a_restriction_keeps_the_moves_among_its_levels():
    # a backwards, b without its level 1, c fixed at 0. (1, 2, 0) is (1, 1, 0) there, and moves to (2, 1, 0), which is
    # lost; in a space that keeps b whole but backwards too, it is (1, 0, 0) and moves to (0, 1, 0).
    space = DesignSpace([Parameter.integers(name, 0, 2) for name in "abc"], moves=moving)
    lost = space.restrict({"a": (2, 1, 0), "b": (0, 2), "c": (0,)})
    assert set(rows_of(lost.neighbours(np.array([1, 1, 0])))) == {(0, 1, 0), (2, 1, 0), (1, 0, 0)}
    kept = space.restrict({"a": (2, 1, 0), "b": (2, 1, 0), "c": (0,)})
    assert set(rows_of(kept.neighbours(np.array([1, 0, 0])))) == {(0, 0, 0), (2, 0, 0), (1, 1, 0), (0, 1, 0)}


# ---- restriction -------------------------------------------------------------------------


def test_restrict_keeps_levels_in_the_order_given_and_cuts_rules():
    a, m = Parameter.integers("a", 0, 3), Parameter.categorical("m", ("x", "y", "z"))
    space = DesignSpace([a, m], [Rule.where([a, m], lambda v, mode: not (v == 1 and mode == "z"))])
    small = space.restrict({"a": (3, 1), "m": ("z", "x")})
    assert small["a"].levels == (3, 1)
    assert small["m"].levels == ("z", "x")
    # (1, z) stays the only forbidden one: a=1 is now index 1, z index 0.
    assert small.is_allowed(np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).tolist() == [True, True, False, True]
    assert space.restrict({"m": "y"})["m"].levels == ("y",)  # one text level needs no tuple
    assert space.restrict({}).fingerprint == space.fingerprint


@st.composite
def restrictions(draw):
    """A space and a restriction of it (some levels kept, in any order)."""
    space = draw(spaces())
    keep = {}
    for p in space.parameters:
        if draw(st.booleans()):
            keep[p.name] = tuple(draw(st.lists(st.sampled_from(p.levels), unique=True, min_size=1)))
    return space, keep


def restricted(space, keep):
    """The restriction and the codes of all its raw designs in both spaces, or None if it is refused."""
    try:
        small = space.restrict(keep)
    except UsageError:
        return None
    codes = everything(small)
    return small, codes, space.encode(small.decode(codes))


@EXAMPLES
@given(restrictions())
def test_restrict_never_changes_whether_a_design_is_allowed(case):
    # A restriction takes levels away; the designs that remain are the same designs under the same rules.
    if (found := restricted(*case)) is not None:
        small, codes, full = found
        assert np.array_equal(small.is_allowed(codes), case[0].is_allowed(full))


@EXAMPLES
@given(restrictions())
def test_restrict_never_merges_designs_that_differ(case):
    # The cache uses canonical codes: two designs with one canonical row must be one design of the full space too.
    if (found := restricted(*case)) is not None:
        small, codes, full = found
        groups = {}
        for row, whole in zip(rows_of(small.canonical(codes)), rows_of(case[0].canonical(full)), strict=True):
            assert groups.setdefault(row, whole) == whole


def test_restrict_keeps_apart_what_a_dead_parameters_first_level_keeps_alive():
    # b is dead unless a is on, and counts as 0 then; c matters where b is 0, so with a off c matters.
    # Without b's level 0 the two designs (off, 1, c=5) and (off, 1, c=6) are still two designs.
    chain = [
        Parameter.boolean("a"),
        Parameter("b", (0, 1, 2), active_when={"a": (True,)}),
        Parameter("c", (5, 6), active_when={"b": (0,)}),
    ]
    space = DesignSpace(chain)
    assert space.canonical(np.array([[0, 1, 0], [0, 1, 1]])).tolist() == [[0, 0, 0], [0, 0, 1]]
    if (found := restricted(space, {"b": (1, 2)})) is not None:  # refusing is fine, merging is not
        assert len(set(rows_of(found[0].canonical(np.array([[0, 0, 0], [0, 0, 1]]))))) == 2


def test_restrict_to_a_later_level_of_a_gated_parameter_keeps_the_designs_in_which_it_is_dead():
    # c matters in mode y only, and c = 1 is forbidden there. With c in (1, 2), mode x must stay possible.
    mode = Parameter.categorical("mode", ("x", "y"))
    c = Parameter("c", (0, 1, 2), active_when={"mode": ("y",)})
    space = DesignSpace([mode, c], [Rule.where([mode, c], lambda m, v: not (m == "y" and v == 1))])
    small = space.restrict({"c": (1, 2)})
    assert small.is_allowed(np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).tolist() == [True, True, False, True]
    table = Rule(("c",), np.array([True, False, True]))  # the same rule, written without the mode
    small = DesignSpace([mode, c], [table]).restrict({"c": (1, 2)})
    assert small.is_allowed(np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).tolist() == [True, True, False, True]


# ---- parameters --------------------------------------------------------------------------


def test_constructors_by_hand():
    assert Parameter.integers("a", 2, 9, 3).levels == (2, 5, 8)
    assert Parameter.powers_of_two("a", 3, 40).levels == (4, 8, 16, 32)
    assert Parameter.boolean("a").levels == (False, True)
    assert Parameter.grid("a", 1.0, 3.0, 3).levels == (1.0, 2.0, 3.0)
    assert Parameter.grid("a", 1.0, 3.0, 1).levels == (1.0,)
    assert not Parameter.categorical("a", ("x", "y")).ordered


def test_grids_hit_the_numbers_that_people_type():
    # 1, 10, 100, 1000 and 0, 0.1, 0.2, 0.3: a level is addressed by its value, so 9.999999999999998 is of no use.
    assert Parameter.grid("a", 1, 1000, 4, log=True).levels == (1.0, 10.0, 100.0, 1000.0)
    assert Parameter.grid("a", 0.0, 0.3, 4).levels == (0.0, 0.1, 0.2, 0.3)


def test_columns_give_numbers_or_level_indices():
    # What simulators receive: values of numeric and boolean parameters, indices of textual ones.
    space = DesignSpace([Parameter("a", (8, 16)), Parameter.boolean("on"), Parameter.categorical("m", ("x", "y", "z"))])
    columns = space.columns(np.array([[1, 1, 2], [0, 0, 0]]))
    assert [columns[name].tolist() for name in ("a", "on", "m")] == [[16, 8], [True, False], [2, 0]]
    assert space.decode(np.array([[1, 1, 2]]))["m"].tolist() == ["z"]


def test_groups_and_gym_space():
    space = DesignSpace([Parameter("a", (1, 2), group="g"), Parameter("b", (1, 2, 3)), Parameter("c", (1,), group="g")])
    assert space.groups == {"g": ("a", "c"), "b": ("b",)}
    assert space.gym_space().nvec.tolist() == [2, 3, 1]
    assert len(space) == 3
    assert space.size == 6


# ---- messages ----------------------------------------------------------------------------

SMALL = DesignSpace([Parameter("rows", (4, 8, 16, 32)), Parameter.categorical("flow", ("os", "ws", "is"))])


def test_an_unknown_parameter_suggests_the_nearest():
    for attempt in (
        lambda: SMALL["row"],
        lambda: SMALL.encode([{"row": 4, "rows": 4, "flow": "os"}]),
        lambda: SMALL.restrict({"row": (4,)}),
    ):
        with pytest.raises(UnknownNameError, match="unknown parameter 'row'; did you mean rows"):
            attempt()


@pytest.mark.parametrize(("level", "nearest"), [(17, 16), ("30", 32), (-1, 4), (1000, 32)])
def test_an_unknown_level_names_the_nearest(level, nearest):
    with pytest.raises(UsageError, match=f"parameter 'rows' has no level .*nearest is {nearest}; levels: 4, 8, 16, 32"):
        SMALL.encode([{"rows": level, "flow": "os"}])


@pytest.mark.parametrize("level", ["xs", 3, True, None])
def test_an_unknown_textual_level_lists_the_levels(level):
    with pytest.raises(UsageError, match=r"'flow' has no level .*levels: os, ws, is"):
        SMALL.encode([{"rows": 4, "flow": level}])


def test_a_missing_value_of_a_number_is_a_usage_error():
    with pytest.raises(UsageError, match="'rows' has no level None"):
        SMALL.encode([{"rows": None, "flow": "os"}])


def test_a_missing_parameter_is_named():
    with pytest.raises(UsageError, match="parameter 'flow' is missing; expected rows, flow"):
        SMALL.encode([{"rows": 4}])


@pytest.mark.parametrize(
    "designs", [{"rows": 4, "flow": "os"}, {"rows": [4, 8], "flow": ["os"]}], ids=["one design", "ragged columns"]
)
def test_malformed_designs_are_usage_errors(designs):
    # Columns are lists of one length; a bare design belongs into a list.
    with pytest.raises(UsageError):
        SMALL.encode(designs)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([[0, 3]], "row 0: level index 3 of 'flow' is outside 0..2"),
        ([[0, 0], [-1, 0]], "row 1: level index -1 of 'rows' is outside 0..3"),
        ([[0.0, 1.0]], "expected integers, got float64"),
        ([0, 1], r"expected shape \(n, 2\), got \(2,\)"),
        ([[0, 1, 0]], r"expected shape \(n, 2\), got \(1, 3\)"),
    ],
)
def test_codes_are_checked(codes, message):
    with pytest.raises(UsageError, match=message):
        SMALL.check(np.array(codes))


@pytest.mark.parametrize("prefix", [[-1], [4], [0, 0]], ids=["negative", "beyond", "whole design"])
def test_mask_checks_its_prefix(prefix):
    # A negative index would silently count from the end; a whole design has no next parameter.
    with pytest.raises(UsageError):
        SMALL.mask(prefix)
    with pytest.raises(UsageError):
        SMALL.masks(np.array([prefix]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Parameter("", (1,)), "needs a name"),
        (lambda: Parameter("a", ()), "at least one level"),
        (lambda: Parameter("a", (1, 1)), "levels repeat"),
        (lambda: Parameter("a", (1, "x")), "all numbers, all text or all booleans"),
        (lambda: Parameter("a", (1, True)), "all numbers, all text or all booleans"),
        (lambda: Parameter("a", (1.0, float("nan"))), "finite"),
        (lambda: DesignSpace([]), "needs parameters"),
        (lambda: DesignSpace([Parameter("a", (1,)), Parameter("a", (2,))]), "distinct names"),
        (lambda: DesignSpace([Parameter("a", (1,), active_when={"b": (1,)}), Parameter("b", (1,))]), "earlier"),
        (lambda: DesignSpace([Parameter("a", (1, 2))], [Rule(("a",), np.ones(3, np.bool_))]), "expected a table"),
        (lambda: DesignSpace([Parameter("a", (1, 2))], [Rule(("a", "a"), np.ones((2, 2), np.bool_))]), "rule over"),
        (lambda: SMALL.restrict({"rows": ()}), "at least one level"),
        (lambda: SMALL.restrict({"rows": (5,)}), "nearest is 4"),
    ],
)  # fmt: skip
def test_wrong_parts_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_active_when_takes_one_text_level_like_restrict_does():
    # A string is one level, not its letters: with ("f", "a", "s", "t") the parameter would silently always be dead.
    mode = Parameter.categorical("mode", ("fast", "slow"))
    space = DesignSpace([mode, Parameter("k", (1, 2), active_when={"mode": "fast"})])
    assert space.canonical(np.array([[0, 1], [1, 1]])).tolist() == [[0, 1], [1, 0]]


def test_rules_that_couple_too_much_are_refused():
    # Every pair among 12 parameters of 10 levels couples all of them: 10 ** 12 table entries.
    ps = [Parameter.integers(f"p{i}", 0, 9) for i in range(12)]
    rules = [Rule.where([p, q], lambda x, y: x + y < 18) for p, q in itertools.combinations(ps, 2)]
    with pytest.raises(UsageError, match="couple too many parameters"):
        DesignSpace(ps, rules)
