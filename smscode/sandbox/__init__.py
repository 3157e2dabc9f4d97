"""A sandbox: the whole service in one process, for demos and for tests."""

from .control import routes
from .control.audit import Audit, AuditLine
from .sandbox import Sandbox
from .scenarios.scenario import Scenario
from .service.abuse import AbuseGuard
from .service.suppliers import Behaviour, Message
from .service.webhooks import Delivery

__all__ = ["AbuseGuard", "Audit", "AuditLine", "Behaviour", "Delivery", "Message", "Sandbox", "Scenario"]

# The routes use `Sandbox`, so it cannot import them.
Sandbox._control = staticmethod(routes.begin)
