"""Floor 6: processes that compose everything below."""
