"""Functions run under AWS's runtime interface client, each invocation alone in an execution environment.

Stock ministack 1.5.33 imports a Python handler into a worker script of its own, with the emulator's interpreter,
packages and whole environment: a handler finds boto3 there that its layers lack; an error is always
``Runtime.HandlerError``, a crash is an ordinary error, and what the host exports leaks into the function.

AWS starts ``awslambdaric`` against the Lambda Runtime API
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), with the variables of
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html and no others, the function in
``LAMBDA_TASK_ROOT``, its layers merged into ``/opt`` and found before the runtime's own packages. An environment
serves one invocation at a time and is kept after a handler error; a timeout or an exit ends it
(``Sandbox.Timedout``, ``Runtime.ExitError``). Initialisation may take 10 s and is then repeated within the
function's own timeout
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).

The mend replaces the class of Python workers and the function that runs them. The interpreter is the laptop's: the
function's ``Runtime`` is accepted and not looked at. Output goes to a file, so that nothing of it is lost in a pipe
when the process is killed and no invocation waits for a pipe to fall silent.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import lambda_svc

from local.emulator import offspring
from local.emulator.mends import hook

ACTIVE_AFTER = 0.05  # seconds that a new function is Pending; AWS and stock: longer, and every waiter waits
INIT_LIMIT = 10.0  # seconds, AWS's limit for the first initialisation
LOG_LIMIT = 1_000_000  # bytes of one invocation's output that are kept
_RESULT = re.compile(r"/runtime/invocation/([^/]+)/(response|error)$")
_unpack_lock = threading.Lock()
_digests: dict[str, tuple[bytes, str]] = {}


@dataclass(frozen=True)
class Outcome:
    """What the runtime reported for an invocation, or what became of the runtime."""

    kind: str  # "response" or "error"
    payload: Any
    ended: bool = False  # the environment cannot be used again


class PythonEnvironment(lambda_runtime.Worker):  # type: ignore[misc]
    """One execution environment: a process of awslambdaric and the Runtime API that it polls.

    ministack's pool leases it to one invocation at a time, so there is never a second event to queue.
    """

    _proc: Any  # a Popen, or None before the first start and after the end
    _tmpdir: str | None

    def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
        super().__init__(func_name, config, code_zip)
        self._server: http.server.ThreadingHTTPServer | None = None
        self._events: queue.Queue[tuple[bytes, dict[str, str]]] = queue.Queue()
        self._outcomes: queue.Queue[tuple[str, Outcome]] = queue.Queue()
        self._settled = threading.Event()
        self._log: Path | None = None
        self._stream = ""

    def run(self, event: Any, request_id: str, trace_id: str, function_arn: str) -> dict[str, Any]:
        """Serve one invocation; the result has the form that ``lambda_svc._execute_function`` expects."""
        with self._lock:
            timeout = float(self.config.get("Timeout", 3))
            init_ms = None
            failure = None
            if self._proc is None or self._proc.poll() is not None:
                began = time.monotonic()
                failure = self._initialise(timeout)
                init_ms = (time.monotonic() - began) * 1000
            began = time.monotonic()
            outcome = failure or self._invoke(event, request_id, trace_id, function_arn, timeout)
            took_ms = (time.monotonic() - began) * 1000
            output = self._take_output()
            memory = self._peak_memory()
            if outcome.ended:
                self._end()
            lines = self._report(request_id, output, took_ms, init_ms, memory)
        result: dict[str, Any] = {"body": outcome.payload, "log": lines, "log_source": "rie"}
        if outcome.kind == "error":
            result["error"] = True
            result["function_error"] = "Unhandled"
        return result

    def _initialise(self, timeout: float) -> Outcome | None:
        """Start the runtime and wait until it asks for work; the failure, if there is one."""
        self._spawn()
        failure = self._await_runtime(INIT_LIMIT)
        if failure == "timeout":
            self._end()
            self._spawn()
            failure = self._await_runtime(timeout)
        if failure is None:
            return None
        if failure == "timeout":
            return _ended("Sandbox.Timedout", f"Error: Task timed out after {timeout:.2f} seconds")
        try:
            _, reported = self._outcomes.get_nowait()
        except queue.Empty:
            return _ended("Runtime.ExitError", f"Error: {failure}")
        return Outcome("error", reported.payload, ended=True)

    def _await_runtime(self, limit: float) -> str | None:
        deadline = time.monotonic() + limit
        while not self._settled.wait(0.02):
            if self._proc.poll() is not None and not self._settled.wait(0.1):
                return self._exit_reason()
            if time.monotonic() > deadline:
                return "timeout"
        return None if self._outcomes.empty() else "init error"

    def _invoke(self, event: Any, request_id: str, trace_id: str, function_arn: str, timeout: float) -> Outcome:
        deadline = time.monotonic() + timeout
        self._events.put(
            (
                json.dumps(event).encode(),
                {
                    "Lambda-Runtime-Aws-Request-Id": request_id,
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + timeout) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": function_arn,
                    "Lambda-Runtime-Trace-Id": trace_id,
                },
            )
        )
        while True:
            exited = self._proc.poll() is not None
            try:
                answered, outcome = self._outcomes.get(timeout=0.1 if exited else 0.05)
            except queue.Empty:
                if exited:
                    return _ended("Runtime.ExitError", f"RequestId: {request_id} Error: {self._exit_reason()}")
                if time.monotonic() > deadline:
                    return _ended(
                        "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {timeout:.2f} seconds"
                    )
                continue
            if answered == request_id:
                return outcome

    def _exit_reason(self) -> str:
        code = self._proc.poll()
        if code is not None and code < 0:
            return f"Runtime exited with error: signal: {_signal_name(-code)}"
        return f"Runtime exited with error: exit status {code}" if code else "Runtime exited without providing a reason"

    def _spawn(self) -> None:
        self._end()
        self._events, self._outcomes, self._settled = queue.Queue(), queue.Queue(), threading.Event()
        directory = Path(tempfile.mkdtemp(prefix=f"lambda-{self.func_name}-"))
        self._tmpdir = str(directory)
        self._log = directory / "output"
        (directory / "tmp").mkdir()
        self._server = _serve_runtime_api(self._events, self._outcomes, self._settled)
        task = _unpacked([self.code_zip])
        layers = _unpacked(_layer_archives(self.config))
        stamp = datetime.now(UTC).strftime("%Y/%m/%d")
        self._stream = f"{stamp}/[{self.config.get('Version', '$LATEST')}]{new_uuid().replace('-', '')}"
        with self._log.open("ab") as output:
            self._proc = subprocess.Popen(
                [os.environ["SELFHEAL_RUNTIME_PYTHON"], "-s", "-m", "awslambdaric", self.config["Handler"]],
                cwd=task,
                env=self._environment(task, layers, directory / "tmp"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        offspring.announce(self._proc.pid)

    def _environment(self, task: Path, layers: Path, temporary: Path) -> dict[str, str]:
        config = self.config
        _, region = lambda_runtime._account_region_from_function_config(config)
        logging = config.get("LoggingConfig") or {}
        packages = [*sorted((layers / "python").glob("lib/python3.*/site-packages")), layers / "python"]
        return {
            "PATH": f"/usr/local/bin:/usr/bin:/bin:{layers / 'bin'}",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(temporary),  # AWS: /tmp, private to the environment as well
            "PYTHONPATH": ":".join(map(str, [task, *packages])),
            "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', 'python3.13')}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
            # a laptop has no /opt to mount layers at: a variable that names a file there means the unpacked one
            **{
                name: f"{layers}{value[4:]}" if value.startswith("/opt/") else value
                for name, value in lambda_svc._runtime_env_vars(config).items()
            },
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
            "AWS_LAMBDA_FUNCTION_VERSION": config.get("Version", "$LATEST"),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
            "AWS_LAMBDA_LOG_GROUP_NAME": logging.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}",
            "AWS_LAMBDA_LOG_STREAM_NAME": self._stream,
            "AWS_LAMBDA_LOG_FORMAT": {"JSON": "JSON"}.get(logging.get("LogFormat", ""), "TEXT"),
            **({"AWS_LAMBDA_LOG_LEVEL": logging["ApplicationLogLevel"]} if logging.get("ApplicationLogLevel") else {}),
            "AWS_LAMBDA_RUNTIME_API": "{}:{}".format(*self._server.server_address) if self._server else "",
            "LAMBDA_TASK_ROOT": str(task),
            "_HANDLER": config["Handler"],
            **lambda_runtime.execution_credentials(config),
        }

    def _take_output(self) -> str:
        """The output since the last call. The file is emptied: the process appends to it."""
        if self._log is None:
            return ""
        with self._log.open("r+b") as output:
            text = output.read(LOG_LIMIT).decode(errors="replace")
            output.truncate(0)
        return text

    def _peak_memory(self) -> int:
        """Megabytes; 0 where the kernel does not tell (macOS) or the process is gone."""
        try:
            status = Path(f"/proc/{self._proc.pid}/status").read_text()
        except (OSError, AttributeError):
            return 0
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) // 1024 if found else 0

    def _report(self, request_id: str, output: str, took_ms: float, init_ms: float | None, memory: int) -> str:
        """The platform's lines around the function's, as AWS writes them in text format."""
        init = f"\tInit Duration: {init_ms:.2f} ms" if init_ms is not None else ""
        return (
            f"START RequestId: {request_id} Version: {self.config.get('Version', '$LATEST')}\n"
            f"{output.rstrip()}{'' if not output else chr(10)}"
            f"END RequestId: {request_id}\n"
            f"REPORT RequestId: {request_id}\tDuration: {took_ms:.2f} ms\tBilled Duration: {int(took_ms) + 1} ms\t"
            f"Memory Size: {self.config.get('MemorySize', 128)} MB\tMax Memory Used: {memory} MB{init}"
        )

    def _end(self) -> None:
        """Kill the process and what it started, and close its Runtime API; idempotent."""
        process, self._proc = self._proc, None
        if process is not None:
            offspring.kill(process.pid)
            process.wait()
        server, self._server = self._server, None
        if server is not None:
            self._events.put((b"", {}))
            # shutdown() waits for the accept loop; its connections end with the process.
            threading.Thread(target=_close, args=(server,), daemon=True).start()
        self._discard_directory()

    def _discard_directory(self) -> None:
        directory, self._tmpdir, self._log = self._tmpdir, None, None
        if directory:
            shutil.rmtree(directory, ignore_errors=True)

    def _discard_tmpdir(self) -> None:
        """Called by ministack's pool when it has dropped the environment; its process is signalled, not reaped."""
        self._end()

    def kill(self) -> None:
        self._end()


