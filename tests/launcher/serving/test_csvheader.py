"""Files of CSV that begin with a header, and those that only look a little like it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from batchrl.contract.errors import InputError
from launcher.serving.csvheader import check_no_header


@pytest.mark.parametrize(
    "text",
    [
        "x1,x2,x3\n1,2,3\n",
        "a,b\n0.5,\n",
        '"position","velocity of it"\n1,2\n',
        "action,state_feature_0,state_feature_1\n1,0.5,0.25\n",
        'episode_id,age,visits,action,all_action_probabilities,reward\nu0,26,0,0,"[0.5, 0.5]",1\n',
        'action,state_feature_0,state_feature_1,all_action_probabilities\nmail,0.5,0.25,"[0.5, 0.5]"\n',
        "sent_at,customer_id,age,plan,visits,p,margin\n2026-03-02 08:00,c1,34,basic,6,0.6,0\n",
    ],
)
def test_a_header_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "my states.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="line 1 is a header") as refused:
        check_no_header(path)
    assert refused.value.hint is not None and f"tail -n +2 '{path}'" in refused.value.hint
    assert ("--input-filter '$[1:3]'" in refused.value.hint) == ("state_feature" in text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", "1,2\n3,4\n", "red,large\n7,small\n", "hello\n42\n", ",\n1,2\n", "a,a\n1,2\n", "nan,inf\n1,2\n"),
        *("a,b,c\nd,[],1\n", "a,b\n[0.5;1],1\n", "red,large,new\n7,small,old\n"),
        *("a,b\n", "a,b\nc,d\n", "a,b\n1,2,3\n", "a,1\n2,3\n", "a b?,c\n1,2\n", "x" * 200_000 + ",b\n1,2\n"),
    ],
)
def test_records_are_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "states.csv"
    path.write_text(text)
    check_no_header(path)


def test_compressed_files_are_looked_into_and_damaged_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "states.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(InputError, match="line 1 is a header") as refused:
        check_no_header(path)
    assert refused.value.hint is not None and refused.value.hint.startswith("Write the rows alone: zcat ")
    whole = gzip.compress(b"a,b\n" * 1000)
    path.write_bytes(whole[:12] + b"\xff\xff\xff" + whole[15:])
    with pytest.raises(InputError, match="cannot be read"):
        check_no_header(path)
