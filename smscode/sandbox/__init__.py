"""A sandbox: the whole service in one process, for demos and for tests."""

from .abuse import AbuseGuard
from .audit import Audit, AuditLine
from .behaviour import Behaviour, Message
from .sandbox import Sandbox
from .scenario import Scenario
from .webhooks import Delivery

__all__ = ["AbuseGuard", "Audit", "AuditLine", "Behaviour", "Delivery", "Message", "Sandbox", "Scenario"]
