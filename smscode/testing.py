"""The pytest plugin under a name that is easy to remember: ``pytest_plugins = ["smscode.testing"]``."""

pytest_plugins: list[str] = ["smscode.sandbox.pytest"]
