"""Ways to reach the sandbox, and its way out: an httpx transport, ASGI, TCP, webhooks."""
