"""The pages that a person opens: what matters is visible, and the console holds no error."""

from datetime import timedelta

import pytest

from components.registry import versions
from flows.demo.application import Application, Batch
from tests.browser import open_page
from tests.flows.conftest import due
from tests.flows.harness import Harness
from tests.flows.small import BEGIN, NAME

pytestmark = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.xdist_group("stack"),
    pytest.mark.timeout(400),
]

WINDOW = timedelta(days=2)
START = BEGIN + timedelta(days=6)


@pytest.fixture(scope="module")
def watched(live: Harness, batches: list[Batch]) -> Harness:
    """A window with traffic, labels and a report."""
    application = Application(live.environment.service, timedelta(0))
    list(application.send_all(due(batches, START, WINDOW)))
    application.send_labels(START + WINDOW)
    live.run("monitor", until=START + WINDOW)
    return live


def test_the_openapi_page_shows_the_real_columns(live: Harness):
    """GET / is a page with the columns of the live version, and it draws without the network."""
    with open_page(live.environment.service) as view:
        view.page.get_by_text("/predict").first.click()
        view.page.get_by_text("sched_dep_minute").first.wait_for()

        assert "wind_speed" in view.text
        assert view.errors == []


def test_the_mlflow_run_tells_the_story(live: Harness):
    """The run's page in MLflow shows the metric and the registered version."""
    champion = versions.version(NAME, 1)
    base = f"http://{live.environment.host}:{live.environment.mlflow_port}"
    with open_page(f"{base}/#/models/{NAME}/versions/{champion.version}") as view:
        view.page.get_by_text("roc_auc").first.wait_for()

        # MLflow's own page asks who the user is, which a server without accounts does not know.
        assert NAME in view.text
        assert [error for error in view.errors if "users/current" not in error] == []


def test_the_evidently_dashboard_draws_the_windows(watched: Harness):
    """The project stands in Evidently's workspace, with a dashboard over the windows."""
    base = f"http://{watched.environment.host}:{watched.environment.evidently_port}"
    with open_page(base) as view:
        view.page.get_by_text(NAME).first.click()
        view.page.locator(".js-plotly-plot, canvas, svg").first.wait_for()
        view.page.get_by_text("rift").first.wait_for()

        assert view.errors == []


def test_the_prefect_page_lists_the_deployments(live: Harness):
    """The Prefect UI shows the project's deployments with their schedules."""
    with open_page(f"http://{live.environment.host}:{live.environment.prefect_port}/deployments") as view:
        view.page.get_by_text("monitor").first.wait_for()

        assert NAME in view.text
