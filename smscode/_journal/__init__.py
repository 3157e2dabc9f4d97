"""The parts of the purchase journal; `smscode.journal` is what others use of it."""
