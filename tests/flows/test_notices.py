"""People are told what happened: by webhook, on Slack and by e-mail, through blocks of a real Prefect server."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock, MattermostWebhook, SlackWebhook
from prefect.blocks.system import Secret
from prefect.blocks.webhook import Webhook
from prefect_email import EmailServerCredentials

from components.records.models import ModelVersion
from components.records.notices import Notice
from components.records.watching import Decision, Window, WindowFacts
from components.registry.moves import Move
from components.settings.monitoring import EVERY_NOTICE, MonitoringSettings, NoticeSettings
from components.settings.project import Project
from flows import notices, sending
from flows.demo.application import Batch
from flows.folders import outbox
from flows.monitor import monitor
from flows.notice_table import try_out
from flows.reconcile import reconcile
from flows.stack.servers import QUIET
from flows.tasks import notifying
from tests.browser import open_page
from tests.flows.harness import Harness
from tests.flows.receivers import Post, Web, mail_server, web_server
from tests.flows.small import write_project
from tests.flows.test_windows import send_rows

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC))
TO = ("ann@example.org", "bob@example.org")


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server."""
    with web_server() as found:
        yield found


@pytest.fixture
def post() -> Iterator[Post]:
    """A mail server."""
    with mail_server() as found:
        yield found


def telling(stack: Harness, name: str, *blocks: str, events=EVERY_NOTICE) -> Project:
    """A project of its own that tells these."""
    settings = NoticeSettings(blocks=blocks, email_to=TO, events=events)
    return stack.project.model_copy(update={"name": name, "monitoring": MonitoringSettings(notices=settings)})


def breach(project: Project, **changes) -> Decision:
    """A breached window."""
    facts = WindowFacts(WINDOW, 3, 5_000, 0, ("temp", "wind"), 0.5, report="/reports/week.html")
    given = {"id": "d1", "verdict": "keep", "reason": "no, although 50% of the columns drifted"} | changes
    return Decision(project=project.name, window=WINDOW, version=3, rules=(), facts=facts, **given)


def test_a_breach_is_told_once_however_often_the_task_runs(stack: Harness, web: Web):
    """A window that is measured again, or a task that is retried, tells nobody again."""
    pager = CustomWebhookNotificationBlock(
        name="pager", url=f"{web.address}/hook", json_data={"title": "{{subject}}", "text": "{{body}}"}
    )
    pager.save("pager", overwrite=True)
    project = telling(stack, "told-once", "custom-webhook/pager")

    @flow
    def watch() -> None:
        notifying.tell(project, notices.of_decision, breach(project))
        notifying.tell(project, notices.of_decision, breach(project, id="another policy"))

    watch()

    (body,) = web.bodies
    assert body["title"] == "told-once: 2026-03-01..2026-03-08 is breached"
    assert body["text"].startswith("no, although 50% of the columns drifted\nhttp")
    assert "/reports/" in body["text"]
    assert [entry.state for entry in notices.notice_box("told-once").history("told-once")] == ["told"]


def test_a_calm_window_and_an_unwanted_event_are_not_told(stack: Harness, web: Web):
    """`events` says what is told."""
    Webhook(url=web.address).save("calm", overwrite=True)
    project = telling(stack, "calm", "webhook/calm", events=("rollback",))
    calm = Decision("d", "calm", WINDOW, 3, "keep", "no", (), WindowFacts(WINDOW, 3, 5_000, 0, drift_share=0.0))

    assert notices.of_decision(project, calm) is None
    assert notices.note(project, notices.of_decision(project, breach(project))) == 0
    assert web.bodies == []


def test_every_kind_of_block_is_told_the_subject_the_reason_and_the_link(stack: Harness, web: Web, post: Post):
    """A plain webhook, a chat, and letters to everyone who is named."""
    Webhook(url=f"{web.address}/plain").save("plain", overwrite=True)
    chat = MattermostWebhook(
        hostname="127.0.0.1", port=int(web.address.rpartition(":")[2]), token="a" * 26, secure=False
    )
    chat.save("chat", overwrite=True)
    EmailServerCredentials(smtp_server="127.0.0.1", smtp_port=post.port, smtp_type="INSECURE").save(
        "letters", overwrite=True
    )
    project = telling(stack, "kinds", "webhook/plain", "mattermost-webhook/chat", "email-server-credentials/letters")
    version = ModelVersion("kinds", 4, "run", "0" * 64)
    move = Move(4, 5, WINDOW.end, "5 was worse", "ann@host", is_rollback=True)
    notices.note(project, notices.of_rollback(project, version, move))

    received = sending.send_due(project, seconds=60)

    assert received == 3
    bodies = dict(zip(web.paths, web.bodies, strict=True))
    plain = bodies["/plain"]
    assert (plain["event"], plain["version"], plain["project"]) == ("rollback", 4, "kinds")
    assert plain["subject"] == "kinds: back to version 4 from 5"
    assert plain["reason"] == "5 was worse (ann@host)"
    assert plain["link"].endswith("/#/models/kinds/versions/4")
    assert "5 was worse" in str(bodies[f"/hooks/{'a' * 26}"])
    (letter,) = post.letters
    assert letter["Subject"] == "kinds: back to version 4 from 5"
    assert plain["link"] in letter.get_content()
    assert post.receivers == [list(TO)]


