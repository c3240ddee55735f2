"""Run the stand-in tenant: `python -m sandbox --port 8400 --state DIR`."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from sandbox.application import Application
from sandbox.post import Post
from sandbox.store import StateInUse, Store
from sandbox.wire import Server
from sandbox.world import CLIENT_ID, CLIENT_SECRET, App, World


def main() -> int:
    options = _options()
    try:
        store = Store(options.state)
    except StateInUse:
        return _complain(f"Another sandbox keeps its state in {options.state}.")
    world = World(store, App(client_id=options.client_id, secret=options.client_secret))
    post = Post(world)
    try:
        server = Server(options.port, Application(world, post))
    except OSError:
        return _complain(f"Port {options.port} is taken.")
    if options.settle is not None:
        with world.lock:
            world.turn({"settle_seconds": options.settle})
    _serve(server, post)
    world.lock.acquire()  # for good: who is being answered must not find the store closed
    store.close()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox", description="A stand-in Microsoft 365 tenant, on this machine.")
    parser.add_argument("--port", type=int, default=8400, help="on the loopback interface (0: any free one)")
    parser.add_argument("--state", type=Path, default=Path("var/sandbox"), help="the folder to keep its state in")
    parser.add_argument("--settle", type=float, metavar="SECONDS", help="from Drafts to Sent Items (usually 1)")
    parser.add_argument("--client-id", default=os.environ.get("MICROSOFT_CLIENT_ID") or CLIENT_ID)
    parser.add_argument("--client-secret", default=os.environ.get("MICROSOFT_CLIENT_SECRET") or CLIENT_SECRET)
    return parser.parse_args()


def _serve(server: Server, post: Post) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        server.close()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    post.start()
    print(f"The sandbox tenant is at http://localhost:{server.port}/", flush=True)
    server.serve()
    post.stop()


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
