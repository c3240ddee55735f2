"""What people and programs call time zones."""

from functools import lru_cache
from zoneinfo import available_timezones

from mailconnect.mailbox_settings import iana_zone


@lru_cache(maxsize=4096)
def zone_of(text: str) -> str:
    """The IANA name for "Europe/Berlin", "berlin", "W. Europe Standard Time"; empty for what no zone is called."""
    text = text.strip()
    if not text:
        return ""
    return iana_zone(text) or _spoken().get(text.casefold().replace(" ", "_"), "")


@lru_cache(maxsize=1)
def _spoken() -> dict[str, str]:
    """By whole name in any case, and by city."""
    names = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("posix", "right")))
    by_city = {name.rsplit("/", 1)[1].casefold(): name for name in reversed(names) if not name.startswith("Etc/")}
    return by_city | {name.casefold(): name for name in names}
