"""An import under way: chunk by chunk, each in one transaction with its progress, so that a crash repeats nothing."""

import logging
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from django.db import OperationalError, transaction
from django.urls import reverse
from django_q.tasks import async_task

from accounts.auditing import record
from accounts.models import User
from accounts.notifying import notify
from mailconnect.queue import ring
from sequences.enrolling import EnrollRefused, Outcome, enroll_batch
from sequences.importing.columns import EMAIL, Column
from sequences.importing.reading import FileRefused, open_table
from sequences.importing.rows import Refusal, Row, read
from sequences.importing.storing import store
from sequences.importing.zones import zone_of
from sequences.models import CandidateImport, Sequence
from sequences.pausing import mailboxes_of

logger = logging.getLogger(__name__)

CHUNK = 2_500
SLICE_SECONDS = 45  # of a task; the cluster ends one at 120
KEPT_REFUSALS = 1_000
STALLED_AFTER = timedelta(minutes=5)
WORTH_A_NOTICE = timedelta(seconds=30)  # sooner, the person still looks at the page
TASK = "sequences.importing.tasks.run"
State = CandidateImport.State
UNDER_WAY = (State.WAITING, State.RUNNING)
PROGRESS = (
    *("state", "reason", "progressed_at", "rows_read", "created", "updated", "enrolled", "enrolling"),
    *("refused", "refusals"),
)
# Why an import failed: what happened and what to do. `FileRefused` has reasons of its own, found before it starts.
FAILED = {
    "interrupted": (
        "The import was interrupted twice at the same place.",
        "What it had stored is kept. Start it again: it goes on where it stopped.",
    ),
    "broken": (
        "Something is wrong on our side; the operator has been told.",
        "What it had stored is kept. Start it again: it goes on where it stopped.",
    ),
    "archived": (
        "The sequence was archived meanwhile.",
        "All candidates up to here are kept. Start it again without the sequence.",
    ),
    "unreadable": (
        "The file cannot be read to its end.",
        "What was stored is kept. Correct the file and upload it again.",
    ),
}


class StartRefused(ValueError):
    """The import cannot start now; the text says why."""


@transaction.atomic
def start(*, upload: CandidateImport, sequence: Sequence | None, actor: User, now: datetime) -> None:
    """Confirmed by the person: wait for a worker. Also starts a failed import again, where it stopped."""
    locked = _lock(upload.pk)
    if locked.state not in (State.PREVIEW, State.FAILED):
        raise StartRefused("This import has already started.")
    if not any(column.field == EMAIL for column in columns_of(locked)):
        raise StartRefused("Choose the column that has the e-mail addresses.")
    changes = {"state": State.WAITING, "reason": "", "sequence": sequence, "progressed_at": now}
    CandidateImport.objects.filter(pk=locked.pk).update(**changes, started_at=locked.started_at or now)
    record(
        organization=locked.organization,
        actor=actor,
        action="import.started",
        target=locked,
        now=now,
        sequence=sequence.pk if sequence else None,
    )
    _queue(locked.pk)


