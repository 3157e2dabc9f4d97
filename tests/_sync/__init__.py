# Generated from tests/_async/__init__.py by `nox -s generate`: change that file, not this one.