def test_slack_gets_what_slack_wants(stack: Harness, web: Web):
    """The block takes addresses of hooks.slack.com alone, so the loaded one is sent to the test's own server."""
    SlackWebhook(url="https://hooks.slack.com/services/T0A1B2C3D/B0A1B2C3D/aBcDeFgHiJkLmNoPqRsTuVwX").save(
        "team", overwrite=True
    )
    project = telling(stack, "slack", "slack-webhook/team")
    block = sending._load("slack-webhook/team", project)
    (plugin,) = block._apprise_client.servers
    plugin.webhook_url = f"{web.address}/services"

    sending._sender(block, project)(Notice("slack", "promotion", "k", "slack: version 4 is promoted", "0.03 better"))

    (body,) = web.bodies
    assert web.paths == ["/services/T0A1B2C3D/B0A1B2C3D/aBcDeFgHiJkLmNoPqRsTuVwX"]
    assert "slack: version 4 is promoted" in str(body)
    assert "0.03 better" in str(body["attachments"])


def test_a_dead_receiver_delays_nobody_and_is_tried_again(stack: Harness, web: Web, caplog):
    """The others are told; what it was to hear waits for `reconcile`, and its address stands in no log."""
    caplog.set_level(logging.DEBUG)
    CustomWebhookNotificationBlock(
        name="x", url="http://127.0.0.1:9/s3cr3t", json_data={"text": "{{body}}"}, timeout=30
    ).save("dead", overwrite=True)
    Webhook(url=f"{web.address}/s3cr3t").save("slow", overwrite=True)
    CustomWebhookNotificationBlock(name="x", url=f"{web.address}/s3cr3t", json_data={"text": "{{body}}"}).save(
        "failing", overwrite=True
    )
    blocks = ("custom-webhook/dead", "webhook/slow", "custom-webhook/failing")
    project = telling(stack, "dead-ends", *blocks)
    web.status, web.seconds = 500, 3
    notices.note(project, notices.of_retraining(project, "50% of the columns drifted", "d1"))
    box = notices.notice_box("dead-ends")

    begun = time.monotonic()
    received = sending.send_due(project, seconds=2)
    took = time.monotonic() - begun
    time.sleep(6)
    waiting = {entry.block: (entry.state, entry.failure) for entry in box.history("dead-ends")}
    web.status, web.seconds = 200, 0
    again = sending.send_due(project, seconds=60)

    assert received == 0
    assert took < 10
    assert waiting["custom-webhook/dead"] == ("waiting", "sending failed with ConnectError")
    assert waiting["custom-webhook/failing"] == ("waiting", "it answered 500")
    assert waiting["webhook/slow"] == ("waiting", "it answered 500")
    assert again == 2
    assert {entry.block: entry.state for entry in box.history("dead-ends")} == {
        "custom-webhook/dead": "waiting",
        "webhook/slow": "told",
        "custom-webhook/failing": "told",
    }
    assert "tried again" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_a_receiver_that_is_given_up_is_said(stack: Harness, caplog):
    """After five tries a sentence says who was not told what, and how to try it."""
    Webhook(url="http://127.0.0.1:9/s3cr3t").save("gone", overwrite=True)
    project = telling(stack, "given-up", "webhook/gone")
    notices.note(project, notices.of_rejection(project, ModelVersion("given-up", 7, "run", "0" * 64), "worse"))

    for _ in range(6):
        sending.send_due(project, seconds=60)

    (entry,) = notices.notice_box("given-up").history("given-up")
    assert (entry.state, entry.tries) == ("given_up", 5)
    assert "wanted to tell webhook/gone that given-up: version 7 is not promoted, but" in caplog.text
    assert "everfit notices" in caplog.text


def test_a_block_that_is_not_there_or_cannot_tell_is_said_in_three_parts(stack: Harness):
    """At the time of `everfit check` and `everfit notices`, and as the reason why a notice waits."""
    Secret(value="x").save("nothing", overwrite=True)
    project = telling(stack, "unknown", "slack-webhook/nobody", "team", "secret/nothing")

    nobody, unwritten, secret = sending.unknown(project)

    assert "monitoring.notices.blocks wants 'slack-webhook/nobody', written as TYPE/NAME, but http://" in nobody
    assert "knows no such block; save one under Blocks in the Prefect UI" in nobody
    assert "wants 'team', written as TYPE/NAME" in unwritten
    assert "secret is none; name one such as slack-webhook/team" in secret


