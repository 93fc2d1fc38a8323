"""What the source must not do: build SQL or HTML from values, read the environment anywhere, unpack an archive."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

import rally_pipeline
from rally_pipeline.errors import RallyError, UsageError
from rally_pipeline.orchestration.instance import ui_command
from rally_pipeline.settings import Settings, load_settings
from rally_pipeline.warehouse.engine import normalise_url, open_warehouse

PACKAGE = Path(rally_pipeline.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
#: Text that is SQL: it begins with one of these in capitals.
SQL = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|COPY|ATTACH|ANALYZE|PRAGMA|SET|COMMENT|GRANT|REVOKE|WITH)\s"
)
#: Calls that take SQL as text.
TAKES_SQL = {"text", "exec_driver_sql", "literal_column", "DDL", "execute", "executemany", "executescript", "copy"}
#: Where text that is SQL is put together of more than names of declared tables, and why nothing from outside gets in.
PUT_TOGETHER = {
    # COPY and the fast INSERT of SQLite: names of declared tables and columns, quoted by the dialect; values are bound.
    "warehouse/load.py",
    # DuckDB's own files: names of declared tables and columns, and paths of ours, all quoted.
    "publish/duckdb_file.py",
    # COPY of a declared table and of a select whose values the dialect renders; names are quoted, values are bound.
    "warehouse/arrow.py",
    # ALTER TABLE and LOCK TABLE take no parameters: names of declared tables, columns and keys, quoted.
    "warehouse/indexes.py",
    # GRANT and ALTER ROLE take no parameters: names of roles and tables, quoted; one JSON text, quoted.
    "warehouse/roles.py",
}


def parsed() -> Iterator[tuple[str, ast.Module]]:
    for path in MODULES:
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            yield name, node


def is_harmless(value: ast.expr) -> bool:
    """Whether nothing from outside can be in a part of a text: a table's name, a constant, or a whole number."""
    if isinstance(value, ast.BinOp):
        return is_harmless(value.left) and is_harmless(value.right)
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "int"
    if isinstance(value, ast.Name):
        return value.id.isupper()
    return isinstance(value, ast.Constant) or (isinstance(value, ast.Attribute) and value.attr == "name")


def is_put_together(node: ast.expr) -> bool:
    """Whether a text is made of parts that are not written in the source, other than names of declared tables."""
    if isinstance(node, ast.JoinedStr):
        return not all(is_harmless(part.value) for part in node.values if isinstance(part, ast.FormattedValue))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        parts = (node.left, node.right)
        if not any(isinstance(part, ast.JoinedStr | ast.Constant) for part in parts):
            return False
        return any(not isinstance(part, ast.Constant) for part in parts)
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr in {"format", "join"}


def test_no_sql_is_put_together_from_values() -> None:
    found = []
    for name, tree in parsed():
        if name in PUT_TOGETHER or name.startswith("notes/"):
            continue
        for called, call in calls(tree):
            if called in TAKES_SQL and call.args and is_put_together(call.args[0]):
                found.append(f"{name}:{call.lineno} {called}({ast.unparse(call.args[0])[:60]})")
        for node in ast.walk(tree):
            first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else None
            if isinstance(first, ast.Constant) and SQL.match(str(first.value)) and is_put_together(node):
                found.append(f"{name}:{node.lineno} {ast.unparse(node)[:80]}")
    assert not found, "\n".join(found)


def test_the_scan_sees_what_it_must() -> None:
    bad = ['f"SELECT {x}"', '"SELECT %s" % x', '"SELECT " + x', '"SELECT {}".format(x)', '", ".join(x)']
    good = ['"SELECT 1"', 'f"ANALYZE {table.name}"', "statement", "sa.select(table)"]
    assert all(is_put_together(ast.parse(text, mode="eval").body) for text in bad)
    assert not any(is_put_together(ast.parse(text, mode="eval").body) for text in good)


def test_pages_escape_whatever_they_show() -> None:
    """Every template environment escapes, no template switches it off, and markup is made in one place only."""
    for name, tree in parsed():
        for called, call in calls(tree):
            if called == "Environment":
                options = {keyword.arg: keyword.value for keyword in call.keywords}
                assert ast.unparse(options["autoescape"]) == "True", name
            if called in {"Markup", "Template"}:
                assert name == "publish/site/shell.py", f"{name}:{call.lineno} makes markup of text"
    for path in PACKAGE.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape\s+false", text), path.name
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text), f"{path.name} loads something"
    for path in PACKAGE.rglob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text()), path


def test_the_environment_is_read_in_few_places() -> None:
    allowed = {
        "settings.py",  # RALLY_*, through pydantic
        "orchestration/instance.py",  # DAGSTER_HOME, and what the UI's process inherits
        "orchestration/event_log.py",  # DAGSTER_HOME
        "notes/readers/guard.py",  # what a guarded reader may inherit: a few names
    }
    reads = {
        name
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} and ast.unparse(node.value) == "os"
    }
    assert reads <= allowed


