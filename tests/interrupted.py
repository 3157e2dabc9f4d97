"""Makes calls in a process of its own while real SIGINTs come at any moment; see `test_interrupts`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time

import pytest

from tests.interrupts import bench, hasten


def main(name: str, count: int, seed: int) -> None:
    """Interrupt calls so many times, and then check that nothing was lost."""
    chance = random.Random(seed)
    going = threading.Event()

    def interrupt() -> None:
        for _ in range(count):
            going.wait()
            time.sleep(chance.random() * 0.003)
            os.kill(os.getpid(), signal.SIGINT)

    with bench(hasten(pytest.MonkeyPatch()), max_connections=1) as here:
        thread = threading.Thread(target=interrupt)
        caught = calls_made = 0
        thread.start()
        while thread.is_alive():
            try:
                going.set()
                while thread.is_alive():
                    if name == "balance":
                        here.client.balance()
                    elif name == "changes":
                        with contextlib.closing(here.client.orders.changes()) as changes:
                            next(changes)
                    else:
                        here.client.orders.wait_for_otp(here.order_id)
                    calls_made += 1
            except KeyboardInterrupt:
                caught += 1
        here.check()
        here.client.orders.wait_for_otp(here.order_id, timeout=5)
        here.at_rest()
    print(f"{caught} interrupts, {calls_made} calls, nothing lost")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
