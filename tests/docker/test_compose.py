"""docker/compose.yaml agrees with the code: ports, names, commands and variables."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.serving.command import SERVICE
from components.settings.environment import Environment
from flows.stack.servers import Server, servers

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker/compose.yaml"
DEFAULTS = Environment.model_construct()
PORTS = {
    "tracking": DEFAULTS.mlflow_port,
    "prefect": DEFAULTS.prefect_port,
    "server": DEFAULTS.service_port,
    "evidently": DEFAULTS.evidently_port,
}
# Variables that mean the same in a container as on a laptop.
SHARED = {
    "BENTOML_DO_NOT_TRACK",
    "DO_NOT_TRACK",
    "MLFLOW_DISABLE_TELEMETRY",
    "OMP_WAIT_POLICY",
    "ORT_DISABLE_TELEMETRY",
}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml."""
    return yaml.safe_load(COMPOSE.read_text())["services"]


def dockerfile_of(service: dict[str, Any]) -> str:
    """Text of the Dockerfile that a service is built from."""
    return (ROOT / service["build"]["dockerfile"]).read_text()


def test_the_ports_are_the_defaults_and_for_this_machine_only(services):
    """Pages that ask nobody who they are cannot be reached from the network."""
    for name, service in services.items():
        published = service.get("ports", [])
        wanted = PORTS.get(name)
        if wanted is None:
            assert published == [], name
        else:
            assert re.fullmatch(rf"127\.0\.0\.1:\$\{{EVERFIT_\w+_PORT:-{wanted}\}}:{wanted}", published[0]), name


def test_the_addresses_between_containers_name_services_and_their_ports(services):
    """No container looks for another under a name or a port that nobody has."""
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            for host, port in re.findall(r"http://([a-z]+):(\d+)", str(value)):
                assert PORTS.get(host) == int(port), f"{name}: {variable}={value}"
            for host in re.findall(r"@([a-z]+)/", str(value)):
                assert host in services, f"{name}: {variable}"


def test_every_everfit_variable_is_one_that_the_code_reads(services):
    """A setting that was renamed is not left behind in the containers."""
    known = {f"EVERFIT_{field}".upper() for field in Environment.model_fields} | {"EVERFIT_PROJECT_FILE"}
    files = [*(ROOT / "docker").glob("*.Dockerfile")]
    used = {name for service in services.values() for name in service.get("environment", {})}
    used |= {name for file in files for name in re.findall(r"\b(EVERFIT_\w+)=", file.read_text())}

    assert {name for name in used if name.startswith("EVERFIT_")} <= known


def test_every_variable_of_the_file_stands_in_the_example(services):
    """Whoever fills in env.example has filled in everything, and it holds no password."""
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    offered = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "docker/env.example").read_text(), re.MULTILINE))

    assert asked == set(offered)
    assert all(value == "" for name, value in offered.items() if "PASSWORD" in name)


def last_command(service: dict[str, Any]) -> list[str]:
    """The CMD of the image, without the CMD of its health check."""
    found = re.findall(r"^CMD (\[.*?\])$", dockerfile_of(service).replace("\\\n", ""), re.MULTILINE)
    return json.loads(found[-1])


def variables(service: dict[str, Any]) -> dict[str, str]:
    """The ENV of the image."""
    text = dockerfile_of(service).replace("\\\n", "")
    words = shlex.split(" ".join(re.findall(r"^ENV (.*)$", text, re.MULTILINE)))
    return dict(word.split("=", 1) for word in words)


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> dict[str, Server]:
    """The servers of `everfit up`, which tests of their own start for real."""
    project = tmp_path_factory.mktemp("project") / "project.yaml"
    source = "{class_path: components.data.sources.Csv, init_args: {path: rows.csv}}"
    target = "{column: late, kind: binary}"
    project.write_text(f"name: p\ndata: {{source: {source}, target: {target}, timestamp: at}}\n")
    return {server.name: server for server in servers(DEFAULTS, project)}


def options(command: list[str]) -> dict[str, str]:
    """Each option of a command with its value."""
    return {word: command[i + 1] for i, word in enumerate(command[:-1]) if word.startswith("--")}