def test_nothing_is_unpacked_loaded_or_run() -> None:
    """Members of archives are read in memory by name; nothing is unpickled, evaluated or given to a shell."""
    forbidden = {"extractall", "unpack_archive", "eval", "exec", "system", "popen", "unsafe_load", "full_load"}
    found = [
        f"{name}:{call.lineno} {called}"
        for name, tree in parsed()
        for called, call in calls(tree)
        if called in forbidden
        or (called == "load" and ast.unparse(call.func) in {"pickle.load", "marshal.load", "yaml.load"})
        or any(keyword.arg == "shell" for keyword in call.keywords)
    ]
    assert not found


def test_the_webserver_is_bound_to_this_machine(tmp_path: Path) -> None:
    command, _ = ui_command(load_settings(home=tmp_path), 3999)
    assert command[command.index("-h") + 1] == "127.0.0.1"
    looking, _ = ui_command(load_settings(home=tmp_path), 3999, read_only=True)
    assert looking[1:3] == ["-m", "dagster_webserver"]
    assert looking[looking.index("-h") + 1] == "127.0.0.1"
    assert "--read-only" in looking
    for name, tree in parsed():
        hosts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and n.value in {"0.0.0.0", "::"}]
        assert not hosts, f"{name} binds to all addresses"


# --- secrets

SECRET = "hunter2-secret"
SECRETS = {
    "warehouse_url": f"postgresql://bot:{SECRET}@127.0.0.1:1/none",
    "upstream_base": f"http://bot:{SECRET}@127.0.0.1:1",
    "dagster_url": f"postgresql+psycopg2://bot:{SECRET}@127.0.0.1:1/none",
    "celery_broker_url": f"redis://:{SECRET}@127.0.0.1:1/0",
    "celery_backend_url": f"redis://:{SECRET}@127.0.0.1:1/1",
    "openlineage_url": f"http://bot:{SECRET}@127.0.0.1:1",
    "openlineage_api_key": SECRET,
    "alert_webhook_url": f"https://hooks.example.org/services/T0/B0/{SECRET}",
    "alert_smtp_url": f"smtp://bot:{SECRET}@mail.example.org:587",
    "alert_email_to": "desk@example.org",
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"RALLY_{name.upper()}", value)
    return load_settings(home=tmp_path)


def test_settings_show_no_secret(settings: Settings) -> None:
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in settings.model_dump_json(exclude={"upstream_base", "openlineage_url"})
    assert settings.alert_webhook_url is not None
    assert settings.alert_webhook_url.get_secret_value().endswith(SECRET)


@pytest.mark.parametrize("value", [*SECRETS.values(), f"POST /services/T0/B0/{SECRET} failed", f"ftp://a:{SECRET}x@h"])
def test_masked_takes_secrets_out_of_any_text(settings: Settings, value: str) -> None:
    assert SECRET not in settings.masked(f"cannot reach {value}: refused")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALERT_WEBHOOK_URL", f"ftp://example.org/{SECRET}"),
        ("ALERT_WEBHOOK_URL", f"https://example.org:{SECRET}/x"),
        ("ALERT_WEBHOOK_URL", f"https://[{SECRET}/x"),
        ("ALERT_WEBHOOK_URL", f"https://example.org/{SECRET}\r\nHost: x"),
        ("ALERT_SMTP_URL", f"bot:{SECRET}@mail.example.org"),
        ("ALERT_SMTP_URL", f"smtp://bot:{SECRET}@"),
        ("ALERT_EMAIL_TO", f"{SECRET}\nBcc: x@y.z"),
        ("WAREHOUSE_URL", f"mysql://bot:{SECRET}@h/d"),
        ("WAREHOUSE_URL", f"bot:{SECRET}@h"),
        ("DAGSTER_URL", f"postgresql://bot:{SECRET}@h/d"),
        ("CELERY_BROKER_URL", f"http://:{SECRET}@h"),
        ("CELERY_BACKEND_URL", f"redis://[{SECRET}"),
        ("UPSTREAM_BASE", f"bot:{SECRET}@h"),
    ],
)
def test_a_wrong_setting_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv("RALLY_ALERT_EMAIL_TO", "desk@example.org")
    monkeypatch.setenv(f"RALLY_{name}", value)
    with pytest.raises(UsageError) as caught:
        normalise_url(load_settings(home=tmp_path).resolved_warehouse_url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert f"RALLY_{name}" in str(caught.value)


def test_mail_needs_somebody_to_go_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RALLY_ALERT_SMTP_URL", f"smtp://bot:{SECRET}@mail.example.org")
    with pytest.raises(UsageError, match="RALLY_ALERT_EMAIL_TO") as caught:
        load_settings(home=tmp_path)
    assert SECRET not in str(caught.value)


def test_a_warehouse_that_cannot_be_reached_shows_no_password(settings: Settings) -> None:
    warehouse = open_warehouse(settings.resolved_warehouse_url)
    assert SECRET not in warehouse.display_url
    assert SECRET not in repr(warehouse)
    with pytest.raises(RallyError) as caught, warehouse.read():
        pass
    shown = "".join(traceback.format_exception(caught.value))
    assert "127.0.0.1" in shown
    assert SECRET not in shown
    assert SECRET not in str(sa.make_url(settings.resolved_warehouse_url))
