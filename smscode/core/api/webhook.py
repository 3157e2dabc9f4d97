"""The webhook configuration endpoints: get, update, test."""

from __future__ import annotations

from ...errors import InvalidArgumentError
from ...models import EndpointGroup, WebhookConfig, WebhookTestResult
from . import arguments
from .call import Call, CallKind, Endpoint
from .parameters import Parameter, Text

GET = Endpoint(
    "webhook.get",
    "GET",
    "/webhook",
    EndpointGroup.WEBHOOK_CONFIG,
    CallKind.READ,
    WebhookConfig,
    refusals=("NOT_FOUND",),
)
UPDATE = Endpoint(
    "webhook.update",
    "PATCH",
    "/webhook",
    EndpointGroup.WEBHOOK_CONFIG,
    CallKind.CONFIG,
    WebhookConfig,
    fields=(
        Parameter(
            name="webhook_url",
            kind=Text(arguments.URL_LENGTH, "^$|^https://."),
            about='The address for events: public and https; "" clears it.',
            nullable=True,
        ),
        Parameter(
            name="webhook_secret",
            kind=Text(arguments.SECRET_LENGTH),
            about='The secret for signing events; "" clears it.',
            nullable=True,
        ),
    ),
    refusals=("NOT_FOUND", "VALIDATION_ERROR"),
)
TEST = Endpoint(
    "webhook.test",
    "POST",
    "/webhook/test",
    EndpointGroup.WEBHOOK_TEST,
    CallKind.TEST,
    WebhookTestResult,
    refusals=("VALIDATION_ERROR",),
)


def get() -> Call[WebhookConfig]:
    """Read the configuration of the account's webhook."""
    return Call(GET, GET.path)


def update(*, url: str | None = None, secret: str | None = None) -> Call[WebhookConfig]:
    """Set the URL and the secret of the webhook; "" clears a field, None leaves it unchanged.

    ``url`` is https, at most 2,048 characters; ``secret`` at most 256. The service generates a secret if a
    URL is first set without one.
    """
    fields: dict[str, object] = {}
    if url is not None:
        fields["webhook_url"] = arguments.webhook_url("url", url)
    if secret is not None:
        fields["webhook_secret"] = arguments.webhook_secret("secret", secret)
    if not fields:
        raise InvalidArgumentError("webhook.update: expected url, secret or both.")
    return Call(UPDATE, UPDATE.path, fields=fields)


def test() -> Call[WebhookTestResult]:
    """Request a test event, which the service sends to the configured URL."""
    return Call(TEST, TEST.path)
