# Generated from smscode/_async/webhook.py by `nox -s generate`: change that file, not this one.

"""The webhook methods of the client: where the service sends the account's events."""

from __future__ import annotations

from ..core.api import webhook
from ..core.api.call import CallKind
from ..errors import InvalidArgumentError
from ..models import WebhookConfig, WebhookTestResult
from .driver import Driver


class Webhook:
    """The webhook endpoints, as ``client.webhook``. An account has one webhook.

    Every method takes ``timeout``, the total seconds for the call (None: the client's limit), and can raise
    the errors that every method of ``client.orders`` can raise.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._driver.service}"

    def get(self, *, timeout: float | None = None) -> WebhookConfig:
        """Read the webhook's URL and secret, and whether delivery is disabled.

        Raises `NotFoundError`, which the service documents for this without its cause.
        """
        return (self._driver.run(webhook.get(), timeout)).data

    def update(
        self, *, url: str | None = None, secret: str | None = None, timeout: float | None = None
    ) -> WebhookConfig:
        """Set the URL and the secret of the webhook, and return the new configuration.

        >>> config = client.webhook.update(url="https://hooks.example.net/sms")
        >>> secret = config.webhook_secret

        ``url`` is a public https address (at most 2,048 characters), ``secret`` is used to sign events (at
        most 256 characters). "" clears a field, None leaves it unchanged. The service generates a secret if a
        URL is first set without one.

        Raises `InvalidArgumentError` for a wrong URL or secret, or if both are None; `ValidationError` if the
        service refuses the URL.
        """
        return (self._driver.run(webhook.update(url=url, secret=secret), timeout)).data

    def ensure(
        self, url: str, *, secret: str | None = None, replace: bool = False, timeout: float | None = None
    ) -> WebhookConfig:
        """Set the webhook to ``url`` unless it is set already, and enable delivery again if it was disabled.

        >>> client.webhook.ensure("https://hooks.example.net/sms", secret=os.environ["WEBHOOK_SECRET"])

        Call it when the program starts. ``secret`` is the secret that shall sign the events (at most 256
        characters), set unless it is set already; None leaves it to the service, which generates one for a
        new URL.

        Raises `InvalidArgumentError` for an empty ``url`` or ``secret``, and if the webhook is set to another
        URL, which stays unchanged with its secret, unless ``replace`` is True; otherwise the errors of
        `update`.
        """
        wanted = webhook.update(url=url, secret=secret)
        if "" in (url, secret):
            raise InvalidArgumentError("url, secret: expected no empty text; webhook.update clears a field.")
        deadline = self._driver.deadline(CallKind.CONFIG, timeout)
        config = (self._driver.run(webhook.get(), deadline=deadline)).data
        signed = secret is None or config.webhook_secret == secret
        if config.webhook_url == url and signed and config.webhook_disabled_at is None:
            return config
        if config.webhook_url not in (None, "", url) and not replace:
            raise InvalidArgumentError(
                "url: the account's webhook is set to another URL; give replace=True to overwrite it."
            )
        return (self._driver.run(wanted, deadline=deadline)).data

    def test(self, *, timeout: float | None = None) -> WebhookTestResult:
        """Request a test event; return the HTTP status with which the configured endpoint answered it.

        It is not repeated if the answer is lost. Raises `ValidationError` if the service
        refuses, for example because no URL is set.
        """
        return (self._driver.run(webhook.test(), timeout)).data
