"""Signing and checking of upload forms and of expiring addresses, as S3 does it (AWS Signature Version 4).

Pure: the time comes as an argument. The file API signs, the storage endpoint checks. The rules are those of "POST
policy" in the S3 documentation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from syncd.sandbox.errors import StorageRefusal

ACCESS_KEY = "SANDBOXACCESSKEY"
REGION = "us-west-2"
ALGORITHM = "AWS4-HMAC-SHA256"
NOT_IN_CONDITIONS = frozenset({"x-amz-signature", "file", "policy"})
Limits = tuple[int, int] | None


class Signer:
    """Signs with one secret key and checks what it signed."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def form_fields(
        self, *, bucket: str, key: str, content_type: str, now: float, ttl_s: float, limits: Limits
    ) -> dict[str, str]:
        """The fields of an upload form. `bucket` is among them, though the policy does not name it."""
        date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {
            "Content-Type": content_type,
            "key": key,
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{ACCESS_KEY}/{date[:8]}/{REGION}/s3/aws4_request",
            "X-Amz-Date": date,
        }
        conditions: list[object] = [{name: value} for name, value in signed.items()]
        if limits is not None:
            conditions.append(["content-length-range", *limits])
        expiration = datetime.fromtimestamp(now + ttl_s, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        policy = base64.b64encode(msgspec.json.encode({"expiration": expiration, "conditions": conditions}))
        signature = self._sign(date[:8], policy)
        return {**signed, "bucket": bucket, "Policy": policy.decode(), "X-Amz-Signature": signature}

    def check_form(self, fields: Mapping[str, str], *, bucket: str, now: float) -> Limits:
        """Check a form with its field names in lower case; returns the sizes that its policy allows.

        Raises:
            StorageRefusal: the signature, the policy or a field is not as it should be.
        """
        for name in ("key", "policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"):
            if name not in fields:
                raise StorageRefusal(400, "InvalidArgument", f"Bucket POST must contain a field named '{name}'.")
        self._check_signature(fields)
        policy = _decode_policy(fields["policy"])
        if _instant(policy.get("expiration")) <= now:
            raise _denied("Policy expired.")
        return _check_conditions(policy["conditions"], {**fields, "bucket": bucket}, sent=set(fields))

    def address_query(self, *, bucket: str, key: str, now: float, ttl_s: int) -> str:
        """The query that makes the address of a private object good for `ttl_s` seconds."""
        date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        signature = self._sign(date[:8], _address_text(bucket, key, date, str(ttl_s)))
        return f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Date={date}&X-Amz-Expires={ttl_s}&X-Amz-Signature={signature}"

    def check_address(self, query: Mapping[str, str], *, bucket: str, key: str, now: float) -> None:
        """Raise a `StorageRefusal` unless the query was signed for this object and is still good."""
        date, ttl_s = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
        signature = self._sign(date[:8], _address_text(bucket, key, date, ttl_s))
        if not hmac.compare_digest(signature.encode(), query.get("X-Amz-Signature", "").encode()):
            raise StorageRefusal(403, "AccessDenied", "Access Denied")
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if signed.timestamp() + int(ttl_s) <= now:
            raise StorageRefusal(403, "AccessDenied", "Request has expired")

    def _check_signature(self, fields: Mapping[str, str]) -> None:
        if fields["x-amz-algorithm"] != ALGORITHM:
            raise StorageRefusal(400, "InvalidArgument", f"X-Amz-Algorithm only supports {ALGORITHM}.")
        access_key, date, *scope = [*fields["x-amz-credential"].split("/"), ""][:5]
        if access_key != ACCESS_KEY:
            raise StorageRefusal(403, "InvalidAccessKeyId", "The access key does not exist in our records.")
        if scope != [REGION, "s3", "aws4_request"] or not fields["x-amz-date"].startswith(date):
            raise StorageRefusal(400, "InvalidArgument", "The credential is malformed.")
        signature = self._sign(date, fields["policy"].encode())
        if not hmac.compare_digest(signature.encode(), fields["x-amz-signature"].encode()):
            raise StorageRefusal(403, "SignatureDoesNotMatch", "The signature does not match the policy.")

    def _sign(self, date: str, text: bytes) -> str:
        return hmac.new(_signing_key(self._secret, date, REGION, "s3"), text, hashlib.sha256).hexdigest()


@lru_cache(maxsize=16)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _address_text(bucket: str, key: str, date: str, ttl_s: str) -> bytes:
    return "\n".join((bucket, key, date, ttl_s)).encode()


def _denied(why: str) -> StorageRefusal:
    return StorageRefusal(403, "AccessDenied", f"Invalid according to Policy: {why}")


def _decode_policy(encoded: str) -> dict[str, Any]:
    try:
        policy = msgspec.json.decode(base64.b64decode(encoded, validate=True))
    except (binascii.Error, msgspec.DecodeError) as error:
        raise StorageRefusal(400, "InvalidPolicyDocument", f"Invalid Policy: {error}") from None
    if not isinstance(policy, dict) or not isinstance(policy.get("conditions"), list):
        raise StorageRefusal(400, "InvalidPolicyDocument", "Invalid Policy: no conditions.")
    return policy


def _instant(written: object) -> float:
    try:
        return datetime.fromisoformat(str(written)).timestamp()
    except ValueError:
        raise StorageRefusal(400, "InvalidPolicyDocument", "Invalid Policy: no expiration.") from None


def _check_conditions(conditions: list[Any], values: Mapping[str, str], *, sent: set[str]) -> Limits:
    named: set[str] = set()
    limits: Limits = None
    for condition in conditions:
        operator, name, operand = _parts(condition)
        if operator == "content-length-range":
            limits = (int(name), int(operand))
            continue
        named.add(name)
        value = values.get(name, "")
        if not (value == operand if operator == "eq" else value.startswith(operand)):
            raise _denied(f"Policy Condition failed: {msgspec.json.encode(condition).decode()}")
    extra = sorted(name for name in sent - named - NOT_IN_CONDITIONS if not name.startswith("x-ignore-"))
    if extra:
        raise _denied(f"Extra input fields: {', '.join(extra)}")
    return limits


def _parts(condition: Any) -> tuple[str, str, Any]:
    if isinstance(condition, dict) and len(condition) == 1:
        ((name, operand),) = condition.items()
        return "eq", str(name).lower(), operand
    if isinstance(condition, list) and len(condition) == 3:
        operator, name, operand = condition
        if operator == "content-length-range":
            return operator, name, operand
        if operator in ("eq", "starts-with") and str(name).startswith("$"):
            return operator, str(name)[1:].lower(), operand
    raise StorageRefusal(400, "InvalidPolicyDocument", "Invalid Policy: invalid condition.")
