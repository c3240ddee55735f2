"""An import as the page makes it, for tests that begin after the upload."""

from datetime import datetime

from accounts.models import User
from sequences.importing.columns import guess
from sequences.importing.reading import open_table
from sequences.models import CandidateImport, Sequence

HEADER = "E-mail,First name,Last name,Company,Time zone,GitHub"


def uploaded(
    user: User, now: datetime, *lines: str, sequence: Sequence | None = None, waiting: bool = True
) -> CandidateImport:
    content = "\n".join((HEADER, *lines)).encode()
    columns = guess(open_table(content).headers)
    return CandidateImport.objects.create(
        organization=user.organization,
        user=user,
        sequence=sequence,
        file_name="candidates.csv",
        content=content,
        columns=[{"header": column.header, "field": column.field} for column in columns],
        rows=len(lines),
        state=CandidateImport.State.WAITING if waiting else CandidateImport.State.PREVIEW,
        created_at=now,
        started_at=now if waiting else None,
        progressed_at=now if waiting else None,
    )
