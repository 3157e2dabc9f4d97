"""From bytes to models: strict JSON, one converter per API version, rows."""
