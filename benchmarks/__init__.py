"""How fast the package is, beside others, all measured in one run: ``python -m benchmarks --help``.

A benchmark is a module with a function ``run(setup)`` that yields `Figure`s, listed in `suite.NAMES`. The
contestants take turns, round by round, so that whatever else the machine does meets them all; medians
and ratios are what counts. The server is a process of its own, on another core where there is one.
"""
