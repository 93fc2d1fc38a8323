"""The files in deploy/ name what exists: settings, commands, modules, files; and they hold no secret.

Belongs here: what can be told without Docker or a cluster. Does not belong here: running them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rally_pipeline.cli import cli
from rally_pipeline.orchestration.instance import instance_config
from rally_pipeline.settings import Settings
from rally_pipeline_tests.workspaces import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
HELM = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
VARIABLES = {f"RALLY_{name.upper()}" for name in Settings.model_fields}
#: Variables of these files alone: passwords and the tag of the image.
OF_COMPOSE = {"RALLY_DB_PASSWORD", "RALLY_TAG"}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(child)


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = COMPOSE["services"]
    return found


@pytest.mark.parametrize(
    "path", sorted(path for path in DEPLOY.iterdir() if path.is_file()), ids=lambda path: path.name
)
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"RALLY_[A-Z_]*[A-Z]", path.read_text()))
    assert named - {"RALLY_ALERT"} <= VARIABLES | OF_COMPOSE


def test_every_command_exists() -> None:
    scripts = {script.name for script in importlib.metadata.entry_points(group="console_scripts")} | {"rally-pipeline"}
    commands = [service["command"] for service in services().values() if "image" in service and "command" in service]
    commands += [container["command"] for one in mappings(KUBERNETES) for container in one.get("containers", ())]
    checks = [service["healthcheck"]["test"][1:] for service in services().values() if "healthcheck" in service]
    assert len(commands) > 6
    for command in (*commands, *(check for check in checks if len(check) > 1)):
        if command[0] in ("sh", "python"):
            continue
        assert command[0] in scripts, command
        if command[0] == "rally-pipeline":
            found = cli.commands[command[1]]
            options = {option for parameter in found.params for option in parameter.opts}
            assert {part for part in command if part.startswith("--")} <= options
    modules = {part for command in commands for part in command if part.startswith("rally_pipeline.")}
    modules |= {part for one in mappings(HELM) for part in one.get("dagsterApiGrpcArgs", ()) if "." in part}
    assert modules == {"rally_pipeline.definitions", "rally_pipeline.orchestration.celery_app"}
    assert all(importlib.util.find_spec(module) for module in modules)


def test_dagster_knows_the_options() -> None:
    from dagster._cli.api import api_cli
    from dagster._daemon.cli import create_dagster_daemon_cli

    grpc = {option for parameter in api_cli.commands["grpc"].params for option in parameter.opts}
    assert {part for part in services()["code"]["command"] if part.startswith("--")} <= grpc
    (deployment,) = HELM["dagster-user-deployments"]["deployments"]
    assert {part for part in deployment["dagsterApiGrpcArgs"] if part.startswith("--")} <= grpc
    daemon = create_dagster_daemon_cli().commands
    assert services()["daemon"]["command"][1] in daemon
    assert services()["daemon"]["healthcheck"]["test"][2] in daemon
    (server,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    command = services()[server["grpc_server"]["host"]]["command"]
    assert command[command.index("--port") + 1] == str(server["grpc_server"]["port"])


def test_ports_are_bound_to_this_machine() -> None:
    published = [port for service in services().values() for port in service.get("ports", ())]
    assert published
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published)
    assert HELM["dagsterWebserver"]["service"]["type"] == "ClusterIP"
    assert HELM["dagsterWebserver"]["enableReadOnly"] is True
    assert not HELM["ingress"]["enabled"]


def test_no_secret_stands_in_a_file() -> None:
    for one in (*mappings(COMPOSE), *mappings(HELM), *mappings(KUBERNETES)):
        for name, value in one.items():
            if isinstance(value, str) and re.search(r"PASSWORD|_URL$", name):
                passwords = re.findall(r"(?<=:)[^:/@]*(?=@)", value) if "://" in value else [value]
                assert all(re.fullmatch(r"\$\{[A-Z_]+(:\?.*|:-)?\}?.*", password) for password in passwords), name
    for line in (DEPLOY / ".env.example").read_text().splitlines():
        if "PASSWORD" in line and not line.startswith("#"):
            assert line.endswith("=")
    assert (ROOT / ".gitignore").read_text().splitlines().count("deploy/.env") == 1
    assert not re.search(r"https?://|--index-url|PASSWORD|^ARG", DOCKERFILE, re.MULTILINE)


def test_every_secret_of_compose_is_in_the_example() -> None:
    text = (DEPLOY / "compose.yaml").read_text() + (DEPLOY / "postgres-init.sh").read_text()
    needed = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    given = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert needed <= given
    assert {"POSTGRES_PASSWORD", "RALLY_DB_PASSWORD", "READER_PASSWORD", "REDIS_PASSWORD"} == needed


def test_the_image_is_built_of_what_is_there_and_runs_as_nobody() -> None:
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)
    assert "--require-hashes" in DOCKERFILE
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user == [("10001", "10001")]
    contexts = [one for one in (*mappings(HELM), *mappings(KUBERNETES)) if "runAsUser" in one]
    assert len(contexts) == 4
    assert {(one["runAsUser"], one["runAsNonRoot"]) for one in contexts} == {(10001, True)}


def test_helm_has_the_instance_of_dagster_yaml() -> None:
    """The chart writes the instance's file itself; what it is told is what ours says."""
    ours = yaml.safe_load(instance_config(is_postgres=True))
    pools, runs = ours["concurrency"]["pools"], ours["concurrency"]["runs"]
    assert HELM["concurrency"]["pools"] == {"granularity": pools["granularity"], "defaultLimit": pools["default_limit"]}
    assert HELM["concurrency"]["runs"] == {"maxConcurrentRuns": runs["max_concurrent_runs"]}
    retries, monitoring = HELM["dagsterDaemon"]["runRetries"], HELM["dagsterDaemon"]["runMonitoring"]
    assert retries["maxRetries"] == ours["run_retries"]["max_retries"]
    assert retries["retryOnAssetOrOpFailure"] == ours["run_retries"]["retry_on_asset_or_op_failure"]
    assert monitoring["startTimeoutSeconds"] == ours["run_monitoring"]["start_timeout_seconds"]
    sensor = HELM["retention"]["sensor"]["purgeAfterDays"]
    assert {name: sensor[name] for name in ours["retention"]["sensor"]["purge_after_days"]} == (
        ours["retention"]["sensor"]["purge_after_days"]
    )
    assert HELM["retention"]["schedule"]["purgeAfterDays"] == ours["retention"]["schedule"]["purge_after_days"]
    assert HELM["telemetry"] == ours["telemetry"]
    assert HELM["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
