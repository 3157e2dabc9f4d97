# Generated from smscode/demo/_async/__init__.py by `nox -s generate`: change that file, not this one.

"""What the demonstration does with a client, written by hand."""
