"""The names this package goes by; the build reads the version from here."""

DISTRIBUTION = "smscode-async"
VERSION = "0.9.0"
