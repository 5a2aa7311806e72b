"""A server that behaves as the file API and its object storage do, for trying, testing and the embedded destination.

`Sandbox` runs inside any event loop, `serve` until it is cancelled; `Knobs` and `Fault` say where it is slow, strict or
broken. It imports nothing of the rest of syncd.
"""

from syncd.sandbox.errors import DataDirectoryInUse, SandboxError
from syncd.sandbox.faults import Fault
from syncd.sandbox.knobs import Knobs
from syncd.sandbox.records import Kind, Record
from syncd.sandbox.server import APPLICATION_ID, TOKEN, Sandbox, parse_address, serve
from syncd.sandbox.traffic import LoggedRequest, RequestLog

__all__ = [
    "APPLICATION_ID",
    "TOKEN",
    "DataDirectoryInUse",
    "Fault",
    "Kind",
    "Knobs",
    "LoggedRequest",
    "Record",
    "RequestLog",
    "Sandbox",
    "SandboxError",
    "parse_address",
    "serve",
]
