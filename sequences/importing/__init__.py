"""A file of candidates: read, mapped, looked over by the person, then stored in the background."""
