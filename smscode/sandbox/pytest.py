"""Another name of the pytest plugin `smscode.testing`: ``pytest_plugins = ["smscode.sandbox.pytest"]``."""

pytest_plugins: list[str] = ["smscode.testing"]
