"""Figures: they show what they are given, every text is whole, and no two tick labels touch."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import toys
from PIL import Image
from written_studies import write_study

import archgym
from archgym.errors import UsageError
from archgym.experiments import design_figures, figures, lottery_figures
from archgym.experiments import figure_style as style
from archgym.experiments.curves import curves
from archgym.experiments.importance import importance
from archgym.experiments.lottery import lottery
from archgym.study import run

SUITE, LABEL = "dram-ddr4-gen-strided-edp", "tabular/gen-strided/edp"
LONG = {"population": 12, "mutation": 2.5}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two problems, three agents (one with a long label), three seeds, 60 samples."""
    folder = tmp_path_factory.mktemp("runs")
    for agent, config in (("random", {}), ("genetic", {}), ("genetic", LONG)):
        for seed in range(3):
            for i, problem in enumerate((SUITE, "dram-rl-gen-hotrow-edp")):
                archgym.run(
                    problem, agent, budget=60, seed=seed, config=config, out=folder / f"{i}{agent}{seed}{len(config)}"
                )
    return archgym.load(folder)


def legible(figure, labels=()):
    """Draw it; every text lies inside, tick labels of one axis do not overlap, and these labels are there."""
    figure.canvas.draw()
    renderer, (width, height) = figure.canvas.get_renderer(), figure.canvas.get_width_height()
    ticks = [tick_labels(axis) for axes in figure.axes if axes.axison for axis in (axes.xaxis, axes.yaxis)]
    texts = [text for labels_of_one in ticks for text in labels_of_one] + other_texts(figure)
    for text in texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
    for labels_of_one in ticks:
        boxes = [t.get_window_extent(renderer) for t in labels_of_one if t.get_rotation() == 0]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]), labels_of_one
    flat = " ".join(t.get_text().replace("\n", " ") for t in texts)
    for label in labels:
        assert label in flat, (label, flat)
    return flat


def tick_labels(axis):
    """Those that are drawn: within the limits of the axis."""
    low, high = sorted(axis.get_view_interval())
    slack = 1e-6 * (high - low)
    ticks = [tick for tick in axis.get_major_ticks() if low - slack <= tick.get_loc() <= high + slack]
    return [tick.label1 for tick in ticks if tick.label1.get_visible() and tick.label1.get_text().strip()]


def other_texts(figure):
    """Every visible text that is no tick label: titles, axis labels, legends, cells."""
    axes = [axis for each in figure.axes for axis in (each.xaxis, each.yaxis)]
    ticks = {
        id(label) for axis in axes for tick in axis.majorTicks + axis.minorTicks for label in (tick.label1, tick.label2)
    }
    found = figure.findobj(lambda artist: hasattr(artist, "get_text") and hasattr(artist, "get_rotation"))
    found += [cell.get_text() for each in figure.axes for table in each.tables for cell in table.get_celld().values()]
    return [t for t in found if id(t) not in ticks and t.get_visible() and t.get_text().strip()]


AGENTS = ("random", "genetic", "genetic (mutation=2.5, population=12)")


@pytest.mark.parametrize(
    ("draw", "labels"),
    [
        (figures.anytime, ("samples", "gap", "IQM over 2 problems, 3 seeds", *AGENTS)),
        (lambda r: figures.anytime(r, problem=LABEL), (f"{SUITE}: median", *AGENTS)),
        (lambda r: figures.anytime(r, evaluation_seconds=(1e-3, 60)), ("evaluation = 0.001 s", "= 60 s", "time [s]")),
        (figures.anytime_panels, ("samples", "gap", SUITE, "dram-rl-gen-hotrow-edp", "median, 3 seeds", *AGENTS)),
        (figures.profiles, ("share of runs", "60 samples", *AGENTS)),
        (figures.violins, (SUITE, "dram-rl-gen-hotrow-edp", "60 samples", *AGENTS)),
        (lambda r: figures.heat_map(r, budget=50), (SUITE, "all (IQM)", "50 samples", *AGENTS)),
        (lambda r: design_figures.pareto(r, LABEL), ("energy [J]", "latency [s]", "exact front", *AGENTS)),
        (lambda r: design_figures.parallel_coordinates(r, LABEL), ("AddressMapping", "the best 20 of", "not shown")),
        (lambda r: design_figures.best_designs(r, LABEL), ("optimum", "energy [J]", "AddressMapping", *AGENTS)),
        (lambda r: importance(r, LABEL, metrics=["energy"]), ("energy", "AddressMapping", "drop of")),
    ],
    ids=["anytime", "one problem", "at a cost", "panels", "profiles", "violins", "heat map", "pareto", "parallel",
         "best", "importance"],
)  # fmt: skip
def test_figures_are_legible_and_name_what_they_show(runs, draw, labels):
    figure = draw(runs)
    text = legible(figure, labels)
    if draw in (figures.anytime, figures.anytime_panels, figures.profiles, figures.violins):
        assert "track grey" in text
    assert style.COLUMN <= figure.get_figwidth() <= style.PAGE
    assert plt.get_fignums() == []  # nothing is left to pyplot


