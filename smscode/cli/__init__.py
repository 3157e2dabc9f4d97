"""The command line: ``smscode`` and ``python -m smscode``.

`app` has all commands and needs the ``cli`` extra, `fallback` has those that work without it.
"""
