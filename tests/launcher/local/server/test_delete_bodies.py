"""Keys that a body names: DeleteObjects with a job's key, whatever the body looks like."""

from __future__ import annotations

import io

import pytest

from launcher.api.errors import ApiError
from launcher.local.keys.grants import Grant
from launcher.local.keys.places import Place
from launcher.local.server.gateway import MAX_DELETE_BYTES, _permitted
from launcher.local.server.protocol.wire import Request

GRANT = Grant("BATCHRLJOBAAAAAAAAAAAAAAAA", "secret", "one", "role", writes=(Place("data", "run1/"),))


def asked(body: bytes, length: int | None = None) -> Request:
    headers = {"content-length": str(len(body) if length is None else length)}
    return Request("POST", "/data", "delete", headers, {"wsgi.input": io.BytesIO(body)})


def code_of(body: bytes, length: int | None = None) -> str:
    with pytest.raises(ApiError) as caught:
        _permitted(asked(body, length), GRANT)
    return caught.value.s3_code


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete><Object><Key>run1/x</Key></Object></Delete>",
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true'
        b"</Quiet><Object><Key>run1/a&amp;b</Key><VersionId>3</VersionId></Object></Delete>",
        b'<?xml version="1.0"?><Delete><Object><Key>run1/\xc3\xbc</Key></Object></Delete>',
    ],
)
def test_the_jobs_own_keys_are_passed_on_as_they_came(body: bytes) -> None:
    assert _permitted(asked(body), GRANT).environ["wsgi.input"].read() == body


@pytest.mark.parametrize("key", ["run10/x", "run1", "run1/../x", "", "run1/&#46;&#46;/x", "&#114;un10/x"])
def test_one_key_of_another_is_enough_for_a_refusal(key: str) -> None:
    body = f"<Delete><Object><Key>run1/x</Key></Object><Object><Key>{key}</Key></Object></Delete>"
    assert code_of(body.encode()) == "AccessDenied"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no xml",
        b"<Delete><Object></Object></Delete>",
        b"<Delete><Object><Key>run1/x</Key><Key>secret</Key></Object></Delete>",
        b"<Delete><Object><Key>run1/x<b>y</b></Key></Object></Delete>",
        b"<Delete><Other><Key>secret</Key></Other></Delete>",
        b"<Delete><Object><Key>run1/x</Key></Object><More><Object><Key>secret</Key></Object></More></Delete>",
        b'<!DOCTYPE d [<!ENTITY a "secret">]><Delete><Object><Key>&a;</Key></Object></Delete>',
        b'<?xml version="1.0" encoding="UTF-16"?><Delete><Object><Key>run1/x</Key></Object></Delete>',
        b'<?xml version="1.0" encoding="utf-7"?><Delete><Object><Key>run1/x</Key></Object></Delete>',
        '<?xml version="1.0" encoding="UTF-16"?><Delete><Object><Key>x</Key></Object></Delete>'.encode("utf-16"),
        b"<Delete>" * 100_000,
    ],
)
def test_a_list_that_cannot_be_read_in_one_way_alone_is_refused(body: bytes) -> None:
    assert code_of(body) == "MalformedXML"


def test_a_list_longer_than_any_is_not_read() -> None:
    assert code_of(b"<Delete>", MAX_DELETE_BYTES + 1) == "MalformedXML"
