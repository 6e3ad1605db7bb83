"""``archgym proxy``: cost models that learn from a data set."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archgym.dataset.dataset import Dataset
from archgym.errors import UsageError

from .options import JsonOption, LimitOption, print_json, problem_spec
from .progress import StudyBar
from .tables import key_metrics, make_console, show

if TYPE_CHECKING:
    from archgym.verification import Verification

app = typer.Typer(help="Cost models that learn from a data set.")
DatasetArgument = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of a data set.")]
ProxyArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a proxy model.")]
LowerOption = Annotated[
    str | None, typer.Option(help="Cheaper simulator of the same designs, whose error is learnt: roofline.")
]


@app.command("fit")
def fit_proxy_model(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="New folder for the model.")],
    model: Annotated[str, typer.Option(help="auto (a weighted mean of several), or one by name.")] = "auto",
    metrics: Annotated[
        str | None, typer.Option(help="Metrics or patterns, with commas; default: those of the problem's objective.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Only rows of this source, by its id in the card (repeatable).")
    ] = None,
    lower: LowerOption = None,
    test: Annotated[float, typer.Option(help="Share of the rows that is held back for the scores.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the model.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Learn metrics, validity and constraints from logged designs; scored on rows that it has not seen."""
    from archgym.dataset.learning import fit_proxy
    from archgym.proxies.store import save_proxy

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out: expected a new folder, {out} is there and not empty")
    data = Dataset(dataset)
    if source:
        data = data.where(source=source)
    wanted = None if metrics is None else _listed(metrics)
    with StudyBar(1, f"fit {out}", quiet=as_json) as bar:
        fitted, about = fit_proxy(data, kind=model, metrics=wanted, lower=lower, test=test, seed=seed, on_step=bar.at)
    save_proxy(out, fitted, about)
    if as_json:
        print_json({"proxy": str(out), **_scores_json(about["scores"], about["rows"])})
        return
    _show_scores(
        about["scores"], f"scores on {about['rows']['test']:,} held-back rows (of {sum(about['rows'].values()):,})"
    )
    for name, weights in about["weights"].items():
        typer.echo(f"{name}: " + ", ".join(f"{100 * w:.0f} % {kind}" for kind, w in weights.items()))
    typer.echo(f"written to {out}: {sum(path.stat().st_size for path in out.iterdir()):,} bytes")


@app.command("score")
def score_proxy_model(
    folder: ProxyArgument,
    data: Annotated[Path, typer.Option(help="Folder of a data set.")],
    as_json: JsonOption = False,
) -> None:
    """How well a model predicts the rows of a data set: all of them, and those of designs that it has not learnt."""
    import numpy as np

    from archgym.dataset.learning import lessons, score
    from archgym.proxies.lower import LowerFidelity
    from archgym.proxies.store import load_proxy

    model, about = load_proxy(folder)
    known = lessons(Dataset(data), list(model.metric_names), LowerFidelity.from_dict(about["lower"]))
    whole = score(model, known)  # refuses designs of another space
    new = np.flatnonzero(~model.knows(known.codes, known.features))
    splits = {"all": whole, "new": score(model, known, new) if len(new) else {}}
    rows = {"all": len(known), "new": len(new)}
    if as_json:
        print_json({"proxy": str(folder), **_scores_json(splits["new"] or splits["all"], rows), "splits": splits})
        return
    for name, found in splits.items():
        title = "all rows" if name == "all" else "rows of designs that it has not learnt"
        _show_scores(found, f"{title}: {rows[name]:,}")


