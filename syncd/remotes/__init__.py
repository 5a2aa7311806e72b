"""One module per file API behind the `Remote` port, on one HTTP transport with its limits and retries.

For every configured account an `Account`; for every job on it a `Traffic` and a `Losant` or a `Privasfer`. Nothing
else is for others.
"""

from syncd.remotes.account import Account
from syncd.remotes.losant import Losant
from syncd.remotes.privasfer import Privasfer
from syncd.remotes.transport import Traffic

__all__ = ["Account", "Losant", "Privasfer", "Traffic"]
