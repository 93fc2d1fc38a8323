"""What makes an OpenLineage event a valid one, and a server that takes them, for tests.

The package ships no JSON schema, so ``openlineage_spec.json`` beside this file is written from what the specification
documents. The classes that the package generates from the specification are a second opinion: which fields a facet has,
which it must have, and under which address its schema stands. Belongs here: both, and the server. Does not belong here:
what our events say.
"""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attr
import jsonschema

Event = dict[str, Any]


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    spec = json.loads(Path(__file__).with_name("openlineage_spec.json").read_text())
    jsonschema.Draft202012Validator.check_schema(spec)
    return jsonschema.Draft202012Validator(spec)


@functools.cache
def _classes() -> dict[str, type]:
    import openlineage.client.generated as generated

    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for made in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            if isinstance(made, type) and attr.has(made) and hasattr(made, "_get_schema"):
                found[made._get_schema()] = made
    return found


def problems(event: Event) -> list[str]:
    """What the specification does not allow in an event; nothing for a valid one."""
    found = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in _validator().iter_errors(event)]
    for place, facet in _facets(event):
        made = _classes().get(facet.get("_schemaURL", ""))
        if made is None:
            found.append(f"{place}: no facet has the schema {facet.get('_schemaURL')}")
            continue
        fields = attr.fields_dict(made)
        known = {name for name in fields if not name.startswith("__")}
        needed = {name for name, field in fields.items() if field.default is attr.NOTHING and not name.startswith("_")}
        found += [f"{place}: {name} is not of {made.__name__}" for name in set(facet) - known]
        found += [f"{place}: {made.__name__} needs {name}" for name in needed - set(facet)]
    return found


def _facets(event: Event) -> list[tuple[str, dict[str, Any]]]:
    holders = [("run", event["run"], "facets"), ("job", event["job"], "facets")]
    for side, own in (("inputs", "inputFacets"), ("outputs", "outputFacets")):
        for dataset in event.get(side, ()):
            holders += [(f"{side} {dataset.get('name')}", dataset, name) for name in ("facets", own)]
    return [
        (f"{place}.{name}", facet) for place, holder, key in holders for name, facet in (holder.get(key) or {}).items()
    ]


def events_in(folder: Path) -> list[Event]:
    """All events in the files of a folder, in order."""
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


class LineageServer:
    """A server on the loopback interface that keeps what it is sent.

    Args:
        status: what it answers.
        silent: take the request and never answer.
    """

    def __init__(self, status: int = 201, *, silent: bool = False) -> None:
        self.requests: list[tuple[str, dict[str, str], Event]] = []
        self._closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.requests.append((self.path, headers, json.loads(body)))
                if silent:
                    server._closing.wait(60)
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def events(self) -> list[Event]:
        """The events it was sent, in order."""
        return [event for _, _, event in self.requests]

    def __enter__(self) -> LineageServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
