"""A sandbox: the whole service in one process, for demos and for tests."""

from .sandbox import Sandbox
from .webhooks import Delivery

__all__ = ["Delivery", "Sandbox"]