def test_the_servers_are_started_as_the_local_stack_starts_them(services, local):
    """Programs, subcommands and options are those of `everfit up`."""
    commands = {
        "mlflow": last_command(services["tracking"]),
        "prefect": services["prefect"]["entrypoint"] + services["prefect"]["command"],
        "evidently": services["evidently"]["entrypoint"] + services["evidently"]["command"],
        "runner": ["everfit", *services["worker"]["command"]],
    }

    for name, command in commands.items():
        known = {Path(word).name for word in local[name].command} | {"everfit"}
        words = [word for word in command if re.fullmatch(r"(--)?[a-z][a-z-]*", word)]
        assert set(words) <= known, name


def test_the_endpoint_is_started_as_the_serving_room_starts_it(services, local):
    """The same class, options and variables; only addresses and folders are the container's."""
    command, wanted = last_command(services["server"]), local["service"]
    found = variables(services["server"])
    theirs = {name: value for name, value in wanted.env.items() if name in SHARED or name.startswith("MLFLOW_HTTP")}

    assert command[:3] == ["bentoml", "serve", SERVICE]
    assert SERVICE in wanted.command
    assert options(command).keys() == options(wanted.command[2:]).keys()
    for option in ("--timeout-keep-alive", "--timeout-graceful-shutdown", "--port"):
        assert options(command)[option] == options(wanted.command)[option]
    assert {name: found.get(name) for name in theirs} == theirs
    assert json.loads(found["BENTOML_CONFIG_OVERRIDES"]) == json.loads(wanted.env["BENTOML_CONFIG_OVERRIDES"])


def test_the_worker_is_asked_for_its_health_as_the_runner_is(services, local):
    """The health check of the image asks where the runner's variables make it answer."""
    found = variables(services["worker"])
    wanted = {name: value for name, value in local["runner"].env.items() if name.startswith("PREFECT_RUNNER_")}

    assert {name: found.get(name) for name in wanted} == wanted
    assert local["runner"].health in dockerfile_of(services["worker"])


def test_the_everfit_command_is_the_worker_s_entrypoint(services):
    """The worker starts with the console script that the package installs."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert 'ENTRYPOINT ["everfit"]' in dockerfile_of(services["worker"])
    assert scripts["everfit"] == "flows.cli:main"


def test_the_worker_reads_the_ledger_that_the_server_writes(services):
    """Both see the same home folder and the same project files."""
    assert services["worker"]["volumes"] == services["server"]["volumes"] == services["evidently"]["volumes"]


def test_no_container_may_gain_rights(services):
    """All of ours drop every capability; PostgreSQL's image needs some to step down from root by itself."""
    for name, service in services.items():
        if name != "postgres":
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_every_start_waits_for_what_it_needs(services):
    """A container that another waits for says whether it is healthy."""
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            healthy = "healthcheck" in services[needed] or "HEALTHCHECK" in dockerfile_of(services[needed])
            assert how == {"condition": "service_healthy"}
            assert healthy, needed


def test_images_are_pinned_to_a_full_version(services):
    """What was tested is what runs."""
    foreign = [service["image"] for service in services.values() if "build" not in service]

    assert all(re.search(r":\d+\.\d+", image) for image in foreign)


def test_keys_of_the_endpoint_reach_the_server_and_the_flows_that_ask_it(services):
    """Both read one file, which may be absent; its example names variables that are ours."""
    example = (ROOT / "docker" / "endpoint.env.example").read_text()
    names = {line.partition("=")[0] for line in example.splitlines() if line and not line.startswith("#")}

    assert services["server"]["env_file"] == services["worker"]["env_file"]
    assert services["server"]["env_file"] == [{"path": "endpoint.env", "required": False}]
    assert names == {"EVERFIT_API_KEYS_FILE", "EVERFIT_API_KEY", "EVERFIT_HASH_KEY"}
    assert {name.removeprefix("EVERFIT_").lower() for name in names} <= set(Environment.model_fields)
    assert variables(services["server"])["EVERFIT_HOST"] == "0.0.0.0"
