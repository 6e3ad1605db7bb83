"""The roofline: numbers by hand, a bound for every mapping, and a lower fidelity that proxies learn beside."""

import numpy as np
import pytest

from archgym.dataset.collect import collect
from archgym.dataset.learning import fit_proxy, lessons, score
from archgym.errors import UsageError
from archgym.problem import Problem, ProblemSpec
from archgym.proxied import proxied
from archgym.proxies.lower import LowerFidelity
from archgym.proxies.store import save_proxy
from archgym.simulators.accelerator.knobs import BASELINE, Surroundings, hardware
from archgym.simulators.accelerator.roofline import Roofline, RooflineConfig
from archgym.simulators.accelerator.simulator import Accelerator
from archgym.testing import check_proxy
from archgym.workload import Layer, Network, load_workload

SPEC = ProblemSpec("accelerator", ("alexnet",), "edp", sim={"budget": 100})


def baseline(workload, **options):
    simulator = Roofline(RooflineConfig(**options))
    found = simulator.simulate(simulator.design_space(workload).encode([BASELINE]), workload)
    return {name: float(column[0]) for name, column in found.items() if name != "reason"}


def test_a_layer_that_computes_takes_its_macs_on_all_multipliers():
    """512^3 MACs on 168 multipliers at 200 MHz; moving 3 x 512^2 words takes a fraction of that."""
    square = Network("square", (Layer.gemm("only", M=512, N=512, K=512),))
    found = baseline(square)
    assert found["latency"] == pytest.approx(512**3 / 168 / 200e6, rel=1e-12)
    assert found["power"] == pytest.approx(found["energy"] / found["latency"], rel=1e-12)
    twice = baseline(square, batch=2)
    assert twice["latency"] == pytest.approx(2 * found["latency"], rel=1e-12)


def test_a_layer_that_moves_takes_its_words_at_the_memory():
    """One row times a 4096 x 4096 matrix: a MAC for each weight. Of 16 bit, at the bandwidth of the memory."""
    row = Network("row", (Layer.gemm("only", M=1, N=4096, K=4096),))
    arrays = hardware(BASELINE, Surroundings()).arrays()
    bits_a_cycle = arrays.hw_f[-1, 6]
    assert 16 * 168 > bits_a_cycle  # the multipliers could do more than the memory brings
    words = 4096 * 4096 + 4096 + 4096
    assert baseline(row)["latency"] == pytest.approx(16 * words / bits_a_cycle / 200e6, rel=1e-12)


def test_no_mapping_beats_it():
    workload = load_workload("mobilenet_v2")
    mapped = Problem(ProblemSpec("accelerator", ("mobilenet_v2",), "edp", sim={"budget": 100}))
    codes = mapped.space.sample(40, np.random.default_rng(0))
    truth, bound = mapped.simulate(codes), Roofline().simulate(codes, workload)
    possible = np.isfinite(truth["latency"])
    assert possible.any()
    for name in ("latency", "energy"):
        assert (truth[name] >= bound[name] * (1 - 1e-12))[possible].all(), name
    np.testing.assert_allclose(bound["area"][possible], truth["area"][possible], rtol=1e-12)


# ---- as a lower fidelity ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return collect(Problem(SPEC), tmp_path_factory.mktemp("data") / "set", n=300, mix="random", batch=50)


def test_its_error_is_easier_to_learn_than_the_metric(data, tmp_path):
    """Energies of random designs span a factor of 100; beside the roofline, which knows prices, a factor of 2 or 3."""
    plain, about = fit_proxy(data, kind="nearest")
    model, beside = fit_proxy(data, kind="nearest", lower="roofline")
    assert (plain.residual_names, model.residual_names) == ([], ["latency", "energy"])
    assert beside["scores"]["energy"]["mape"] < 0.5 * about["scores"]["energy"]["mape"]
    assert beside["scores"]["latency"]["mape"] < about["scores"]["latency"]["mape"]
    save_proxy(tmp_path / "model", model, beside)
    check_proxy(str(tmp_path / "model"), load_workload("alexnet"), n=60)
    known = lessons(data, lower=LowerFidelity.from_dict(beside["lower"]))
    proxy, rows = Problem(proxied(SPEC, tmp_path / "model")), np.arange(40)
    np.testing.assert_array_equal(
        proxy.simulate(known.codes[rows])["energy"],
        model.predict(known.codes[rows], lower={n: c[rows] for n, c in known.lower.items()}).metrics["energy"],
    )
    assert score(model, known)["energy"]["mape"] < about["scores"]["energy"]["mape"]
    with pytest.raises(UsageError, match="expected what the lower fidelity says of latency, energy"):
        model.predict(known.codes[rows])


def test_its_options_are_those_of_the_original(data):
    assert LowerFidelity.beside("roofline", Accelerator()).sim["node"] == 65
    original = Accelerator(Accelerator.Config(node=45, clock_mhz=400.0, batch=4))
    assert LowerFidelity.beside("roofline", original).simulator.config == RooflineConfig(
        node=45, clock_mhz=400.0, batch=4
    )
    lower = LowerFidelity("roofline", {})
    with pytest.raises(UsageError, match="learnt beside roofline version 0, this is version 1"):
        LowerFidelity.from_dict({**lower.to_dict(), "version": "0"})
    with pytest.raises(UsageError, match="expected a simulator of the parameters pes, mesh_x"):
        fit_proxy(data, kind="additive", lower="systolic")
    with pytest.raises(UsageError, match="expected one of utilisation, it has none of them"):
        fit_proxy(data, kind="additive", lower="roofline", metrics=["utilisation"])
