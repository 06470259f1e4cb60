"""The cipher: what it gives back, and that nothing else than what was written at a place is ever taken for it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ergon_runtime.core.payloads import key_of, reason_against, unreadable
from ergon_runtime.errors import PayloadUnreadable
from ergon_runtime.stores.encrypted.cipher import ARGS, ENTRY, MAIL, NAMED, NOTE, RESULT, Cipher, Spot
from ergon_runtime.stores.encrypted.keys import Keys

OLD, NEW, OTHER = bytes(32), b"\1" * 32, b"\2" * 32
KINDS = (ARGS, RESULT, NOTE, ENTRY, MAIL, NAMED)
PLACE = Spot(ENTRY, "A-17", "3")


def cipher(store: str = "store", *, read_plain: bool = False, **secrets: bytes) -> Cipher:
    return Cipher(Keys(secrets or {"k1": OLD}, read_plain), store)


def reason(payload: bytes) -> str:
    said = reason_against(payload)
    assert said is not None
    return said


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(KINDS), st.text(), st.text(), st.binary())
def test_payload_comes_back_at_its_place(kind: bytes, owner: str, which: str, payload: bytes) -> None:
    spot = Spot(kind, owner, which)
    if reason_against(payload) is None:
        assert cipher().decrypt(spot, cipher().encrypt(spot, payload)) == payload


def test_each_flow_and_each_name_has_a_key_of_its_own() -> None:
    one, nonce = cipher(), bytes(12)
    texts = {one._derived("k1", named, owner).encrypt(nonce, b"", None) for named in (False, True) for owner in "ab"}
    assert len(texts) == 4


def test_payload_at_any_other_place_is_not_taken() -> None:
    spots = [Spot(kind, *names) for kind, names in product(KINDS, [("a", ""), ("a", "1"), ("a1", ""), ("", "a1")])]
    for one, other in product(spots, spots):
        read = cipher().decrypt(other, cipher().encrypt(one, b"{}"))
        assert (read == b"{}") == (one == other)
        assert one == other or "is not what was written there" in reason(read)


def test_payload_of_another_store_is_not_taken() -> None:
    assert "changed, cut off, or moved" in reason(cipher("a").decrypt(PLACE, cipher("b").encrypt(PLACE, b"{}")))


def test_payload_with_any_byte_changed_or_cut_off_is_not_taken() -> None:
    stored = cipher().encrypt(PLACE, b'{"secret":1}')
    for at in range(len(stored)):
        changed = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
        assert reason_against(cipher().decrypt(PLACE, changed)) is not None
        assert reason_against(cipher().decrypt(PLACE, stored[:at])) is not None
    assert reason_against(cipher().decrypt(PLACE, stored + b"\0")) is not None


@settings(deadline=None, derandomize=True)
@given(st.binary())
def test_bytes_of_somebody_else_are_never_taken(tail: bytes) -> None:
    for stored in (tail, b"\0E1" + tail, b"\0E1e\x02k1" + tail, b"\0?" + tail):
        assert reason_against(cipher().decrypt(PLACE, stored)) is not None
        assert reason_against(cipher(read_plain=True).decrypt(PLACE, b"\0E1e\x02k1" + tail)) is not None


def test_payload_of_another_key_with_the_same_id_is_not_taken() -> None:
    said = reason(cipher(k1=OTHER).decrypt(PLACE, cipher().encrypt(PLACE, b"{}")))
    assert said.startswith(
        "what the store has as the journal entry 3 of flow A-17 is not what was written there with key 'k1'"
    )


def test_payload_of_a_key_that_is_missing_stays_encrypted_and_says_so() -> None:
    stored = cipher().encrypt(PLACE, b"{}")
    assert cipher(k2=NEW).decrypt(PLACE, stored) == stored
    assert key_of(stored) == "k1"
    assert reason(stored) == "it is encrypted with key 'k1', which is not among the [crypto] keys here; add it"


def test_rotation_writes_with_the_first_key_and_reads_with_all() -> None:
    both = cipher(k2=NEW, k1=OLD)
    assert both.decrypt(PLACE, cipher().encrypt(PLACE, b"old")) == b"old"
    assert cipher(k2=NEW).decrypt(PLACE, both.encrypt(PLACE, b"new")) == b"new"


def test_plain_payload_is_taken_only_if_that_is_allowed() -> None:
    assert "set read_plain = true under [crypto]" in reason(cipher().decrypt(PLACE, b"{}"))
    assert cipher(read_plain=True).decrypt(PLACE, b"{}") == b"{}"
    assert reason_against(cipher(read_plain=True).decrypt(PLACE, unreadable("x"))) is not None


def test_equal_payloads_are_encrypted_alike_if_they_are_arguments_of_one_flow() -> None:
    def twice(one: Spot, other: Spot) -> int:
        return len({cipher().encrypt(spot, b"{}")[7:] for spot in (one, other)})

    assert twice(Spot(ARGS, "a"), Spot(ARGS, "a")) == 1
    assert twice(Spot(ARGS, "a"), Spot(ARGS, "b")) == 2
    for kind in KINDS[1:]:
        assert twice(Spot(kind, "a"), Spot(kind, "a")) == 2


def test_nonces_of_arguments_that_differ_differ() -> None:
    nonces = {cipher().encrypt(Spot(ARGS, "a"), str(n).encode())[7:19] for n in range(1000)}
    assert len(nonces) == 1000


@pytest.mark.parametrize("payload", [unreadable("no key"), b"\0E1e\x02k1" + bytes(40)])
def test_payload_that_could_not_be_read_is_never_written(payload: bytes) -> None:
    with pytest.raises(PayloadUnreadable, match="journal entry 3 of flow A-17 cannot be written") as caught:
        cipher().encrypt(PLACE, payload)
    assert caught.value.owner == "A-17"
