"""Ways to the sandbox and from it: transports, TCP, webhooks."""