def advance(import_id: int, *, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
    """Store what one task's time allows, then let another task go on; end as done, or as failed with a reason."""
    give_way_at = monotonic() + SLICE_SECONDS
    try:
        for chunk in _chunks(import_id):
            if not _store(import_id, chunk, clock()):
                return  # another worker is at it
            if monotonic() > give_way_at:
                _queue(import_id)
                return
        _finish(import_id, clock())
    except EnrollRefused as refused:
        _fail(import_id, refused.reason, clock())
    except FileRefused:
        _fail(import_id, "unreadable", clock())
    except OperationalError:
        # The database was away, or two got in each other's way: it goes on by itself, see `continue_stalled`.
        logger.warning("Import %s was interrupted", import_id)
    except Exception as error:
        # Without the error's text: a database quotes the rows that it refuses.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("Import %s broke off with %s\n%s", import_id, type(error).__name__, where)  # noqa: TRY400
        _fail(import_id, "broken", clock())


def continue_stalled(now: datetime) -> int:
    """Wake imports whose worker died; one that dies at the same place again has failed. Returns how many woke."""
    stalled = CandidateImport.objects.filter(state__in=UNDER_WAY, progressed_at__lt=now - STALLED_AFTER)
    stalled.filter(state=State.RUNNING, reason="interrupted").update(state=State.FAILED, progressed_at=now)
    woken = list(stalled.values_list("pk", flat=True))
    stalled.filter(pk__in=woken, state=State.RUNNING).update(reason="interrupted")
    stalled.filter(pk__in=woken).update(progressed_at=now)
    for import_id in woken:
        async_task(TASK, import_id)
    return len(woken)


def columns_of(upload: CandidateImport) -> list[Column]:
    return [Column(**column) for column in upload.columns]


@dataclass
class _Chunk:
    """Some rows of the file that belong together: one transaction."""

    first: int  # how many rows of the file come before it
    size: int = 0
    rows: dict[str, Row] = field(default_factory=dict)  # by address
    again: set[str] = field(default_factory=set)  # addresses that came before, too
    refusals: list[Refusal] = field(default_factory=list)

    def add(self, row: Row | Refusal, seen: Collection[str]) -> None:
        self.size += 1
        if isinstance(row, Refusal):
            self.refusals.append(row)
        elif row.email in self.rows:
            self.rows[row.email] = self.rows[row.email].completed_by(row)
        else:
            self.rows[row.email] = row
            if row.email in seen:
                self.again.add(row.email)


def _chunks(import_id: int) -> Iterator[_Chunk]:
    """What is not stored yet. Rows that were stored are read again, to know their addresses when they come twice."""
    upload = CandidateImport.objects.filter(pk=import_id, state__in=UNDER_WAY).first()
    if upload is None:
        return
    table = open_table(bytes(upload.content or b""))
    rows = read(table, columns_of(upload), zone_of)
    seen = {row.email for row in islice(rows, upload.rows_read) if isinstance(row, Row)}
    chunk = _Chunk(upload.rows_read)
    for row in rows:
        chunk.add(row, seen)
        if chunk.size == CHUNK:
            yield chunk
            seen.update(chunk.rows)
            chunk = _Chunk(chunk.first + chunk.size)
    if chunk.size:
        yield chunk


@transaction.atomic
def _store(import_id: int, chunk: _Chunk, now: datetime) -> bool:
    """The chunk and the progress, in one transaction; false if they are stored already."""
    upload = _lock(import_id)
    if upload.state not in UNDER_WAY or upload.rows_read != chunk.first:
        return False
    stored = store(chunk.rows.values(), organization_id=upload.organization_id, import_id=import_id, now=now)
    if upload.sequence_id:
        comers = [pk for email, pk in stored.ids.items() if email not in chunk.again]
        outcome = enroll_batch(upload.sequence_id, comers, actor=upload.user, now=now)
        upload.enrolled += outcome.enrolled + outcome.continued
        upload.enrolling = (Outcome(**upload.enrolling) + outcome).counts()
    upload.state, upload.reason, upload.progressed_at = State.RUNNING, "", now
    upload.rows_read += chunk.size
    upload.created += stored.created
    upload.updated += stored.updated - len(chunk.again)
    upload.refused += len(chunk.refusals)
    kept = chunk.refusals[: KEPT_REFUSALS - len(upload.refusals)]
    upload.refusals += [[refusal.line, refusal.reason, refusal.value] for refusal in kept]
    upload.save(update_fields=PROGRESS)
    return True


@transaction.atomic
def _finish(import_id: int, now: datetime) -> None:
    upload = _lock(import_id)
    if upload.state not in UNDER_WAY:
        return
    upload.state, upload.reason, upload.finished_at, upload.content = State.DONE, "", now, None
    upload.save(update_fields=("state", "reason", "finished_at", "content"))
    record(
        organization=upload.organization,
        actor=upload.user,
        action="candidates.imported",
        target=upload,
        now=now,
        rows=upload.rows,
        refused=upload.refused,
        **({"sequence": upload.sequence_id} | upload.enrolling if upload.sequence_id else {}),
    )
    if upload.sequence:
        # Should a crash have swallowed the bell of a chunk; and without waiting for the minute's.
        transaction.on_commit(partial(ring, mailboxes_of(upload.sequence), at=now))
        transaction.on_commit(partial(async_task, "sequences.tasks.tick"))
    if upload.started_at and now - upload.started_at > WORTH_A_NOTICE:
        _tell(upload, now)


def _fail(import_id: int, reason: str, now: datetime) -> None:
    under_way = CandidateImport.objects.filter(pk=import_id, state__in=UNDER_WAY)
    under_way.update(state=State.FAILED, reason=reason, progressed_at=now)


def _tell(upload: CandidateImport, now: datetime) -> None:
    stored = upload.created + upload.updated
    notify(
        user=upload.user,
        kind="import_done",
        title=f"“{upload.file_name}” is imported",
        text=f"{stored:,} candidates are in. {upload.refused:,} rows were refused.",
        url=reverse("sequences:import", args=[upload.pk]),
        now=now,
    )


def _lock(import_id: int) -> CandidateImport:
    locked = CandidateImport.objects.select_for_update(of=("self",))
    return locked.select_related("organization", "user", "sequence").defer("content").get(pk=import_id)


def _queue(import_id: int) -> None:
    transaction.on_commit(partial(async_task, TASK, import_id))
