"""So many attempts in a span of time and no more, counted for all web workers together."""

from datetime import datetime

from django.core.cache import cache


def is_too_many(what: str, *, most: int, within_seconds: int, now: datetime) -> bool:
    """Count one more of `what`; true once there were more than `most` in the span that began with the first."""
    began_at = cache.get_or_set(f"{what}:began", now.timestamp(), within_seconds)
    key = f"{what}:{began_at}"
    cache.add(key, 0, within_seconds)
    count: int = cache.incr(key)
    cache.touch(key, within_seconds)  # by counting, the database's cache cuts its life to the usual 300 seconds
    return count > most
