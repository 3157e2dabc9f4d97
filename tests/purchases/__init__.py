"""The proof of purchases: every interruption in pairs with every fault, judged by a server's own books."""