def test_success_is_a_share_that_rises(tmp_path):
    name = "dram-rl-gen-hotrow-budgets"
    for seed in range(3):
        archgym.run(name, "random", budget=200, seed=seed, out=tmp_path / str(seed))
    runs = archgym.load(tmp_path)
    figure = figures.success_panels(runs)
    legible(figure, (name, "all limits met, share of runs", "track grey"))
    (line,) = figure.axes[0].lines
    met = sum(rewards[~np.isnan(rewards)].size > 0 for rewards in runs.rewards().values())
    assert line.get_ydata()[-1] == met / 3
    assert (np.diff(line.get_ydata()) >= 0).all()
    for draw in (figures.anytime, figures.anytime_panels, figures.profiles, figures.violins, figures.heat_map):
        with pytest.raises(UsageError, match="scored by gaps, these are scored by success"):
            draw(runs)


@pytest.mark.parametrize("draw", [lottery_figures.spread, lottery_figures.best_of])
def test_lottery_figures_are_legible_and_show_every_configuration(runs, draw):
    found = [lottery(runs, agent) for agent in ("genetic", "random")]
    figure = draw(found)
    legible(figure, (SUITE, "dram-rl-gen-hotrow-edp", "60 samples, 3 seeds, track grey", "default"))
    panel = figure.axes[found[0].curves.problem(LABEL)]
    means = found[0].finals[found[0].curves.problem(LABEL)].mean(axis=1)  # two configurations, three seeds
    if draw is lottery_figures.spread:
        drawn = {m: [x.get_ydata().tolist() for x in panel.lines if x.get_marker() == m] for m in ("o", "*")}
        assert drawn["o"][0] == pytest.approx(style.gap_scale(means).tolist())
        assert drawn["*"][0] == pytest.approx([float(style.gap_scale(means[found[0].curves.agent("genetic")]))])
    else:
        (line,) = (x for x in panel.lines if x.get_label() == "genetic")
        assert line.get_ydata()[0] == pytest.approx(means.mean())  # the best of one is any of them


def test_curves_hold_the_medians(tmp_path):
    # Optimum 3 (the best of all). Seeds reach 1, 2, 3 at once: gaps 2, 1, 0, median 1; then all 3.
    for seed, first in enumerate((1.0, 2.0, 3.0)):
        write_study(tmp_path / f"s{seed}", [first, 3.0], seed=seed)
    figure = figures.anytime(archgym.load(tmp_path))
    (line,) = (x for x in figure.axes[0].lines if x.get_label() == "random")
    assert line.get_xdata().tolist() == [1, 2]
    assert line.get_ydata().tolist() == [1, 0]


def test_curves_begin_where_something_was_found(tmp_path):
    for seed in range(3):
        write_study(tmp_path / f"s{seed}", [None, 1.0, 2.0], seed=seed)
    (line,) = (x for x in figures.anytime(archgym.load(tmp_path)).axes[0].lines if x.get_label() == "random")
    assert line.get_xdata().tolist() == [2, 3]


def test_time_axes_stop_where_a_run_is_over(tmp_path):
    # Two samples of 10 s: known at 10 s and 20 s, the agent's own time is nothing.
    write_study(tmp_path / "s", [1.0, 2.0], timing=[(2, 0.0, 0.0)])
    figure = figures.anytime(archgym.load(tmp_path), evaluation_seconds=(10.0,))
    (line,) = (x for x in figure.axes[0].lines if x.get_label() == "random")
    assert line.get_xdata()[[0, -1]].tolist() == pytest.approx([10, 20])
    assert line.get_ydata()[[0, -1]].tolist() == [1, 0]


def test_a_time_axis_on_which_nobody_has_a_result_stays_empty(tmp_path):
    # The second seed knows its only sample after 50 s more; the first, and with it the curve, is over long before that.
    write_study(tmp_path / "s0", [1.0], seed=0, timing=[(1, 0.0, 0.0)])
    write_study(tmp_path / "s1", [1.0], seed=1, timing=[(1, 50.0, 0.0)])
    figure = figures.anytime(archgym.load(tmp_path), evaluation_seconds=(1e-3, 60.0))
    legible(figure, ["one evaluation = 0.001 s"])
    lines = [next(x for x in panel.lines if x.get_label() == "random") for panel in figure.axes]
    assert [line.get_ydata().tolist() for line in lines] == [[], []]


def test_the_heat_map_writes_none_where_nothing_was_found(tmp_path):
    for agent, reward in (("random", None), ("genetic", 1.0)):
        for seed in range(3):
            write_study(tmp_path / f"{agent}{seed}", [reward], agent=agent, seed=seed)
    text = legible(figures.heat_map(archgym.load(tmp_path)))
    assert text.count("none") == 2  # its median, and the mean of all
    assert "3 none" in legible(figures.violins(archgym.load(tmp_path)))


