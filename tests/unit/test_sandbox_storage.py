"""The object storage: what an upload form must be like, refusal by refusal, and who can read what."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from syncd.sandbox import Knobs, Sandbox
from syncd.sandbox.errors import StorageRefusal
from syncd.sandbox.records import Record
from syncd.sandbox.s3 import ACCESS_KEY, ALGORITHM, REGION, Signer, _signing_key
from tests.sandbox_support import Answer, Client, encode_form, running, until

Fields = list[tuple[str, str | bytes]]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with running(tmp_path) as client:
        yield client


@pytest.fixture
async def upload(client: Client) -> dict[str, Any]:
    form: dict[str, Any] = (await client.create("/a.txt", fileSize=5, contentType="text/plain")).json["upload"]
    return form


def fields_of(upload: dict[str, Any], *, without: str = "", **changed: str) -> Fields:
    fields = {**upload["fields"], **{name.replace("_", "-"): value for name, value in changed.items()}}
    return [(name, value) for name, value in fields.items() if name not in ("bucket", without)]


def is_refusal(answer: Answer, status: int, code: str) -> bool:
    return answer.status == status and f"<Code>{code}</Code>".encode() in answer.body


async def test_the_fields_of_a_form(client: Client, upload: dict[str, Any]) -> None:
    fields = upload["fields"]
    assert list(fields) == [
        "Content-Type",
        "key",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "bucket",
        "Policy",
        "X-Amz-Signature",
    ]
    policy = json.loads(base64.b64decode(fields["Policy"]))
    assert set(policy) == {"expiration", "conditions"}
    assert {"key": fields["key"]} in policy["conditions"]
    assert upload["url"] == f"{client.sandbox.storage_url}/{fields['bucket']}"


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_contents_of_every_size_arrive_whole(client: Client, upload: dict[str, Any], size: int) -> None:
    content = (b"\r\n--limi-\r\n--lim\r\n" * (size // 17 + 1))[:size]
    answer = await client.send_form(upload, content)
    assert answer.status == 204
    assert answer.headers["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    assert client.sandbox.tree() == {"/a.txt": content}


async def test_a_field_that_the_policy_does_not_name_is_refused(client: Client, upload: dict[str, Any]) -> None:
    for extra in ("bucket", "acl", "x-amz-meta-more"):
        fields = [*fields_of(upload), (extra, upload["fields"]["bucket"]), ("file", b"hello")]
        answer = await client.send_fields(upload["url"], fields)
        assert is_refusal(answer, 403, "AccessDenied")
        assert f"Extra input fields: {extra}".encode() in answer.body
    fields = [*fields_of(upload), ("x-ignore-this", "x"), ("file", b"hello")]
    assert (await client.send_fields(upload["url"], fields)).status == 204


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"key": "elsewhere"}, 403, "AccessDenied"),
        ({"Content_Type": "text/html"}, 403, "AccessDenied"),
        ({"X_Amz_Date": "20000101T000000Z"}, 400, "InvalidArgument"),
        ({"X_Amz_Algorithm": "AWS4-NONE"}, 400, "InvalidArgument"),
        ({"X_Amz_Credential": "OTHER/20000101/us-west-2/s3/aws4_request"}, 403, "InvalidAccessKeyId"),
        ({"X_Amz_Credential": f"{ACCESS_KEY}/20000101/moon/s3/aws4_request"}, 400, "InvalidArgument"),
        ({"X_Amz_Credential": ACCESS_KEY}, 400, "InvalidArgument"),
        ({"X_Amz_Signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
        (
            {"Policy": base64.b64encode(b'{"expiration":"2999-01-01T00:00:00Z","conditions":[]}').decode()},
            403,
            "SignatureDoesNotMatch",
        ),
        ({"without": "Policy"}, 400, "InvalidArgument"),
        ({"without": "key"}, 400, "InvalidArgument"),
        ({"without": "X-Amz-Signature"}, 400, "InvalidArgument"),
        ({"without": "Content-Type"}, 403, "AccessDenied"),
    ],
)
async def test_a_form_that_was_tampered_with_is_refused(
    client: Client, upload: dict[str, Any], changed: dict[str, str], status: int, code: str
) -> None:
    answer = await client.send_fields(upload["url"], [*fields_of(upload, **changed), ("file", b"hello")])
    assert is_refusal(answer, status, code), answer.body
    assert client.sandbox.records()[0].status == "pending"


async def test_a_field_may_come_once(client: Client, upload: dict[str, Any]) -> None:
    fields = [*fields_of(upload), ("KEY", upload["fields"]["key"]), ("file", b"hello")]
    assert is_refusal(await client.send_fields(upload["url"], fields), 400, "InvalidArgument")


async def test_a_form_needs_a_file_and_ignores_what_follows_it(client: Client, upload: dict[str, Any]) -> None:
    assert is_refusal(await client.send_fields(upload["url"], fields_of(upload)), 400, "InvalidArgument")
    fields: Fields = [*fields_of(upload), ("file", b"hello"), ("bucket", "ignored")]
    assert (await client.send_fields(upload["url"], fields)).status == 204
    assert client.sandbox.tree() == {"/a.txt": b"hello"}


async def test_a_file_before_the_other_fields_is_refused(client: Client, upload: dict[str, Any]) -> None:
    fields: Fields = [("file", b"hello"), *fields_of(upload)]
    assert is_refusal(await client.send_fields(upload["url"], fields), 400, "InvalidArgument")


async def test_fields_have_a_largest_size(client: Client, upload: dict[str, Any]) -> None:
    fields: Fields = [("x-ignore-much", "x" * 30_000), *fields_of(upload), ("file", b"hello")]
    answer = await client.send_fields(upload["url"], fields)
    assert is_refusal(answer, 400, "MaxPostPreDataLengthExceededError")


async def test_an_api_token_is_refused_and_noticed(client: Client, upload: dict[str, Any]) -> None:
    answer = await client.send_form(upload, b"hello", Authorization="Bearer sandbox")
    assert is_refusal(answer, 400, "InvalidArgument")
    assert client.sandbox.requests.leaked_authorizations == 1


async def test_a_chunked_body_is_refused(client: Client, upload: dict[str, Any]) -> None:
    body, content_type = encode_form([*fields_of(upload), ("file", b"hello")])

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    headers = {"Content-Type": content_type}
    async with client.session.post(upload["url"], data=chunks(), headers=headers) as response:
        assert response.status == 411
        assert b"MissingContentLength" in await response.read()


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 412, "PreconditionFailed"),
        ("multipart/form-data", b"{}", 412, "PreconditionFailed"),
        ("multipart/form-data; boundary=limit", b"", 400, "MalformedPOSTRequest"),
        ("multipart/form-data; boundary=limit", b"no form", 400, "MalformedPOSTRequest"),
        ("multipart/form-data; boundary=limit", b"--limit\r\n\r\n\r\nx\r\n--limit--", 400, "MalformedPOSTRequest"),
        ("multipart/form-data; boundary=limit", b"--limit??", 400, "MalformedPOSTRequest"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(
    client: Client, upload: dict[str, Any], content_type: str, body: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": content_type}
    async with client.session.post(upload["url"], data=body, headers=headers) as response:
        assert (response.status, code.encode() in await response.read()) == (status, True)


async def test_a_bucket_that_is_not_there(client: Client, upload: dict[str, Any]) -> None:
    fields: Fields = [*fields_of(upload), ("file", b"hello")]
    answer = await client.send_fields(f"{client.sandbox.storage_url}/nowhere", fields)
    assert is_refusal(answer, 404, "NoSuchBucket")


async def test_a_policy_expires(client: Client, upload: dict[str, Any]) -> None:
    client.sandbox.knobs = Knobs(clock_offset=3590)
    assert (await client.send_form(upload, b"hello")).status == 204
    client.sandbox.knobs = Knobs(clock_offset=3610)
    answer = await client.send_form(upload, b"hello")
    assert is_refusal(answer, 403, "AccessDenied")
    assert b"Policy expired" in answer.body


@pytest.mark.parametrize(
    ("limits", "size", "code"),
    [((2, 5), 1, "EntityTooSmall"), ((2, 5), 6, "EntityTooLarge"), ("exact", 6, "EntityTooLarge"), ((2, 5), 5, "")],
)
async def test_sizes_outside_the_policy_are_refused(tmp_path: Path, limits: Any, size: int, code: str) -> None:
    async with running(tmp_path, content_length_range=limits) as client:
        upload = (await client.create("/a", fileSize=5)).json["upload"]
        answer = await client.send_form(upload, b"x" * size)
        assert is_refusal(answer, 400, code) if code else answer.status == 204


def signed(signer: Signer, policy: object) -> dict[str, str]:
    """The fields of a form with any policy at all, well signed."""
    encoded = policy if isinstance(policy, str) else base64.b64encode(json.dumps(policy).encode()).decode()
    return {
        "key": "app/dir/name.txt",
        "policy": encoded,
        "x-amz-algorithm": ALGORITHM,
        "x-amz-credential": f"{ACCESS_KEY}/20260101/{REGION}/s3/aws4_request",
        "x-amz-date": "20260101T000000Z",
        "x-amz-signature": signer._sign("20260101", encoded.encode()),
    }


AMZ = [
    ["starts-with", "$x-amz-algorithm", ""],
    ["starts-with", "$X-Amz-Credential", ""],
    ["starts-with", "$x-amz-date", "2026"],
]


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ([*AMZ, {"key": "app/dir/name.txt"}], True),
        ([*AMZ, ["eq", "$key", "app/dir/name.txt"]], True),
        ([*AMZ, ["eq", "$key", "app/dir/"]], False),
        ([*AMZ, ["starts-with", "$key", "app/dir/"]], True),
        ([*AMZ, ["starts-with", "$key", "other/"]], False),
        ([*AMZ, ["starts-with", "$key", ""], {"bucket": "files"}], True),
        ([*AMZ, ["starts-with", "$key", ""], {"bucket": "other"}], False),
        ([*AMZ, ["starts-with", "$key", ""], {"acl": "public-read"}], False),
        (AMZ, False),
    ],
)
def test_every_kind_of_condition(conditions: list[Any], holds: bool) -> None:
    signer = Signer("secret")
    fields = signed(signer, {"expiration": "2999-01-01T00:00:00Z", "conditions": conditions})
    if holds:
        assert signer.check_form(fields, bucket="files", now=0) is None
    else:
        with pytest.raises(StorageRefusal) as caught:
            signer.check_form(fields, bucket="files", now=0)
        assert caught.value.status == 403


@pytest.mark.parametrize(
    "policy",
    [
        "!!!",
        "eA==",
        [],
        {"expiration": "2999-01-01T00:00:00Z"},
        {"expiration": "never", "conditions": []},
        {"expiration": "2999-01-01T00:00:00Z", "conditions": [["like", "$key", "x"]]},
        {"expiration": "2999-01-01T00:00:00Z", "conditions": [{"a": "1", "b": "2"}]},
    ],
)
def test_policies_that_are_none(policy: object) -> None:
    signer = Signer("secret")
    with pytest.raises(StorageRefusal) as caught:
        signer.check_form(signed(signer, policy), bucket="files", now=0)
    assert (caught.value.status, caught.value.code) == (400, "InvalidPolicyDocument")


def test_the_signing_key_is_that_of_signature_version_4() -> None:
    """The example of the AWS documentation on deriving a signing key."""
    signing_key = _signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")
    assert signing_key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


@pytest.mark.parametrize("sent", [10, 100_000, 2_500_000])
async def test_an_upload_that_breaks_off_completes_nothing(
    client: Client, upload: dict[str, Any], tmp_path: Path, sent: int
) -> None:
    body, content_type = encode_form([*fields_of(upload), ("file", b"x" * 3_000_000)])
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.sandbox.url.rpartition(":")[2]))
    path = upload["url"].removeprefix(client.sandbox.url)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:sent])
    await writer.drain()
    await until(lambda: client.sandbox.requests.in_flight["form"] == 1)
    writer.close()
    await until(lambda: client.sandbox.requests.in_flight["form"] == 0)
    assert client.sandbox.records()[0].status == "pending"
    assert client.sandbox.records()[0].content is None
    assert list((tmp_path / "incoming").iterdir()) == []
    del reader


async def test_a_client_that_asks_first_is_told_to_go_on(client: Client, upload: dict[str, Any]) -> None:
    body, content_type = encode_form([*fields_of(upload), ("file", b"hello")])
    headers = {"Content-Type": content_type}
    async with client.session.post(upload["url"], data=body, headers=headers, expect100=True) as response:
        assert response.status == 204


async def read(client: Client, url: str, **headers: str) -> Answer:
    async with client.session.get(url, headers=headers) as response:
        return Answer(response.status, response.headers, await response.read(), None)


@pytest.mark.parametrize("size", [0, 100, 2_500_000])
async def test_public_contents_are_read_without_a_token(client: Client, size: int) -> None:
    record = await client.put("/dir/ä b+c%.txt", b"x" * size)
    answer = await read(client, (await client.get(record.id)).json["url"])
    assert (answer.status, answer.body) == (200, b"x" * size)
    assert answer.headers["ETag"] == f'"{record.etag}"'


async def test_contents_that_are_not_there(client: Client) -> None:
    await client.create("/a.txt")
    record = (await client.listing()).json["items"][0]
    assert is_refusal(await read(client, record["url"]), 404, "NoSuchKey")
    assert is_refusal(await read(client, client.sandbox.storage_url + "/nowhere/key"), 404, "NoSuchKey")
    assert is_refusal(await read(client, client.sandbox.storage_url + "/files.sandbox/x"), 404, "NoSuchKey")


async def test_a_token_sent_to_a_content_is_refused_and_noticed(client: Client) -> None:
    record = await client.put("/a.txt")
    answer = await read(client, (await client.get(record.id)).json["url"], Authorization="Bearer sandbox")
    assert answer.status == 400
    assert client.sandbox.requests.leaked_authorizations == 1


async def test_the_head_of_a_content(client: Client) -> None:
    record = await client.put("/a.txt", b"hello")
    async with client.session.head((await client.get(record.id)).json["url"]) as response:
        assert (response.status, response.content_length) == (200, 5)


async def private_url(client: Client, record: Record, **parameters: int) -> str:
    return str((await client.get(record.id, **parameters)).json["url"])


async def test_private_contents_are_read_with_a_signed_address_while_it_is_good(tmp_path: Path) -> None:
    async with running(tmp_path, "privateFiles") as client:
        record = await client.put("/a.txt", b"secret")
        url = await private_url(client, record, urlTTL=60)
        assert (await read(client, url)).body == b"secret"
        assert is_refusal(await read(client, url.partition("?")[0]), 403, "AccessDenied")
        assert is_refusal(await read(client, url.replace("Expires=60", "Expires=6000")), 403, "AccessDenied")
        client.sandbox.knobs = Knobs(clock_offset=61)
        assert b"expired" in (await read(client, url)).body
        assert "url" not in (await client.get(record.id, urlTTL=0)).json


async def test_the_storage_can_be_another_host(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    await sandbox.start(storage_port=0)
    try:
        assert sandbox.storage_url.rpartition(":")[0] == sandbox.url.rpartition(":")[0]
        assert not sandbox.storage_url.startswith(sandbox.url)
        async with running(tmp_path / "other") as client:
            client.sandbox = sandbox
            record = await client.put("/a.txt", b"hello")
            assert (await read(client, (await client.get(record.id)).json["url"])).body == b"hello"
    finally:
        await sandbox.close()
