"""`python -m bench [--full]`: measures, prints the table (ours, the limit or peer, the ratio), writes bench/results.md.

All of it within one run, in turns, on loopback, in scratch databases. It ends by itself, after half an hour or so
(`--full` adds 5,000,000 enrollments, and ten minutes). `--only send,grow` measures a part.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import importing, measured, smtp_peer
from bench.clients import CLIENTS, Rate, pairs
from bench.databases import private_postgres, sqlite_file
from bench.running import StandIn, stand_in
from bench.table import Table

RESULTS = Path(__file__).parent / "results.md"
IN_FLIGHT = 128
WORKERS = 2
STARTING_SECONDS = 10  # within which a program is ready to send
LATENCY = 0.15
CEILING = IN_FLIGHT / (2 * LATENCY)
ROUNDS = 3
A_MILLION = 1_000_000


@dataclass
class Bench:
    standin: StandIn
    databases: dict[str, str]
    fresh: dict[str, str]  # others, that only what grows is measured in
    sizes: list[int]
    table: Table = field(default_factory=Table)
    speeds: dict[str, float] = field(default_factory=dict)  # ours, for the peers to be compared with
    cpu: list[float] = field(default_factory=list)  # ms per email

    def measured(self, what: str, database: str, **options: Any) -> Any:
        return measured.run(what, database=database, standin=self.standin.url, **options)

    def clients(self) -> None:
        self.standin.tell("faults")
        for name in CLIENTS:
            rate = pairs(self.standin, name, threads=16, seconds=2)
            self.table.say(f"bare two calls, {name}", f"{rate.per_second:,.0f}/s", f"{rate.cpu_ms:.2f} ms CPU a pair")

    # --- The way of an email ---------------------------------------------------------------------------------------

    def send(self) -> None:
        for name, url in self.databases.items():
            for latency in (0.0, LATENCY):
                self._send(f"{name}, {latency * 1000:.0f} ms", url, latency)

    def _send(self, label: str, url: str, latency: float) -> None:
        """Bare calls and ours in turns, so that both meet the same noise."""
        bare: list[Rate] = []
        ours: list[dict[str, float]] = []
        self.standin.tell("faults", latency=latency)
        for _ in range(ROUNDS):
            bare.append(pairs(self.standin, "http.client", threads=IN_FLIGHT if latency else 16, seconds=2.5))
            emails = 12_000 if latency else 24_000  # long enough that beginning and end count for little
            ours.append(self.measured("send_path", url, emails=emails, mailboxes=1000, in_flight=IN_FLIGHT))
        limit = statistics.median(rate.per_second for rate in bare)
        median = {name: statistics.median(one[name] for one in ours) for name in ours[0]}
        speed = self.speeds[label] = median["per_second"]
        self.table.compare(f"send path against bare calls, {label}", speed, limit, "/s", least=0.95 if latency else 0.6)
        if latency:
            self.table.compare(f"send path against in flight ÷ two calls, {label}", speed, CEILING, "/s", least=0.85)
        self.table.limit(f"SQL statements per email, {label}", median["statements"], "", most=1.5 if latency else 0.5)
        bare_cpu = statistics.median(rate.cpu_ms for rate in bare)
        self.table.say(f"CPU per email, {label}", f"{median['cpu_ms']:.2f} ms", f"{bare_cpu:.2f} ms bare")
        self.table.say(f"memory of the worker, {label}", f"{median['memory_mb']:,.0f} MB")
        self.cpu.append(median["cpu_ms"])
        if not latency:
            self._beside_each_other(label, url)

    def _beside_each_other(self, label: str, url: str) -> None:
        """A worker per core: one holds Python's lock, and with it one core."""
        rates = [[self._rate_of(workers, url) for workers in (1, WORKERS)] for _ in range(ROUNDS)]
        one, all_together = map(statistics.median, zip(*rates, strict=True))
        self.table.compare(f"{WORKERS} workers against one, {label}", all_together, one, "/s")

    def _rate_of(self, workers: int, url: str) -> float:
        emails = self.measured("make_due", url, emails=24_000, mailboxes=1000)
        starts_at = time.monotonic() + STARTING_SECONDS
        with ThreadPoolExecutor(workers) as pool:
            running = [
                pool.submit(self.measured, "send_due", url, in_flight=IN_FLIGHT, starts_at=starts_at)
                for _ in range(workers)
            ]
            found = [one.result() for one in running]
        sent = sum(one["accepted"] for one in found)
        if sent != emails:
            raise RuntimeError(f"{sent} of {emails} emails left.")
        return float(sent / max(one["seconds"] for one in found))

    def memory(self) -> None:
        for name, url in self.databases.items():
            day = self.measured("a_day", url, mailboxes=100, each=3)
            growth = day["late_mb"] / day["early_mb"]
            what = f"memory after 24 h against after 3 h ({day['sent']:,} emails sent and settled), {name}"
            self.table.limit(what, growth, " times", most=1.1, other=f"{day['late_mb']:.0f} MB")

    def peers(self) -> None:
        for name, url in self.databases.items():
            for latency, emails, least in ((0.0, 400, 8), (LATENCY, 300, 10)):
                label = f"{name}, {latency * 1000:.0f} ms"
                self.standin.tell("faults", latency=latency)
                self._task_per_email(label, url, emails, least, together=not latency)
            self._post_office(name, url)

    def _task_per_email(self, label: str, url: str, emails: int, least: int, *, together: bool) -> None:
        """Eight processes of theirs have all cores: where cores count, so have ours. In turns, against the noise."""
        theirs, ours = [], []
        for _ in range(ROUNDS):
            theirs.append(self.measured("one_task_per_email", url, emails=emails)["per_second"])
            if together:
                ours.append(self._rate_of(WORKERS, url))
        peer, what = statistics.median(theirs), f"against one django-q2 task per email, {label}"
        one = self.speeds.get(label, 0.0)
        self.table.compare(f"one worker {what}", one, peer, "/s", least=None if together else least)
        if together:
            self.table.compare(f"{WORKERS} workers {what}", statistics.median(ours), peer, "/s", least=least)

    def _post_office(self, name: str, url: str) -> None:
        what = f"against django-post-office to an SMTP sink, {name}"
        try:
            peer = smtp_peer.per_second(url, emails=2000)
        except smtp_peer.NotInstalled as error:
            self.table.say(what, "not measured", str(error))
        else:
            self.table.compare(what, self.speeds.get(f"{name}, 0 ms", 0.0), peer, "/s", least=1.25)

    # --- How it grows ----------------------------------------------------------------------------------------------

    def grow(self) -> None:
        for name, url in self.fresh.items():
            times: dict[int, float] = {}
            sending: dict[int, float] = {}
            pages: dict[int, float] = {}
            for size in self.sizes:
                self.measured("prepare", url, enrollments=size)
                self.measured("vacuum", url)
                times[size], sending[size] = self._find_and_send(name, url, size)
                if size <= A_MILLION:
                    pages[size] = self._pages(name, url, size)
            self._growth(f"finding work, {name}", times)
            self._growth(f"the send path, {name}", sending)
            self._growth(f"the slowest page, {name}", pages, most=None)
            self._claimers(name, url)
            self._backlog(name, url, times[self.sizes[-1]])

    def _find_and_send(self, name: str, url: str, size: int) -> tuple[float, float]:
        """Milliseconds to find 500 emails, and for one to go the whole way at 0 ms, from mailboxes of its own. In
        turns: the machine has bad moments."""
        self.standin.tell("faults")
        finds: list[dict[str, float]] = []
        rates: list[float] = []
        for _ in range(ROUNDS):
            finds.append(self.measured("find", url))
            sent = self.measured("send_path", url, emails=6000, mailboxes=500, in_flight=IN_FLIGHT)
            rates.append(sent["per_second"])
        found = {what: statistics.median(one[what] for one in finds) for what in finds[0]}
        what = f"find {found['found']:.0f} due of {size:,}, {name}"
        share = f"at most {found['most_of_one']:.0f} of one mailbox"
        self.table.limit(what, found["ms"], " ms", most=10, other=share)
        speed = statistics.median(rates)
        self.table.say(f"send path among {size:,}, {name}", f"{speed:,.0f}/s")
        return found["ms"], 1000 / speed

    def _growth(self, what: str, times: dict[int, float], *, most: float | None = 1.5) -> None:
        """Of the time, from the smallest to the largest: the exponent is 0 where size costs nothing, 1 where twice
        the size takes twice the time."""
        smallest, largest = min(times), max(times)
        ratio = times[largest] / times[smallest]
        exponent = f"exponent {math.log(ratio) / math.log(largest / smallest):.2f}"
        what = f"growth: {what}, {largest:,} against {smallest:,}"
        if most:
            self.table.limit(what, ratio, " times", most=most, other=exponent)
        else:
            self.table.say(what, f"{ratio:.2f} times", exponent)

    def _claimers(self, name: str, url: str) -> None:
        """One claimer and eight: what they find, and that no lease was given twice."""
        rates = {}
        self.measured("everybody_due", url)
        for count in (1, 8):
            with ThreadPoolExecutor(count) as pool:
                waiting = [pool.submit(self.measured, "claim", url, seconds=3) for _ in range(count)]
                found = [one.result() for one in waiting]
            leases = [tuple(lease) for one in found for lease in one["leases"]]
            if not leases:
                raise RuntimeError("Nothing was claimed.")
            if len(leases) != len(set(leases)):
                raise RuntimeError("A lease was given twice.")
            rates[count] = sum(one["found"] for one in found) / 3
        least = 1.2 if name == "postgresql" else 0.6
        self.table.compare(f"8 claimers against 1, no double lease, {name}", rates[8], rates[1], "/s", least=least)

    def _backlog(self, name: str, url: str, before: float) -> None:
        waiting = self.measured("backlog", url, enrollments=200_000)
        found = self.measured("find", url)
        what = f"find with {waiting:,} waiting in one mailbox, against without, {name}"
        self.table.limit(what, found["ms"] / before, " times", most=1.5)

    def _pages(self, name: str, url: str, size: int) -> float:
        """The median of the slowest, in ms."""
        found = self.measured("pages", url)
        for page, one in found.items():
            other = f"p95 {one['p95_ms']:.0f} ms, {one['queries']:.0f} queries, {one['cpu_ms']:.0f} ms CPU"
            self.table.limit(f"page {page} at {size:,}, {name}", one["ms"], " ms", most=100, other=other)
        return max(float(one["ms"]) for one in found.values())

    # --- Enrolling, and what a day costs ------------------------------------------------------------------------------

    def enroll(self) -> None:
        for name, url in self.databases.items():
            seconds = {}
            for rows in importing.SIZES:
                one = importing.measure(url, rows)
                seconds[rows] = rows / one.rows_per_second
                what = f"enroll {rows:,} from a CSV ({one.peak_mb:.0f} MB), {name}"
                if rows == importing.SIZES[-1]:
                    self.table.reach(what, one.rows_per_second, " rows/s", least=8000)
                else:
                    self.table.say(what, f"{one.rows_per_second:,.0f} rows/s")
            self._growth(f"enrolling, {name}", seconds, most=None)

    def estimate(self) -> None:
        if self.cpu:
            emails = 10_000 * 50
            hours = emails * max(self.cpu) / 1000 / 3600
            rate = f"{emails / 8 / 3600:.0f} emails/s for 8 h"
            self.table.say("10,000 mailboxes × 50 emails a day", rate, f"{hours:.2f} h of CPU a day")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="up to 5,000,000 enrollments")
    parser.add_argument(
        "--only", default="", help="parts, with commas between: clients, send, memory, peers, enroll, grow"
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"])
    options = parser.parse_args()
    started = time.monotonic()
    with ExitStack() as stack:
        standin = stack.enter_context(stand_in())
        databases, fresh = {}, {}
        if options.database != "postgresql":
            databases["sqlite"], fresh["sqlite"] = (stack.enter_context(sqlite_file()) for _ in range(2))
        if options.database != "sqlite" and (cluster := stack.enter_context(private_postgres())):
            databases["postgresql"], fresh["postgresql"] = map(cluster.create_database, ("bench", "bench_growth"))
        for url in (*databases.values(), *fresh.values()):
            measured.run("migrate", database=url)
        sizes = [10_000, 100_000, A_MILLION] + ([5_000_000] if options.full else [])
        bench = Bench(standin, databases, fresh, sizes)
        names = ["clients", "send", "memory", "peers", "enroll", "grow", "estimate"]
        parts: dict[str, Callable[[], None]] = {name: getattr(bench, name) for name in names}
        for name, part in parts.items():
            if not options.only or name in options.only.split(","):
                part()
                RESULTS.write_text(bench.table.markdown(time.monotonic() - started), encoding="utf-8")
    print(f"\nWrote {RESULTS} after {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
