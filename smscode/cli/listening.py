"""A small receiver of webhooks on this machine: prints what the service signed, and refuses the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .. import webhooks
from ..errors import ConfigurationError, WebhookPayloadError, WebhookSignatureError
from .screen import Screen, masked, when

_LARGEST_BODY = 1024 * 1024
_PATIENCE = 10.0  # seconds for a sender to send
_NAP = 0.05  # seconds until a server that is to end notices


def listen(
    screen: Screen, secret: str, address: tuple[str, int], count: int | None, ready: Callable[[str], None]
) -> None:
    """Print events until interrupted or ``count`` of them came; ``ready`` is called with the URL."""
    enough = threading.Event()
    left = [count]
    turn = threading.Lock()

    def take(event: webhooks.Event) -> None:
        show(event, screen)
        left[0] = None if left[0] is None else left[0] - 1
        if left[0] == 0:
            enough.set()

    class Receiver(BaseHTTPRequestHandler):
        """Checks one delivery."""

        timeout = _PATIENCE

        def do_POST(self) -> None:
            """Answer 204, 400 or 401."""
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > _LARGEST_BODY:
                self._answer(413 if length.isdecimal() else 411)
                return
            try:
                body = self.rfile.read(int(length))
                event = webhooks.receive(body, self.headers.get(webhooks.SIGNATURE_HEADER), secret)
            except WebhookSignatureError:
                self._answer(401)
            except WebhookPayloadError:
                self._answer(400)
            else:
                # The answer first, so that the service has it in time; the next one has to wait for both.
                with turn:
                    self._answer(204)
                    take(event)

        def _answer(self, status: int) -> None:
            self.send_response_only(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if status != 204:
                screen.warn(f"refused with {status}: not a webhook that the service signed")

    try:
        server = ThreadingHTTPServer(address, Receiver)
    except OSError as error:
        raise ConfigurationError(f"Cannot listen on {address[0]}:{address[1]} ({error.strerror}).") from error
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, args=(_NAP,), daemon=True)
    serving.start()
    try:
        ready(f"http://{address[0]}:{server.server_port}/")
        enough.wait()
    finally:
        server.shutdown()
        server.server_close()


def show(event: webhooks.Event, screen: Screen) -> None:
    """Print an event on a line."""
    name = next((name for name, kind in webhooks.ORDER_EVENTS.items() if type(event) is kind), "")
    if isinstance(event, webhooks.OrderEvent):
        said = f"order {event.order_id}  {masked(event.phone_number)}"
        if event.otp_code is not None:
            said += f"  code {event.otp_code}"
    elif isinstance(event, webhooks.WebhookTest):
        name, said = "webhook.test", event.message
    else:
        name, said = event.event, ""
    pairs = {"received": f"{when(event.timestamp)}  {name}  {said}".rstrip()}
    screen.event(name, {"data": event}, pairs)
