"""The modules whose tests are tried, and the tests of each: fast ones, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

_JOURNAL = ("tests/test_journal_setup.py", "tests/test_journal.py", "tests/core/purchases/test_states.py")
_FILE = (
    *("tests/test_journal_thread.py", "tests/test_journal_disk.py", "tests/test_journal_owners.py"),
    "tests/_async/test_unfinished.py",
)
_PURCHASES = (
    *("tests/_async/test_purchases.py", "tests/_async/test_bulk.py", "tests/test_journal.py"),
    *("tests/_async/test_unfinished.py", "tests/test_purchase_cancellation.py"),
    *("tests/_async/test_spending.py", "tests/_async/test_names.py", "tests/test_spending_cancellation.py"),
)
_CALLS = (
    "api/arguments",
    "samples",
    "api/prices",
    "tests/test_exact.py",
    "purity",
    "tests/sandbox/test_openapi.py",
)
_FLOW = ("retry", "limited_flow", "cancelable", "order_endings")
_RATES = ("ratelimit/slots", "ratelimit/limiter", "ratelimit/shared")
_OBTAINING = (
    *("obtaining", "obtain_rules", "obtain_numbers", "obtain_machine"),
    "tests/_async/test_obtaining.py",
)
_WAITS = ("waiting/sms_wait", "waiting/webhook_inbox", "waiting/shared_poll", "waiting/order_changes")

# Names of files in tests/core, or paths from the root.
TESTS: Mapping[str, Sequence[str]] = {
    "smscode/core/answers.py": (
        *("answers", "samples", "retry", "decoding/rows", "paging"),
        *("tests/_async/test_errors.py", "tests/_async/test_request.py"),
    ),
    "smscode/core/api/arguments.py": (
        *_CALLS,
        "product_search",
        "settings",
        "timeouts",
        "webhooks",
        "tests/sandbox/test_catalog.py",
    ),
    "smscode/core/api/references.py": (
        *_CALLS,
        "product_search",
        "waiting/sms_wait",
        "tests/test_messages.py",
    ),
    "smscode/core/api/balance.py": (*_CALLS, "decoding/converter"),
    "smscode/core/ratelimit/ban.py": (
        "purchases/intents",
        "limited_flow",
        "tests/_async/test_rate_limiter.py",
    ),
    "smscode/core/waiting/shared_poll.py": (*_WAITS, "tests/test_waits.py", "tests/_async/test_sms_waits.py"),
    "smscode/core/ratelimit/limiter.py": (
        *_RATES,
        "limited_flow",
        "tests/test_limits.py",
        "tests/_async/test_rate_limiter.py",
    ),
    "smscode/core/purchases/bulk.py": ("purchases/bulk", "tests/_async/test_bulk.py"),
    "smscode/core/api/catalog.py": (
        *_CALLS,
        "decoding/rows",
        "paging",
        "product_search",
        "tests/_async/test_operations.py",
        "tests/sandbox/test_catalog.py",
    ),
    "smscode/core/decoding/converter.py": (
        "decoding/converter",
        "samples",
        "decoding/rows",
        "answers",
        "paging",
        "tests/_async/test_iteration.py",
    ),
    "smscode/core/api/created.py": ("api/created", "samples", "purchases/states", "retry"),
    "smscode/_exact.py": ("tests/test_exact.py", "decoding/converter", "samples", "api/prices"),
    "smscode/core/product_search.py": ("product_search", "tests/_async/test_product_search.py"),
    "smscode/core/flow.py": (
        *_FLOW,
        "decoding/rows",
        "tests/_async/test_retries.py",
        "tests/_async/test_rate_limiter.py",
        "tests/_async/test_events.py",
    ),
    "smscode/core/waiting/order_changes.py": ("waiting/order_changes", "waiting/shared_poll"),
    "smscode/core/waiting/webhook_inbox.py": (*_WAITS, "tests/_async/test_notify.py"),
    "smscode/core/decoding/body.py": ("decoding/body", "tests/_http/test_failures.py"),
    "smscode/core/purchases/intents.py": (
        "purchases/intents",
        "purchases/states",
        "tests/_async/test_purchases.py",
        *_JOURNAL[:2],
    ),
    "smscode/core/decoding/strict_json.py": ("decoding/rows", "decoding/converter", "answers", "webhooks"),
    "smscode/core/ratelimit/shared.py": (*reversed(_RATES), "tests/ext/test_redis_limits.py"),
    "smscode/core/ratelimit/options.py": (
        "ratelimit/options",
        "settings",
        "limited_flow",
        "tests/_async/test_rate_limiter.py",
        "tests/test_limits.py",
    ),
    "smscode/core/open_rentals.py": ("open_rentals", "tests/_async/test_rental_endings.py"),
    "smscode/core/api/orders.py": (
        *_CALLS,
        "decoding/rows",
        "api/created",
        "paging",
        "purchases/intents",
        "tests/_async/test_operations.py",
        "tests/sandbox/test_create.py",
    ),
    "smscode/core/waiting/sms_wait.py": (*_WAITS, "tests/_async/test_sms_waits.py"),
    "smscode/core/paging.py": ("paging", "tests/_async/test_iteration.py"),
    "smscode/core/api/parameters.py": _CALLS,
    "smscode/_plain.py": ("tests/test_serialization.py", "tests/ext/test_pydantic.py"),
    "smscode/_serialization.py": (
        *("tests/test_serialization.py", "tests/ext/test_pydantic.py", "tests/test_display.py"),
    ),
    "smscode/core/api/prices.py": (
        "api/prices",
        "tests/test_exact.py",
        "api/arguments",
        "product_search",
        "obtaining",
        "tests/_async/test_purchases.py",
    ),
    "smscode/core/purchases/records.py": ("purchases/states", "purchases/machine", *_JOURNAL[:2]),
    "smscode/core/purchases/book.py": (
        *("purchases/book", "purchases/machine", "tests/_async/test_purchases.py"),
        "tests/_async/test_unfinished.py",
    ),
    "smscode/core/versions.py": ("versions", "api/prices", "decoding/converter", "settings"),
    "smscode/core/purchases/states.py": (
        *("purchases/states", "purchases/machine", "retry", "tests/_async/test_purchases.py"),
        "tests/_async/test_unfinished.py",
    ),
    "smscode/core/effects.py": _FLOW,
    "smscode/core/order_endings.py": ("order_endings", "cancelable", "retry", "tests/_async/test_rental.py"),
    "smscode/core/retry.py": ("retry", "purchases/states", "limited_flow", "tests/_async/test_retries.py"),
    "smscode/core/settings.py": ("settings", "timeouts", "tests/_http/test_messages.py"),
    "smscode/core/ratelimit/adaptive_share.py": _RATES,
    "smscode/core/decoding/chunks.py": ("decoding/rows", "paging"),
    "smscode/core/ratelimit/slots.py": _RATES,
    "smscode/core/decoding/rows.py": ("decoding/rows", "samples", "paging"),
    "smscode/core/timeouts.py": ("timeouts", "settings", "retry"),
    "smscode/core/decoding/rows_msgspec.py": ("decoding/rows",),
    "smscode/core/call_events.py": (
        *("call_events", "limited_flow", "tests/_async/test_events.py", "tests/ext/test_otel.py"),
    ),
    "smscode/core/api/webhook.py": (*_CALLS, "tests/_async/test_operations.py"),
    "smscode/core/api/call.py": (*_CALLS, "answers", "retry", "purchases/intents"),
    "smscode/money.py": ("money", "api/prices", "decoding/converter"),
    "smscode/webhooks.py": ("webhooks", "receiver"),
    "smscode/core/api/registry.py": ("tests/test_endpoints.py", "tests/sandbox/test_openapi.py"),
    "smscode/core/api/request.py": ("api/request", "retry", "tests/_async/test_request.py"),
    "smscode/core/decoding/columns.py": ("decoding/rows", "samples", "versions", "paging"),
    "smscode/core/obtain_effects.py": _OBTAINING,
    "smscode/core/obtain_numbers.py": _OBTAINING,
    "smscode/core/obtain_plan.py": ("obtain_plan", *_OBTAINING, "tests/test_entering.py"),
    "smscode/core/obtain_report.py": ("obtain_report", *_OBTAINING, "tests/ext/test_otel.py"),
    "smscode/core/obtaining.py": _OBTAINING,
    "smscode/core/offers.py": _OBTAINING,
    "smscode/core/order_status.py": (*_WAITS, "order_endings", "obtaining", "statistics"),
    "smscode/core/purchase_arguments.py": (
        "purchase_arguments",
        "tests/_async/test_names.py",
        "tests/test_messages.py",
    ),
    "smscode/core/purchases/doubt.py": ("purchases/book", "purchases/states", *_FLOW, *_PURCHASES[:1]),
    "smscode/core/purchases/spending.py": ("purchases/spending", "tests/_async/test_spending.py"),
    "smscode/core/statistics.py": ("statistics", "tests/_async/test_statistics.py"),
    "smscode/core/waiting/codes.py": ("waiting/codes", *_WAITS, "tests/_async/test_sms_waits.py"),
    "smscode/journal.py": (
        *(*_JOURNAL, *_FILE, "tests/test_journal_interrupts.py", "tests/test_platform.py"),
    ),
    "smscode/_journal/batch.py": (*_JOURNAL, *_FILE, "tests/_async/test_spending.py"),
    "smscode/_journal/owners.py": (*_JOURNAL[:2], *_FILE, "tests/test_platform.py"),
    "smscode/_journal/rows.py": _JOURNAL,
    "smscode/_journal/store.py": (*_JOURNAL[:2], *_FILE),
    "smscode/_journal/thread.py": (
        *(*_JOURNAL[:2], *_FILE, "tests/test_journal_interrupts.py", "tests/test_platform.py"),
    ),
    "smscode/_journal/write_loop.py": (*_JOURNAL[:2], *_FILE, "tests/test_journal_interrupts.py"),
    "smscode/_journal/writes.py": (*_JOURNAL[:2], *_FILE, "tests/test_journal_interrupts.py"),
    "smscode/_async/delivery.py": _PURCHASES,
    "smscode/_async/purchase_rows.py": _PURCHASES,
    "smscode/_async/purchases.py": _PURCHASES,
}


def files_of(path: str) -> list[str]:
    """Return the test files of a module, each once; for one that is not in the table all of the core's."""
    names = TESTS.get(path, ())
    files = [name if name.startswith("tests/") else _of_the_core(name) for name in names]
    return list(dict.fromkeys(files)) or ["tests/core"]


def _of_the_core(name: str) -> str:
    folder, slash, stem = name.rpartition("/")
    return f"tests/core/{folder}{slash}test_{stem}.py"


def modules() -> list[str]:
    """Return the modules, those that were added since this table was written included."""
    found = [*(ROOT / "smscode/core").rglob("*.py"), *(ROOT / "smscode/_journal").glob("*.py")]
    paths = {str(path.relative_to(ROOT)) for path in found} | TESTS.keys()
    return sorted(path for path in paths if (ROOT / path).is_file())
