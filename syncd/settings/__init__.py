"""The configuration: from options, SYNCD_ variables and one TOML file to the frozen specs that `app` works from.

`specs` what comes out, `schema` every setting, `values` their little languages, `load` the sources and origins,
`complaints` what is wrong in words, `tokens` the secrets, `resolve` specs from words, `show` the effective whole.
Used by `cli` and `app`; pydantic is known nowhere else. Never contacts anything.
"""

from syncd.settings.load import Loaded, load, state_directory
from syncd.settings.resolve import destination, is_pair, job_specs
from syncd.settings.specs import JobSpec, Options, RemoteSpec

__all__ = [
    "JobSpec",
    "Loaded",
    "Options",
    "RemoteSpec",
    "destination",
    "is_pair",
    "job_specs",
    "load",
    "state_directory",
]
