"""Documents of requests: what they hold, and that reading them takes no longer than their size allows."""

from __future__ import annotations

import time

from launcher.local.store.call import MAX_DOCUMENT_BYTES
from launcher.local.store.xmlbody import MAX_ELEMENTS, parse


def test_text_around_elements_is_whole() -> None:
    root = parse(b"<a>1<b>2<![CDATA[3]]>&amp;<!-- 4 -->5</b>6<b/>7</a>", "a")

    assert (root.text, [child.text for child in root.all("b")], root.get("b")) == ("167", ["23&5", ""], "23&5")


def test_the_largest_document_takes_a_moment() -> None:
    count = MAX_ELEMENTS - 1
    text = b"t" * (MAX_DOCUMENT_BYTES // count - len(b"<b/>"))
    content = b"<a>" + (text + b"<b/>") * count + b"</a>"
    start = time.process_time()

    assert len(parse(content, "a").text) == len(text) * count
    assert time.process_time() - start < 5  # about 0.3; by copying what was read for each piece about a minute
