"""Values and errors as text, and back: pure, and safe to read whatever the text says.

`for_hint` gives the codec of a type hint; `encode_error` and `decode_error` carry exceptions; `parse_text` and
`parse_json` read what people type. Only CodecError is raised. Nothing is imported while reading, and no code named by
the data runs. A name is loaded when it is first asked for: what needs no hints (`describe_error`, `read_json`) needs no
pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ergon_runtime.lazy import homes_of, loader
from ergon_runtime.limits import Limits as Limits
from ergon_runtime.limits import digest as digest

if TYPE_CHECKING:
    from ergon_runtime.codec.allowed import allow as allow
    from ergon_runtime.codec.allowed import allow_module as allow_module
    from ergon_runtime.codec.described import ErrorView as ErrorView
    from ergon_runtime.codec.described import describe_error as describe_error
    from ergon_runtime.codec.errors import encode_error as encode_error
    from ergon_runtime.codec.hints import UNHINTED as UNHINTED
    from ergon_runtime.codec.hints import hint_name as hint_name
    from ergon_runtime.codec.rebuild import decode_error as decode_error
    from ergon_runtime.codec.rebuild import is_error_loaded as is_error_loaded
    from ergon_runtime.codec.strict import read_json as read_json
    from ergon_runtime.codec.tags import Unstored as Unstored
    from ergon_runtime.codec.text import parse_json as parse_json
    from ergon_runtime.codec.text import parse_text as parse_text
    from ergon_runtime.codec.values import ValueCodec as ValueCodec
    from ergon_runtime.codec.values import for_hint as for_hint
else:
    _NAMES_IN = {
        "allowed": "allow allow_module",
        "described": "ErrorView describe_error",
        "errors": "encode_error",
        "hints": "UNHINTED hint_name",
        "rebuild": "decode_error is_error_loaded",
        "strict": "read_json",
        "tags": "Unstored",
        "text": "parse_json parse_text",
        "values": "ValueCodec for_hint",
    }
    __getattr__ = loader(__name__, homes_of(_NAMES_IN))
