"""The rate limits in force in this process."""
