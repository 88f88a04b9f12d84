"""What clients of many channels ask for."""

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from recodex_monitor.clients.jobs_requests import Follow, Malformed, Show, Unfollow, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("follow"), inner),
)


class ParseTests(SynchronousTestCase):
    """A client's message, whatever it is."""

    def test_understood(self) -> None:
        """A channel to follow, from the start or after an id, or to follow no longer."""
        for text, request in (
            ('{"follow": "job"}', Follow("job", "")),
            ('{"follow": "job", "after": null}', Follow("job", "")),
            ('{"follow": "job", "after": ""}', Follow("job", "")),
            (' {"after": "e:1", "follow": "job", "other": [1]} ', Follow("job", "e:1")),
            ('{"follow": "\\u017d"}', Follow("\u017d", "")),
            ('{"unfollow": "job"}', Unfollow("job")),
            ('{"unfollow": "job", "after": 1}', Unfollow("job")),
            ('{"token": "a.b.c"}', Show("a.b.c")),
        ):
            self.assertEqual(parse(text), request, text)

    def test_malformed(self) -> None:
        """Anything else is malformed; the channel is known if only ``after`` is wrong."""
        for text in (
            *("", "job", "{", "[]", "null", '"follow"', "{}", '{"after": "e:1"}'),
            *('{"follow": null}', '{"follow": 1}', '{"follow": ["job"]}', '{"unfollow": {}}'),
            *('{"token": ""}', '{"token": 1}', '{"token": "x", "follow": "a"}'),
            *('{"follow": "a", "unfollow": "a"}', '{"Follow": "a"}', '["follow"]'),
            *("[" * 4000, '{"follow":' * 400, "1" * 4096, '{"follow": "a"}{"follow": "b"}'),
            '\ufeff{"follow": "a"}',
        ):
            self.assertEqual(parse(text), Malformed(None), text)
        self.assertEqual(parse('{"follow": "job", "after": 1}'), Malformed("job"))

    @given(st.text() | JSON.map(json.dumps))
    def test_never_raises(self, text: str) -> None:
        """Every text is understood or malformed."""
        parse(text)
