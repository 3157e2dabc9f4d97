"""The settings of a Django site without any page, for the documentation's example."""

from __future__ import annotations

SECRET_KEY = "none"
ALLOWED_HOSTS = ["shop"]
ROOT_URLCONF = __name__
urlpatterns: list[object] = []
TIME_ZONE = None  # any other would be set for the whole process, so also for the tests that follow
