"""Prints the rates of all benchmarks at the end of a run."""


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    for bench in getattr(session, "benchmarks", ()):
        for name, value in bench.extra_info.items():
            terminalreporter.write_line(f"{bench.name}: {name} = {value:,.4g}")
