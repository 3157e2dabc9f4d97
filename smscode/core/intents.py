"""Where purchases were frozen before `smscode.core.purchases` was: pickled intents name this module."""

from .purchases.intents import OrderIntent

__all__ = ["OrderIntent"]
