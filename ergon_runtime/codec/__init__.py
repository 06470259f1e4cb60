"""Values and errors as text, and back: pure, and safe to read whatever the text says.

`for_hint` gives the codec of a type hint; `encode_error` and `decode_error` carry exceptions; `parse_text` and
`parse_json` read what people type. Only CodecError is raised. Nothing is imported while reading, and no code named by
the data runs.
"""

from __future__ import annotations

from ergon_runtime.codec.allowed import allow as allow
from ergon_runtime.codec.allowed import allow_module as allow_module
from ergon_runtime.codec.errors import ErrorView as ErrorView
from ergon_runtime.codec.errors import describe_error as describe_error
from ergon_runtime.codec.errors import encode_error as encode_error
from ergon_runtime.codec.hints import UNHINTED as UNHINTED
from ergon_runtime.codec.hints import hint_name as hint_name
from ergon_runtime.codec.rebuild import decode_error as decode_error
from ergon_runtime.codec.rebuild import is_error_loaded as is_error_loaded
from ergon_runtime.codec.tags import Unstored as Unstored
from ergon_runtime.codec.text import parse_json as parse_json
from ergon_runtime.codec.text import parse_text as parse_text
from ergon_runtime.codec.values import ValueCodec as ValueCodec
from ergon_runtime.codec.values import for_hint as for_hint
from ergon_runtime.limits import Limits as Limits
from ergon_runtime.limits import digest as digest
