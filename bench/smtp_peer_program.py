"""Queue emails with django-post-office and send them to an SMTP sink: `smtp_peer_program.py DATABASE EMAILS`."""

import asyncio
import json
import os
import sys
import threading
import time

import dj_database_url
import django
from django.conf import settings
from django.core.management import call_command

TEXT = "<p>We have read your work with interest and would like to talk.</p>" * 12
GIVE_UP_AFTER = 120


class Sink(asyncio.Protocol):
    """An SMTP server that says yes to everything."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.data, self.in_body = transport, b"", False
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.data += data
        while b"\n" in self.data:
            if not self.in_body:
                line, _, self.data = self.data.partition(b"\n")
                self._answer(line[:4].upper())
            elif (end := self.data.find(b"\r\n.\r\n")) >= 0:
                self.data, self.in_body = self.data[end + 5 :], False
                self.transport.write(b"250 ok\r\n")
            else:
                return

    def _answer(self, word: bytes) -> None:
        self.in_body = word == b"DATA"
        answers = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
        self.transport.write(answers.get(word, b"250 ok\r\n"))


def sink() -> int:
    """Serve in a thread; returns the port."""
    ports: list[int] = []
    ready = threading.Event()

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    ready.wait(10)
    return ports[0]


def measure(emails: int) -> float:
    from post_office import mail
    from post_office.models import STATUS, Email

    email = {"sender": "a@demo.example", "subject": "A word?", "html_message": TEXT}
    queued = [email | {"recipients": [f"c{n}@candidates.example"]} for n in range(emails)]
    mail.send_many(queued)
    started = time.monotonic()
    while Email.objects.filter(status=STATUS.queued).exists() and time.monotonic() < started + GIVE_UP_AFTER:
        mail.send_queued(processes=1)
    seconds = time.monotonic() - started
    return emails / seconds if Email.objects.filter(status=STATUS.sent).count() == emails else 0.0


def main() -> None:
    settings.configure(
        DATABASES={"default": dj_database_url.parse(sys.argv[1])},
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["post_office"],
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=sink(),
        SECRET_KEY="of no use",
        POST_OFFICE={"THREADS_PER_PROCESS": 5, "BATCH_SIZE": 100},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )
    django.setup()
    call_command("migrate", verbosity=0)
    print("result " + json.dumps(measure(int(sys.argv[2]))), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