def test_the_front_is_the_one_of_each_agent(tmp_path):
    points = [{"energy": 1.0, "latency": 4.0}, {"energy": 2.0, "latency": 2.0}, {"energy": 3.0, "latency": 3.0}]
    write_study(tmp_path / "s", [0.0] * 3, metrics=points)
    runs = archgym.load(tmp_path)
    (label,) = runs.problems
    (line,) = (x for x in design_figures.pareto(runs, label).axes[0].lines if x.get_label() == "random")
    assert sorted(zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True)) == [(1, 4), (2, 2)]
    with pytest.raises(UsageError, match="two metrics"):
        design_figures.pareto(runs, label, metrics=("energy",))


def test_the_parameter_that_matters_is_found(tmp_path):
    spec = toys.spec("toys:ToyFree", objective="area")  # area = a * b + 2 mode; c is dead where mode is not y
    run(spec, "random", budget=90, batch=10, out=tmp_path / "s")
    runs = archgym.load(tmp_path)
    (label,) = runs.problems
    axes = importance(runs, label).axes[0]
    drops = dict(
        zip((t.get_text() for t in axes.get_yticklabels()), (b.get_width() for b in axes.patches), strict=True)
    )
    assert max(drops, key=drops.get) in ("a", "b")
    assert abs(drops["c"]) < 0.05 < min(drops["a"], drops["b"])
    with pytest.raises(UsageError, match="not positive"):
        importance(runs, label, metrics=("spare",))


def test_the_table_of_designs_sets_other_levels_in_bold(runs):
    figure = design_figures.best_designs(runs, LABEL)
    cells = figure.axes[0].tables[0].get_celld()
    figure.canvas.draw()
    for cell in cells.values():  # nothing runs into its neighbour
        text, frame = (artist.get_window_extent(figure.canvas.get_renderer()) for artist in (cell.get_text(), cell))
        assert frame.x0 - 1 <= text.x0 <= text.x1 <= frame.x1 + 1
    rows = max(i for i, _ in cells) + 1
    for i in range(4, rows):  # after the head, the gap and two metrics
        optimum = cells[i, 1].get_text().get_text()
        for k in range(2, 5):
            text = cells[i, k].get_text()
            assert (text.get_fontweight() == "bold") == (text.get_text() != optimum)


def test_many_agents_leave_the_axes_their_height(tmp_path):
    for k in range(11):
        config = {"population": k + 2, "tournament": 3, "crossover": 0.5, "mutation": 1.25}  # labels of two lines
        for seed in range(3):
            write_study(tmp_path / f"{k}-{seed}", [None, 0.1 * k, 1.0], agent="genetic", config=config, seed=seed)
    c = curves(archgym.load(tmp_path))
    for draw in (figures.anytime, figures.profiles, figures.violins, figures.heat_map):
        figure = draw(c)
        legible(figure)
        assert figure.axes[0].get_window_extent().height / figure.dpi > 1.0, draw  # inches


def test_looks_can_be_told_apart_without_colour():
    looks = [style.look(i) for i in range(24)]
    assert len({(s.colour, s.line) for s in looks}) == len({(s.colour, s.marker) for s in looks}) == 24
    assert len({s.line for s in looks[:8]}) == len({s.marker for s in looks[:8]}) == 8


def test_the_scale_of_gaps_shows_zero_and_is_monotone():
    heights = style.gap_scale([0.0, 0.001, 0.01, 0.1, 1.0])
    assert heights[0] == 0
    assert (np.diff(heights) > 0).all()
    # Above 1 % every decade is nearly as high: asinh(10 x) - asinh(x) -> ln 10.
    assert heights[4] - heights[3] == pytest.approx(math.log(10), rel=0.01)


def test_unknown_problems_are_refused(runs):
    for draw in (design_figures.pareto, design_figures.parallel_coordinates, design_figures.best_designs, importance):
        with pytest.raises(UsageError, match="expected one of"):
            draw(runs, "systolic/alexnet/edp")
    with pytest.raises(UsageError, match="expected one of"):
        figures.anytime(curves(runs), problem="systolic/alexnet/edp")


def test_a_palette_makes_pictures_smaller_and_changes_no_colour_that_counts(runs, tmp_path):
    figure = figures.anytime(curves(runs))
    figure.savefig(tmp_path / "full.png", dpi=130)
    style.save_picture(figure, tmp_path / "small.png", 130)
    assert (tmp_path / "small.png").stat().st_size < 0.5 * (tmp_path / "full.png").stat().st_size
    full, small = (np.asarray(Image.open(tmp_path / name).convert("RGB"), int) for name in ("full.png", "small.png"))
    assert full.shape == small.shape
    apart = np.abs(full - small).max(axis=2)
    assert apart.max() <= 24  # of 255; the colours of lines are farther apart
