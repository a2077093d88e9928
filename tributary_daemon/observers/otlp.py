"""Export of spans that no SDK has made: OTLP over HTTP, in the messages that OpenTelemetry generates.

The SDK's exporter makes a message for each attribute, span and list and copies each four times, which takes
as long as the engine takes for a step. Here they are written where they stay.
"""

from __future__ import annotations

import gzip
import os
import threading
import time
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.observers.span_queue import SpanQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tributary_daemon.observers.span_records import Common, EndedSpan

# SpanFlags of trace.proto: whether what is above is of another process is known; and it is
_KNOWN: Final = 0x100
_REMOTE: Final = 0x200
# beginnings of spans that are kept; those of one handler are a few, of many tenants many
_COMMON: Final = 1000
_TIMEOUT: Final = 10.0
_MAY_HEAL: Final = (429, 502, 503, 504)
_RETRIES: Final = 3
_SAY_EVERY: Final = 60.0
_CODE: Final = "OTEL_PYTHON_EXPORTER_OTLP"
"""Variables that begin so name code which the SDK's exporter is to use."""


def is_plain(environ: Mapping[str, str]) -> bool:
    """Return whether an exporter is asked for that does what `Exporter` does."""
    protocol = _setting(environ, "PROTOCOL") or "http/protobuf"
    return protocol == "http/protobuf" and not any(name.startswith(_CODE) for name in environ)


class Exporter:
    """Exports spans in a thread of its own, in batches.

    Args:
        template: a span of the SDK's, whose resource and scope are those of all.
        failed: told what went wrong, once a minute at most.
        environ: the standard variables.

    Attributes:
        queue: of what is to be exported.

    Raises:
        ImportError: a package is not installed.
    """

    def __init__(
        self, template: Any, failed: Callable[[str], None], environ: Mapping[str, str] = os.environ
    ) -> None:
        encoder: Any = import_module("opentelemetry.exporter.otlp.proto.common.trace_encoder")
        self._context: Any = import_module("opentelemetry.context")
        self._template = encoder.encode_spans([template])
        del self._template.resource_spans[0].scope_spans[0].spans[:]
        self._failed, self._say_at = failed, 0.0
        self._post = Post(environ)
        self._delay = _number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000
        self.queue = SpanQueue(
            int(_number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)),
            int(_number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
        )
        self._known: dict[Common, Any] = {}
        self._dropped = 0
        self._exporting = threading.Lock()
        threading.Thread(target=self._run, name="spans", daemon=True).start()

    def force_flush(self, _timeout_millis: int = 30_000) -> bool:
        """Export what there is; return whether all of it was taken."""
        taken = True
        with self._exporting:
            while spans := self.queue.next():
                taken = self._export([span.ended() for span in spans]) and taken
        return taken

    def _run(self) -> None:
        # or instrumented clients would make spans of these exports, to be exported
        self._context.attach(self._context.set_value("suppress_instrumentation", True))
        while True:
            self.queue.wait(self._delay)
            self.force_flush()

    def _export(self, spans: Sequence[EndedSpan]) -> bool:
        self._dropped += self.queue.dropped()
        wrong = self._post(self.encoded(spans))
        if (wrong or self._dropped) and time.monotonic() >= self._say_at:
            self._say_at = time.monotonic() + _SAY_EVERY
            if wrong is None:
                dropped, self._dropped = self._dropped, 0
                self._failed(f"{dropped} spans dropped: more of them ended than could be exported")
            else:
                self._failed(wrong)
        return wrong is None

    def encoded(self, spans: Sequence[EndedSpan]) -> bytes:
        """Return the request that exports spans."""
        request = type(self._template)()
        request.CopyFrom(self._template)
        written = request.resource_spans[0].scope_spans[0].spans
        for span in spans:
            self._write(written.add(), span)
        encoded: bytes = request.SerializeToString()
        return encoded

    def _write(self, written: Any, span: EndedSpan) -> None:
        written.CopyFrom(self._known.get(span.common) or self._common(type(written), span.common))
        written.trace_id = span.trace_id.to_bytes(16, "big")
        written.span_id = span.span_id.to_bytes(8, "big")
        written.start_time_unix_nano = span.start_time
        written.end_time_unix_nano = span.end_time
        if span.parent_id:
            written.parent_span_id = span.parent_id.to_bytes(8, "big")
            written.flags = _KNOWN | _REMOTE
        if span.status is not None:
            written.status.code = span.status.status_code.value
            written.status.message = span.status.description or ""
        for key, value in span.attributes.items():
            _add(written.attributes, key, value)

    def _common(self, kind: Any, common: Common) -> Any:
        """Return a span that says what others have in common."""
        if len(self._known) >= _COMMON:
            self._known.clear()
        made = kind(name=common.name, kind=common.kind.value + 1, flags=_KNOWN)
        for key, value in common.attributes:
            _add(made.attributes, key, value)
        self._known[common] = made
        return made