@app.command("verify")
def verify_proxy_model(
    folder: ProxyArgument,
    problem: Annotated[
        str | None, typer.Option(help="Problem with the objective to search for; default: that of the data.")
    ] = None,
    limits: LimitOption = None,
    top: Annotated[int, typer.Option(help="Best designs to simulate in a round, half from a cautious search.")] = 20,
    random: Annotated[int, typer.Option(help="Random designs to simulate.")] = 100,
    samples: Annotated[int, typer.Option(help="Samples of the searches on the model.")] = 10_000,
    agent: Annotated[str, typer.Option(help="Agent that searches on the model.")] = "genetic",
    seed: Annotated[int, typer.Option(help="Seed of search and random designs.")] = 0,
    rounds: Annotated[int, typer.Option(help="Rounds, between which the model learns what was simulated.")] = 1,
    data: Annotated[Path | None, typer.Option(help="Data set that it learnt from, for several rounds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Search on a model, then simulate the best designs and random ones: what its recommendations are worth."""
    from archgym.verification import verify

    if limits and problem is None:
        raise UsageError("--limit: expected --problem with it")
    spec = None if problem is None else problem_spec(problem, limits=limits)
    with StudyBar(samples, f"search on {folder}", quiet=as_json) as bar:
        found = verify(
            folder,
            spec,
            top=top,
            random=random,
            samples=samples,
            agent=agent,
            seed=seed,
            rounds=rounds,
            dataset=None if data is None else Dataset(data),
            on_step=bar.at,
        )
    if as_json:
        print_json(
            {
                "proxy": str(folder),
                "problem": found.problem.spec.label,
                "scores": found.scores,
                "designs": verified_rows(found),
                "regret": found.regret,
                "verified_regret": found.verified_regret,
                "regret_by_round": found.regret_by_round,
                "optimum_exact": found.exact,
            }
        )
        return
    for part, title in (("random", f"{random} random designs"), ("top", f"the {found.top} best by the model")):
        _show_scores(found.scores[part], title)
    rows = verified_rows(found)[:5]
    if rows:
        show(make_console(), "the best by the model, simulated", list(rows[0]), [list(row.values()) for row in rows])
    feasible = int(found.true.feasible[: found.top].sum())
    than = "the problem's optimum" if found.exact else "the best design simulated here"
    typer.echo(f"feasible: {feasible} of the {found.top} best by the model")
    typer.echo(f"its first choice is {_percent(found.regret)} worse than {than},")
    for k, regret in zip(found.rounds, found.regret_by_round, strict=True):
        typer.echo(f"the best of its {'first ' if k < found.top else ''}{k} choices {_percent(regret)}")


@app.command("study")
def study_proxies(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="Folder of tables and pictures.")],
    rows: Annotated[str, typer.Option(help="Numbers of rows to learn from.")] = "100,500,1560",
    models: Annotated[str, typer.Option(help="Kinds of models.")] = "auto,random-forest,additive,nearest",
    metrics: Annotated[str | None, typer.Option(help="Metrics or patterns; default: those of the objective.")] = None,
    lower: LowerOption = None,
    seeds: Annotated[int, typer.Option(help="How often, each with another split and draw.")] = 3,
    test: Annotated[float, typer.Option(help="Share of the rows that is held back.")] = 0.4,
    split: Annotated[str, typer.Option(help="leak-free, or random as the predecessor's.")] = "leak-free",
    by_agent: Annotated[
        bool,
        typer.Option(
            "--by-agent", help="Also let the first model learn each agent's rows alone, against as many of all."
        ),
    ] = False,
    speed: Annotated[bool, typer.Option("--speed", help="Also take the time of models and simulator.")] = False,
) -> None:
    """Learning curves on a data set: error by model, by number of rows, and by whose rows were learnt."""
    from archgym.dataset.learning import lessons, lower_fidelity
    from archgym.problem import Problem

    from .proxy_figures import draw_curves, draw_sources
    from .proxy_report import write_report
    from .proxy_study import Curves, learning_curves, source_curves, speeds

    plan = Curves(_whole_numbers(rows), tuple(_listed(models)), tuple(range(seeds)), test, split)
    data = Dataset(dataset)
    beside = None if lower is None else lower_fidelity(data, lower)
    known = lessons(data, None if metrics is None else _listed(metrics), beside)
    problem = Problem(data.source.problem)
    label = f"{problem.spec.label}, {len(known):,} rows, {split} split" + (f", beside {lower}" if lower else "")
    times = speeds(known, problem, plan.models, max(plan.rows)) if speed else None
    with StudyBar(1, f"study {dataset}") as bar:
        curves = learning_curves(known, plan, bar.at)
        sources = source_curves(known, problem, plan, bar.at) if by_agent else None
    out.mkdir(parents=True, exist_ok=True)
    draw_curves(out / "curves.png", curves, label)
    if sources is not None:
        draw_sources(out / "sources.png", sources, label)
    write_report(out, label, shlex.join(["archgym", *sys.argv[1:]]), curves, sources, times)
    typer.echo(f"written to {out}: README.md, tables and pictures")


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in _listed(text))
    except ValueError:
        raise UsageError(f"--rows: expected whole numbers such as 100,500, got '{text}'") from None


def verified_rows(found: Verification) -> list[dict[str, Any]]:
    """The best designs by the model: predicted and true reward, true metrics of the objective, parameters."""
    names = key_metrics(found.problem)
    return [
        {
            "predicted reward": float(found.predicted.reward[i]),
            "reward": float(found.true.reward[i]),
            "feasible": bool(found.true.feasible[i]),
            **{name: float(found.true.metrics[name][i]) for name in names},
            **found.problem.space.design(found.true.codes[i]),
        }
        for i in range(found.top)
    ]


def _scores_json(found: Mapping[str, Any], rows: Mapping[str, int]) -> dict[str, Any]:
    return {"metrics": found, "rows": dict(rows), "splits": list(rows)}


def _show_scores(found: Mapping[str, Mapping[str, float]], title: str) -> None:
    percent = ("mape", "elite_mape", "rmse_over_mean", "rmse_over_range", "coverage_90", "elite_coverage_90")
    header = [
        "metric",
        "MAPE",
        "of the best 5 %",
        "RMSE/mean",
        "RMSE/range",
        "in 90 % interval",
        "of the best 5 %",
        "tau",
    ]
    rows = [
        [
            name,
            *(_percent(s[key]) for key in percent),
            "-" if math.isnan(s["kendall_tau"]) else f"{s['kendall_tau']:.3f}",
        ]
        for name, s in found.items()
    ]
    show(make_console(), title, header, rows)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %" if math.isfinite(value) else "-"
