"""What an application of any framework answers to an error of this package."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from smscode import SmscodeError, errors
from smscode.ext.error_answers import ERROR_STATUSES, error_answer


def test_an_error_of_the_caller_or_the_service_is_answered_in_words_with_the_time_to_wait() -> None:
    error = errors.RateLimitError("In words.", retry_after=1.2, idempotency_key="sale-17", outcome="rejected")
    body, status, headers = error_answer(error)
    assert (status, headers) == (503, {"Retry-After": "2"})
    assert json.loads(json.dumps(body)) == {
        "detail": "In words.",
        "error": "RateLimitError",
        "outcome": "rejected",
        "retry_after": 1.2,
        "idempotency_key": "sale-17",
    }


def test_a_time_that_is_not_known_is_no_header() -> None:
    assert error_answer(errors.NotFoundError("Gone.")).headers == {}


def test_an_error_of_the_application_itself_shows_no_details() -> None:
    for error in (errors.UnauthorizedError("canary", retry_after=1.0), SmscodeError("canary")):
        assert error_answer(error) == ({"detail": "Internal Server Error"}, 500, {})


def test_a_class_that_is_not_in_the_table_has_the_status_of_its_base() -> None:
    class Own(errors.NotFoundError):
        pass

    assert Own not in ERROR_STATUSES
    body, status, _ = error_answer(Own("Gone."))
    assert (body["error"], status) == ("Own", 404)


def test_no_web_framework_is_imported_for_it() -> None:
    program = (
        "import sys; sys.modules['fastapi'] = sys.modules['starlette'] = None\n"
        "from smscode.ext.error_answers import ERROR_STATUSES; print(len(ERROR_STATUSES))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(ERROR_STATUSES)


def test_fastapis_module_has_the_same_table() -> None:
    pytest.importorskip("fastapi")
    from smscode.ext import fastapi

    assert fastapi.ERROR_STATUSES is ERROR_STATUSES