def test_letters_without_addresses_are_refused(stack: Harness, post: Post):
    """The project file must say to whom."""
    EmailServerCredentials(smtp_server="127.0.0.1", smtp_port=post.port, smtp_type="INSECURE").save(
        "nobody", overwrite=True
    )
    settings = NoticeSettings(blocks=("email-server-credentials/nobody",))
    project = stack.project.model_copy(update={"monitoring": MonitoringSettings(notices=settings)})

    (sentence,) = sending.unknown(project)

    assert "monitoring.notices.email_to is empty; add one" in sentence


def test_a_test_notice_says_who_received_it(stack: Harness, web: Web, capsys):
    """One receiver is there, one is not: the command says so."""
    Webhook(url=web.address).save("there", overwrite=True)
    project = telling(stack, "tried", "webhook/there", "webhook/not-there")

    all_received = try_out(project)

    said = capsys.readouterr().out
    assert not all_received
    assert "webhook/there: received" in said
    assert "webhook/not-there: " in said
    assert "knows no such block" in said
    assert web.bodies[0]["event"] == "test"
    assert notices.notice_box("tried").history("tried") == [], "a test is no happening"


def test_a_notice_that_cannot_be_made_fails_no_flow(stack: Harness, caplog):
    """The flow goes on, and the log says what went wrong."""
    project = telling(stack, "unmade", "webhook/there")

    def broken(project: Project) -> Notice:
        raise RuntimeError("no such fact")

    @flow
    def watch() -> str:
        notifying.tell(project, broken)
        return "went on"

    assert watch() == "went on"


@pytest.mark.slow
def test_without_a_server_the_blocks_of_the_local_prefect_are_used(web: Web, tmp_path: Path):
    """`everfit` alone tells people too: blocks stand in the local Prefect database."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EVERFIT_", "PREFECT_"))}
    env = clean | QUIET | {"PREFECT_HOME": str(tmp_path / "prefect"), "EVERFIT_HOME": str(tmp_path / "home")}
    code = f"from prefect.blocks.webhook import Webhook; Webhook(url={web.address!r}).save('alone')"
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=200, capture_output=True)
    file = write_project(tmp_path / "project")
    file.write_text(file.read_text().replace("monitoring:\n", "monitoring:\n  notices: {blocks: [webhook/alone]}\n"))
    command = [sys.executable, "-m", "flows", "notices", str(file), "--test"]
    done = subprocess.run(command, env=env, check=False, timeout=200, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "webhook/alone: received" in done.stdout
    assert web.bodies[0]["project"] == "small-flights"


@pytest.mark.slow
def test_the_monitor_tells_of_a_breach_once_and_reconcile_what_was_not_received(
    live: Harness, batches: list[Batch], web: Web, tmp_path: Path
):
    """The notice leads to the window's report; a window that is measured again tells nobody again."""
    Webhook(url=web.address).save("watcher", overwrite=True)
    file = write_project(tmp_path / "project")
    file.write_text(file.read_text().replace("monitoring:\n", "monitoring:\n  notices: {blocks: [webhook/watcher]}\n"))
    until = datetime(2012, 11, 1, tzinfo=UTC)
    for batch in batches[:12]:
        send_rows(live, batch, until=until, rows=len(batch.rows))
    web.status = 500

    for _ in range(2):
        monitor(file, until=until)
        close_open(live, until)
    (waiting,) = notices.notice_box(live.project.name).history(live.project.name)
    web.status = 200
    reconcile(file)

    (told,) = notices.notice_box(live.project.name).history(live.project.name)
    assert (waiting.state, waiting.notice.event) == ("waiting", "breach")
    assert told.state == "told"
    received = web.bodies[-1]
    assert received["reason"].startswith("yes, because")
    assert "/projects/" in received["link"]
    with open_page(received["link"]) as view:
        view.page.get_by_text("2012-10-30..2012-11-01").first.wait_for()
    assert {body["key"] for body in web.bodies} == {told.notice.key}


def close_open(live: Harness, until: datetime) -> None:
    """These rows are made up, and nothing is to be learned from them."""
    box = outbox(live.project.name)
    for entry in box.history(live.project.name):
        if entry.decision.window.end == until and entry.is_open:
            box.close(entry.decision.id, "stale", "its rows were made up by a test")


@pytest.mark.slow
def test_a_command_tells_of_a_receiver_that_prefect_does_not_know(stack: Harness, tmp_path: Path):
    """`everfit check` finds it before anything happens that nobody hears of."""
    file = write_project(tmp_path / "project")
    file.write_text(file.read_text().replace("monitoring:\n", "monitoring:\n  notices: {blocks: [webhook/absent]}\n"))

    command = [sys.executable, "-m", "flows", "check", str(file)]
    done = subprocess.run(command, check=False, timeout=200, capture_output=True, text=True)

    assert done.returncode == 1
    assert "monitoring.notices.blocks wants 'webhook/absent'" in done.stderr
    assert "take it out of the project file" in done.stderr