def _add(attributes: Any, key: str, value: Any) -> None:
    attribute = attributes.add()
    try:
        attribute.key = key
        _put(attribute.value, value)
    except ValueError:
        # a number of more than 64 bits, a text that is no Unicode: the span is worth more than that
        del attributes[-1]


def _put(kept: Any, value: Any) -> None:
    if type(value) is str:
        kept.string_value = value
    elif type(value) is int:
        kept.int_value = value
    elif type(value) is bool:
        kept.bool_value = value
    else:
        kept.double_value = value


class Post:
    """Sends what is encoded to where the standard variables say, as the SDK's exporter would.

    Args:
        environ: the standard variables.

    Raises:
        ImportError: a package is not installed.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        requests: Any = import_module("requests")
        adapters: Any = import_module("requests.adapters")
        retries: Any = import_module("urllib3.util")
        parsing: Any = import_module("opentelemetry.util.re")
        base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
        own = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        self._url = own or f"{base.removesuffix('/')}/v1/traces"
        self._pack = _packing(_setting(environ, "COMPRESSION").strip().lower())
        self._environ = environ
        self._asked: dict[str, Any] | None = None
        self._session = requests.Session()
        again = retries.Retry(
            total=_RETRIES,
            backoff_factor=1,
            status_forcelist=_MAY_HEAL,
            allowed_methods=None,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapters.HTTPAdapter(max_retries=again))
        self._session.headers["Content-Type"] = "application/x-protobuf"
        if self._pack is not None:
            self._session.headers["Content-Encoding"] = self._pack[0]
        self._session.headers.update(parsing.parse_env_headers(_setting(environ, "HEADERS"), liberal=True))

    def _settings(self) -> dict[str, Any]:
        """Return what else a request takes: the proxies, passwords and certificates of the environment.

        Read once: the session would read them for each request, which takes as long as all the rest of it.
        """
        session, environ = self._session, self._environ
        certificate, key = _setting(environ, "CLIENT_CERTIFICATE"), _setting(environ, "CLIENT_KEY")
        asked: dict[str, Any] = session.merge_environment_settings(
            self._url,
            {},
            None,
            _setting(environ, "CERTIFICATE") or True,
            (certificate, key) if certificate and key else certificate or None,
        )
        session.auth = import_module("requests.utils").get_netrc_auth(self._url)
        session.trust_env = False
        return {**asked, "timeout": _seconds(_setting(environ, "TIMEOUT"))}

    def __call__(self, body: bytes) -> str | None:
        """Send a request; return what is wrong where it was not taken."""
        if self._pack is not None:
            body = self._pack[1](body)
        try:
            if self._asked is None:
                self._asked = self._settings()
            answer = self._session.post(self._url, data=body, **self._asked)
        except (OSError, ValueError) as error:
            # what requests raises is an OSError, as that a certificate is not there; a header may be no text
            return f"{self._url}: {error}"
        return None if answer.ok else f"{self._url}: {answer.status_code} {answer.reason}"


def _setting(environ: Mapping[str, str], name: str) -> str:
    return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def _seconds(text: str) -> float:
    # what is no number the SDK's exporter has complained of
    try:
        return float(text)
    except ValueError:
        return _TIMEOUT


def _number(environ: Mapping[str, str], name: str, otherwise: float) -> float:
    try:
        found = float(environ.get(name) or otherwise)
    except ValueError:
        return otherwise
    return found if found > 0 else otherwise


def _packing(name: str) -> tuple[str, Callable[[bytes], bytes]] | None:
    match name:
        case "gzip":
            return name, gzip.compress
        case "deflate":
            return name, zlib.compress
    return None
