"""The command line: ``smscode`` and ``python -m smscode``.

`plain` is what there is without the ``cli`` extra, `app` what there is with it.
"""
