"""A file comes in: understood as far as possible, kept until the person has looked it over."""

from datetime import datetime, timedelta
from itertools import islice
from pathlib import PurePath

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from accounts.models import User
from sequences.importing.columns import Column, assign, guess
from sequences.importing.reading import SAMPLE_ROWS, FileRefused, open_table
from sequences.models import CandidateImport

FORGOTTEN_AFTER = timedelta(days=7)


def too_large() -> FileRefused:
    return FileRefused("too_large", f"This file is larger than {most()}. Split it, or leave out columns.")


def most() -> str:
    """How large a file may be, for people."""
    return f"{settings.CANDIDATE_FILE_MAX_BYTES // (1024 * 1024)} MB"


def keep(*, file: "UploadedFile[bytes]", user: User, now: datetime) -> CandidateImport:
    """Read the file to its end once, guess its columns, and keep it for the preview. Raises `FileRefused`."""
    if (file.size or 0) > settings.CANDIDATE_FILE_MAX_BYTES:
        raise too_large()
    content = file.read()
    table = open_table(content)
    sample = [cells for _, cells in islice(table.rows(), SAMPLE_ROWS)]
    return CandidateImport.objects.create(
        organization=user.organization,
        user=user,
        file_name=PurePath(file.name or "candidates.csv").name[-200:],
        content=content,
        columns=_as_json(guess(table.headers, sample)),
        rows=sum(1 for _ in table.rows()),
        created_at=now,
    )


def choose_columns(upload: CandidateImport, fields: list[str]) -> None:
    """What the person says each column fills; for an unknown field it is left out."""
    headers = [str(column["header"]) for column in upload.columns]
    if len(fields) == len(headers):
        upload.columns = _as_json(assign(headers, fields))
        CandidateImport.objects.filter(pk=upload.pk, state=CandidateImport.State.PREVIEW).update(columns=upload.columns)


def discard(upload: CandidateImport) -> bool:
    """Forget a file that was not imported. False if it is being imported, or was."""
    deleted, _ = CandidateImport.objects.filter(pk=upload.pk, state=CandidateImport.State.PREVIEW).delete()
    return bool(deleted)


def forget_abandoned(now: datetime) -> int:
    """Files hold personal data: those that nobody confirmed within a week go, and failed ones lose their content."""
    old = CandidateImport.objects.filter(created_at__lt=now - FORGOTTEN_AFTER)
    deleted, _ = old.filter(state=CandidateImport.State.PREVIEW).delete()
    emptied = old.filter(state=CandidateImport.State.FAILED).exclude(content=None).update(content=None)
    return deleted + emptied


def _as_json(columns: list[Column]) -> list[dict[str, str]]:
    return [{"header": column.header, "field": column.field} for column in columns]