def _ended(error_type: str, message: str) -> Outcome:
    return Outcome("error", {"errorType": error_type, "errorMessage": message}, ended=True)


def _signal_name(number: int) -> str:
    return {9: "killed", 11: "segmentation fault", 15: "terminated", 6: "aborted"}.get(number, str(number))


def _close(server: http.server.ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


class _RuntimeApiServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A runtime that was killed drops its connection: nothing to report."""


def _serve_runtime_api(
    events: queue.Queue[tuple[bytes, dict[str, str]]],
    outcomes: queue.Queue[tuple[str, Outcome]],
    settled: threading.Event,
) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body leave in one segment: a runtime waits for both.
        wbufsize = -1
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """The Runtime API is not worth a log line per call."""

        def do_GET(self) -> None:
            if self.path.endswith("/runtime/invocation/next"):
                settled.set()
                payload, headers = events.get()
                if headers:
                    self._answer(HTTPStatus.OK, payload, headers)
                else:
                    self.close_connection = True  # the environment has ended, and with it this thread
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"{}", {})

        def do_POST(self) -> None:
            body = self._read()
            try:
                payload = json.loads(body) if body else None
            except ValueError:
                payload = body.decode(errors="replace")
            found = _RESULT.search(self.path)
            if self.path.endswith("/runtime/init/error"):
                outcomes.put(("init", Outcome("error", payload, ended=True)))
                settled.set()
            elif found:
                outcomes.put((found[1], Outcome(found[2], payload)))
            self._answer(HTTPStatus.ACCEPTED if found or settled.is_set() else HTTPStatus.NOT_FOUND, b"{}", {})

        def _read(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _answer(self, status: HTTPStatus, payload: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(payload)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

    server = _RuntimeApiServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True).start()
    return server


def _layer_archives(config: dict[str, Any]) -> list[bytes]:
    archives = (lambda_svc._resolve_layer_zip(attachment) for attachment in config.get("Layers") or [])
    return [archive for archive in archives if archive]


def _unpacked(archives: list[bytes]) -> Path:
    """The directory with the archives unpacked over each other, shared by all environments that use the same."""
    digest = hashlib.sha256("".join(map(_digest, archives)).encode()).hexdigest()[:32]
    directory = Path(tempfile.gettempdir()) / "unpacked" / digest
    with _unpack_lock:
        if not directory.exists():
            partial = directory.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for archive in archives:
                with zipfile.ZipFile(io.BytesIO(archive)) as content:
                    lambda_svc._extract_zip_preserving_mode(content, str(partial))
            partial.rename(directory)
    return directory


def _digest(archive: bytes) -> str:
    """SHA-256, remembered by identity: archives are megabytes and live as long as their layer."""
    key = f"{id(archive)}"
    known = _digests.get(key)
    if known is None or known[0] is not archive:
        known = _digests[key] = (archive, hashlib.sha256(archive).hexdigest())
    return known[1]


def _execute(func: dict[str, Any], event: Any, request_id: str) -> Any:
    config = func.get("config") or func
    if not str(config.get("Runtime", "python")).startswith("python") or not func.get("code_zip"):
        return _stock_execute(func, event, request_id)
    lambda_svc._ensure_reaper_thread()
    environment, _ = lambda_runtime.acquire_worker(
        config["FunctionName"], config, func["code_zip"], qualifier=config.get("Version", "$LATEST")
    )
    try:
        return environment.run(event, request_id, _trace_id(), config["FunctionArn"])
    finally:
        lambda_runtime.release_worker(environment)


def _trace_id() -> str:
    """A trace header whose lineage carries the depth of the chain of invocations; the SDK hands it on."""
    depth = lambda_svc._invoke_depth.get()
    return (
        f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()};Parent={os.urandom(8).hex()};Sampled=0;Lineage=1:{depth}"
    )


def _inbound_depth(headers: dict[str, str]) -> int:
    found = re.search(r"Lineage=1:(\d+)", headers.get("x-amzn-trace-id", ""))
    return int(found[1]) if found else 0


def _class_for(config: dict[str, Any]) -> Any:
    return PythonEnvironment if str(config.get("Runtime", "")).startswith("python") else _stock_class_for(config)


def apply() -> None:
    global _stock_execute, _stock_class_for  # noqa: PLW0603 - a hook keeps what it stands in for
    _stock_execute = hook(lambda_svc, "_execute_function_warm", _execute)
    _stock_class_for = hook(lambda_runtime, "_worker_class_for", _class_for)
    hook(lambda_svc, "_inbound_invoke_depth", _inbound_depth)
    hook(lambda_svc, "_LAMBDA_STATE_TRANSITION_DELAY", ACTIVE_AFTER)


_stock_execute: Any = None
_stock_class_for: Any = None
