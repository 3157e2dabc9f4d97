"""From bytes to models: body, strict JSON, one converter per API version, rows."""
