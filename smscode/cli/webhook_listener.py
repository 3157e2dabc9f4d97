"""Receives webhooks on this machine: prints those that the service signed, and refuses all others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .. import webhook_events, webhooks
from .._platform import wait
from ..errors import ConfigurationError
from ..receiver import WebhookAnswer, WebhookReceiver
from .request_body import read_body
from .screen import Screen, masked, when

_PATIENCE = 10.0  # seconds for a sender to send its request
_NAP = 0.05  # seconds between two checks of the server for its end


def listen(
    screen: Screen, secret: str, address: tuple[str, int], count: int | None, ready: Callable[[str], None]
) -> None:
    """Print events until interrupted or until ``count`` of them came; ``ready`` is called with the URL.

    Raises `ConfigurationError` if the address cannot be used.
    """
    receiver = WebhookReceiver(secret)
    enough = threading.Event()
    left = [count]
    turn = threading.Lock()  # one delivery at a time; no other lock is taken under it

    def take(event: webhooks.Event) -> None:
        show(event, screen)
        left[0] = None if left[0] is None else left[0] - 1
        if left[0] == 0:
            enough.set()

    class Handler(BaseHTTPRequestHandler):
        """Serves one delivery."""

        timeout = _PATIENCE

        def do_POST(self) -> None:
            headers = self.headers.items()
            answer = receiver.refuse("POST", headers)
            if answer is not None:
                self._answer(answer)
                return
            body = read_body(self.headers, self.rfile)
            if isinstance(body, WebhookAnswer):
                self._answer(body)
                return
            with turn:
                answer = receiver.receive(headers, body)
                # The answer comes before the output, so that the service has it in time.
                self._answer(answer)
                if answer.event is not None:
                    take(answer.event)

        def _answer(self, answer: WebhookAnswer) -> None:
            body = answer.reason.encode()
            self.send_response_only(answer.status)
            for name, value in (*answer.headers, ("content-length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            if answer.reason:
                screen.warn(f"refused with {answer.status}: {answer.reason}")

    try:
        server = ThreadingHTTPServer(address, Handler)
    except OSError as error:
        raise ConfigurationError(f"Cannot listen on {address[0]}:{address[1]} ({error.strerror}).") from error
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, args=(_NAP,), daemon=True)
    serving.start()
    try:
        ready(f"http://{address[0]}:{server.server_port}/")
        wait(enough)
    finally:
        server.shutdown()
        server.server_close()


def show(event: webhooks.Event, screen: Screen) -> None:
    """Print an event."""
    name = next((name for name, kind in webhook_events.ORDER_EVENTS.items() if type(event) is kind), "")
    if isinstance(event, webhooks.OrderEvent):
        text = f"order {event.order_id}  {masked(event.phone_number)}"
        if event.otp_code is not None:
            text += f"  code {event.otp_code}"
    elif isinstance(event, webhooks.WebhookTest):
        name, text = "webhook.test", event.message or ""
    else:
        name, text = event.event, ""
    pairs = {"received": f"{when(event.timestamp)}  {name}  {text}".rstrip()}
    screen.event(name, {"data": event}, pairs)
