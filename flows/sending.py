"""Sends notices through Prefect's blocks, so that addresses and passwords stand in Prefect and nowhere else.

A receiver that does not answer delays nobody for more than some seconds and fails nothing: what was not received is
tried again by `reconcile`, and given up after a few tries. What a receiver said is never logged, because it may repeat
the address, which is a secret of itself.
"""

import asyncio
import contextvars
import logging
import smtplib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from email.message import EmailMessage
from functools import partial

import httpx
from prefect.blocks import notifications  # noqa: F401  its blocks are known once it is imported
from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect.blocks.core import Block
from prefect.blocks.webhook import Webhook
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect_email import EmailServerCredentials

from components.data.notices import MAX_TRIES, NoticeEntry
from components.errors import ProjectFileError, ServerError
from components.records.notices import Notice
from components.settings.project import Project
from flows.notices import notice_box

log = logging.getLogger(__name__)

# A flow waits so long for all receivers together; who is slower is noted when it answers, if the process still runs.
PATIENCE_SECONDS = 5.0
THREADS = "notices to "
# Slack's address is its password, and these would log it.
NAMES_ADDRESSES = ("httpx", "httpcore.connection", "httpcore.http11", "apprise", "urllib3.connectionpool")


def send_due(project: Project, *, seconds: float = PATIENCE_SECONDS) -> int:
    """Send what waits, to all receivers at once; how many notices were received in that time.

    Args:
        project: The project.
        seconds: How long to wait.
    """
    box, due = notice_box(project.name), dict[str, list[NoticeEntry]]()
    for entry in box.due(project.name):
        due.setdefault(entry.block, []).append(entry)
    received: list[NoticeEntry] = []

    def serve(entries: Sequence[NoticeEntry]) -> None:
        for entry in entries:
            if not box.take(entry):
                continue
            why = failure(entry.block, entry.notice, project)
            if not why:
                box.told(entry)
                received.append(entry)
                log.info("notice told project=%s event=%s block=%s", project.name, entry.notice.event, entry.block)
            elif box.failed(entry, why):
                log.warning("%s", _given_up(entry, why, project))
            else:
                log.warning("notice not received, it is tried again block=%s reason=%s", entry.block, why)

    left = _at_once({block: partial(serve, entries) for block, entries in due.items()}, seconds)
    for block in left:
        log.warning("notice not received within %.0f s, it is tried again block=%s", seconds, block)
    return len(received)


def tests(project: Project, notice: Notice, *, seconds: float) -> dict[str, str]:
    """What became of a notice that is sent to each receiver now: nothing if it was received, else why not."""
    became: dict[str, str] = {}

    def try_out(block: str) -> None:
        became[block] = failure(block, notice, project)

    blocks = project.monitoring.notices.blocks
    left = _at_once({block: partial(try_out, block) for block in blocks}, seconds)
    return {block: f"it did not answer within {seconds:.0f} s" if block in left else became[block] for block in blocks}


def unknown(project: Project) -> list[str]:
    """A sentence about each receiver that Prefect does not know, or that cannot be told anything."""
    found = []
    for slug in project.monitoring.notices.blocks:
        try:
            _sender(_load(slug, project), project)
        except (ProjectFileError, ServerError) as err:
            found.append(str(err))
    return found


def failure(slug: str, notice: Notice, project: Project) -> str:
    """Sends the notice to one receiver; why it was not received, as a sentence without any address, or nothing."""
    try:
        _sender(_load(slug, project), project)(notice)
    except (ProjectFileError, ServerError) as err:
        return str(err)
    except httpx.HTTPStatusError as err:
        return f"it answered {err.response.status_code}"
    except NotificationError:
        return "it was not accepted"
    except Exception as err:  # noqa: BLE001  whatever a receiver does must not end a flow
        return f"sending failed with {type(err).__name__}"
    return ""


