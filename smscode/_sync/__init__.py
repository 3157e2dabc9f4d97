# Generated from smscode/_async/__init__.py by `nox -s generate`: change that file, not this one.

"""The asynchronous shell, written by hand."""
