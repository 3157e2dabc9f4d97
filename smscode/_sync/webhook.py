# Generated from smscode/_async/webhook.py by `nox -s generate`: change that file, not this one.

"""Where the account's events go."""

from __future__ import annotations

from ..core.api import webhook
from ..core.api.call import CallKind
from ..errors import InvalidArgumentError
from ..models import WebhookConfig, WebhookTestResult
from .driver import Driver


class Webhook:
    """The webhook endpoints; ``timeout`` is in seconds, all in all, instead of the client's."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def get(self, *, timeout: float | None = None) -> WebhookConfig:
        """Read where webhooks go."""
        return (self._driver.run(webhook.get(), timeout)).data

    def update(
        self, *, url: str | None = None, secret: str | None = None, timeout: float | None = None
    ) -> WebhookConfig:
        """Set where webhooks go and what signs them; "" clears a field, None leaves it as it is."""
        return (self._driver.run(webhook.update(url=url, secret=secret), timeout)).data

    def ensure(self, url: str, *, replace: bool = False, timeout: float | None = None) -> WebhookConfig:
        """See to it that webhooks go to ``url``, and switch delivery on again if it was disabled.

        An account has one webhook. If it is set to another URL, that is left alone and
        `InvalidArgumentError` raised, unless ``replace`` is true.
        """
        wanted = webhook.update(url=url)
        deadline = self._driver.deadline(CallKind.CONFIG, timeout)
        config = (self._driver.run(webhook.get(), deadline=deadline)).data
        if config.webhook_url == url and config.webhook_disabled_at is None:
            return config
        if config.webhook_url not in (None, "", url) and not replace:
            raise InvalidArgumentError(
                "url: the account's webhook is set to another URL; give replace=True to overwrite it."
            )
        return (self._driver.run(wanted, deadline=deadline)).data

    def test(self, *, timeout: float | None = None) -> WebhookTestResult:
        """Have the service send a test event, and read how the endpoint answered it."""
        return (self._driver.run(webhook.test(), timeout)).data
