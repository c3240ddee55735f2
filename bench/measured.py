"""One measurement in a program of its own: `python -m bench.measured NAME --option value` prints a line of JSON.

Django knows one database per process, and nothing is left over from the measurement before.
"""

import argparse
import json
import os
import subprocess
import sys
from typing import Any

PREFIX = "result "


def run(name: str, *, database: str, standin: str = "", within: float = 900, **options: Any) -> Any:
    """Called by the bench: starts the program and returns what it measured."""
    environment = os.environ | {"MODE": "demo", "DATABASE_URL": database, "SANDBOX_URL": standin, "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "bench.measured", name, json.dumps(options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=within, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith(PREFIX)]
    if not found:
        raise RuntimeError(f"{name} measured nothing: {done.stderr[-2000:]}")
    return json.loads(found[-1].removeprefix(PREFIX))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("options", type=json.loads)
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metaview_outreach.settings")
    import django

    django.setup()
    from bench import measurements

    print(PREFIX + json.dumps(measurements.NAMED[asked.name](**asked.options)), flush=True)


if __name__ == "__main__":
    main()