def _load(slug: str, project: Project) -> Block:
    """The block of that slug.

    Raises:
        ProjectFileError: If there is none.
        ServerError: If Prefect does not answer.
    """
    where = get_current_settings().api.url or "the local Prefect database"
    kind, slash, name = slug.partition("/")
    try:
        if not (slash and kind and name):
            raise ValueError(slug)
        found: Block = Block.load(slug)
    except (ValueError, ObjectNotFound) as err:
        raise ProjectFileError(
            f"{project.file}: monitoring.notices.blocks wants {slug!r}, written as TYPE/NAME, but {where} knows no "
            "such block; save one under Blocks in the Prefect UI or with its save(), or take it out of the project file"
        ) from err
    except httpx.HTTPError as err:
        raise ServerError(
            f"wanted the block {slug!r} from Prefect at {where}, but that did not answer ({type(err).__name__}); "
            "notices are sent when it does"
        ) from None
    except Exception as err:  # noqa: BLE001  a block may fail in its own way to be made
        raise ServerError(
            f"wanted the block {slug!r} from Prefect at {where}, but it cannot be read here ({type(err).__name__}); "
            "save it again"
        ) from None
    return found


def _sender(block: Block, project: Project) -> Callable[[Notice], None]:
    """What sends a notice through such a block.

    Raises:
        ProjectFileError: If the block cannot tell anybody anything, or has nobody to write to.
    """
    slug = block.get_block_type_slug()
    if isinstance(block, NotificationBlock):
        return lambda notice: _notify(block, notice)
    if isinstance(block, Webhook):
        return lambda notice: _call(block, notice)
    if isinstance(block, EmailServerCredentials):
        to = project.monitoring.notices.email_to
        if not to:
            raise ProjectFileError(
                f"{project.file}: the block {slug} in monitoring.notices.blocks wants addresses to write to, but "
                "monitoring.notices.email_to is empty; add one"
            )
        return lambda notice: _mail(block, notice, to)
    raise ProjectFileError(
        f"{project.file}: monitoring.notices.blocks wants a block that notifies, a webhook or an e-mail server, but "
        f"{slug} is none; name one such as slack-webhook/team"
    )


def _notify(block: NotificationBlock, notice: Notice) -> None:
    block.notify(notice.text, subject=notice.subject)


def _call(block: Webhook, notice: Notice) -> None:
    asyncio.run(block.call({**asdict(notice), "text": f"{notice.subject}\n{notice.text}"})).raise_for_status()


def _mail(block: EmailServerCredentials, notice: Notice, to: Sequence[str]) -> None:
    message = EmailMessage()
    message["Subject"], message["To"] = notice.subject, ", ".join(to)
    message["From"] = block.username if block.username and "@" in block.username else to[0]
    message.set_content(notice.text)
    server: smtplib.SMTP = block.get_server()
    with server:
        server.send_message(message)


def _at_once(works: dict[str, Callable[[], None]], seconds: float) -> set[str]:
    """Does all of them at once; the names of those that were not done after that time."""
    _hush()
    threads = {}
    for name, work in works.items():
        # Prefect keeps its settings in the context, which a thread does not inherit. A daemon: no process waits for it.
        run = contextvars.copy_context().run
        threads[name] = threading.Thread(target=run, args=(work,), daemon=True, name=f"{THREADS}{name}")
        threads[name].start()
    end = time.monotonic() + seconds
    for thread in threads.values():
        thread.join(max(end - time.monotonic(), 0))
    return {name for name, thread in threads.items() if thread.is_alive()}


def _hush() -> None:
    """Loggers of others that name the address of a receiver say nothing of what is sent here."""
    for name in NAMES_ADDRESSES:
        logging.getLogger(name).addFilter(_is_elsewhere)


def _is_elsewhere(record: logging.LogRecord) -> bool:
    return not str(record.threadName).startswith(THREADS)


def _given_up(entry: NoticeEntry, why: str, project: Project) -> str:
    return (
        f"wanted to tell {entry.block} that {entry.notice.subject}, but it was not received in {MAX_TRIES} tries "
        f"({why}); it is given up: try the block out with everfit notices {project.file} --test"
    )
