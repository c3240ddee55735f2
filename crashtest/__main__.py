"""`python -m crashtest [--kills 1000] [--database sqlite]`: kills, prints the table, ends with 1 after any fault."""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from bench.databases import PrivatePostgres, private_postgres, sqlite_file
from bench.running import StandIn, stand_in

if TYPE_CHECKING:
    from crashtest.stage import Stage

MOST_ROUNDS = 12  # of a control, until chance has shown its fault
CALL_SECONDS = 30.0  # a call's timeout in production: no revocation takes longer
OUTAGE_SECONDS = {False: 5.0, True: 30.0}  # short, long


@contextmanager
def installation(database: str) -> Iterator[tuple[StandIn, PrivatePostgres | None]]:
    """Stand-in and database, and Django set up for them."""
    with ExitStack() as stack:
        standin = stack.enter_context(stand_in())
        postgres = stack.enter_context(private_postgres()) if database == "postgresql" else None
        if database == "postgresql" and postgres is None:
            sys.exit("PostgreSQL is not installed here: use --database sqlite.")
        url = postgres.create_database("crashtest") if postgres else stack.enter_context(sqlite_file())
        os.environ.update(MODE="demo", DATABASE_URL=url, SANDBOX_URL=standin.url)
        os.environ["LOG_LEVEL"] = "ERROR"
        os.environ["DJANGO_SETTINGS_MODULE"] = "metaview_outreach.settings"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("createcachetable")
        yield standin, postgres


def play(stage: "Stage", kills: int) -> None:
    """About so many kills: two thirds at the points, the rest in all other ways."""
    from bench.standin import FAULTS
    from crashtest import cutting, killing, restoring

    long = kills >= 500
    each = max(1, round(kills * 0.64 / len(killing.POINTS)))
    rest = max(3, round(kills * 0.36 / 6))
    stage.usual_faults()
    for point in killing.POINTS:
        killing.at_point(stage, point, each)
    killing.at_random_times(stage, rest)
    killing.all_together(stage, rest)
    killing.with_cron_and_two_clusters(stage, rest)
    killing.with_a_stepping_clock(stage, rest)
    killing.while_tokens_expire(stage, max(rest, 6))
    killing.stopped_past_the_lease(stage, rest if long else 4)
    killing.database_away(stage, OUTAGE_SECONDS[long])
    restoring.an_old_backup(stage)
    if seconds := cutting.cut_off(stage):
        print(f"A worker was cut off from the network: its mailboxes were taken over after {seconds:.1f} s.")
    if long:
        for kind in FAULTS:
            killing.with_fault(stage, kind, 0.2)


def table(stage: "Stage", left: int, seconds: float) -> bool:
    """Print it. Whether all is well."""
    rows = [(row, row.verdict) for row in stage.rows if row.verdict]
    print(f"\n{'where':34} {'kills':>6} {'emails':>7} {'sent':>6} {'duplicates':>11} {'lost':>5} {'unknown':>8}")
    for row, one in rows:
        print(
            f"{row.name:34} {row.kills:6} {one.emails:7} {one.sent:6} {one.duplicates:11} {one.lost:5} {one.unknown:8}"
            + ("   <- " + "; ".join(one.examples) if one.examples else "")
        )
    verdicts = [one for _, one in rows]
    print(
        f"{'together':34} {sum(row.kills for row, _ in rows):6} {sum(one.emails for one in verdicts):7} "
        f"{sum(one.sent for one in verdicts):6} {sum(one.duplicates for one in verdicts):11} "
        f"{sum(one.lost for one in verdicts):5} {sum(one.unknown for one in verdicts):8}"
    )
    print(
        f"\n{sum(stage.reached.values())} of the kills were at their own point, of {len(stage.reached)} points; "
        f"{left} emails did not come to rest; {seconds:.0f} s; stand-in: {stage.standin.ask('counts')}"
    )
    return left == 0 and all(one.is_clean() for one in verdicts)


def prove(stage: "Stage", kills: int) -> bool:
    """Ours must hold, whatever happens."""
    started = time.monotonic()
    play(stage, kills)
    left = stage.finish()
    stage.judge()
    return table(stage, left, time.monotonic() - started)


def revoke(stage: "Stage", count: int) -> bool:
    from crashtest import revoking

    found = revoking.revoke_at_random(stage, count)
    print("\n" + found.line("revoked at random moments"))
    return not found.late and max(found.seconds) < CALL_SECONDS


def mistrust(stage: "Stage") -> bool:
    """The controls must fail: what finds no fault in them finds no fault in anything."""
    from crashtest import controls

    chosen = controls.CONTROLS
    if stage.postgres is None:
        chosen = chosen | {"restored, and nobody told": controls.restored_in_silence}
    failing = []
    for name, control in chosen.items():
        rounds = next((number for number in range(1, MOST_ROUNDS + 1) if control(stage)), 0)
        failing.append(bool(rounds))
        what = f"fails, as it must (round {rounds})" if rounds else f"DID NOT FAIL in {MOST_ROUNDS} rounds"
        print(f"control: {name:40} {what}", flush=True)
    rows = [row.verdict for row in stage.rows if row.verdict]
    faults = sum(one.duplicates for one in rows), sum(one.lost for one in rows)
    print(f"{sum(failing)} of {len(failing)} controls fail; {faults[0]} duplicates, {faults[1]} lost in them.")
    return all(failing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--revocations", type=int, default=None, help="by default as many as kills")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["kills", "revocations", "controls"])
    options = parser.parse_args()
    parts: dict[str, Callable[[Stage], bool]] = {
        "kills": lambda stage: prove(stage, options.kills),
        "revocations": lambda stage: revoke(stage, options.revocations or options.kills),
        "controls": mistrust,
    }
    with installation(options.database) as (standin, postgres):
        from crashtest import scaled, stage, workers

        scaled.apply()
        well = True
        for name, part in parts.items():
            if options.only in (None, name):
                one = stage.Stage(standin, workers.Crew(), random.Random(options.seed), postgres)
                try:
                    well &= part(one)
                finally:
                    one.crew.end()
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
