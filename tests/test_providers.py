"""The profiles that ship."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import get_args

import pytest

from samekey.errors import UsageError
from samekey.provider import KEY_LENGTH
from samekey.providers import NAMES, ProviderName, load, suggest

DATA = Path(str(resources.files("samekey.providers"))) / "data"


def test_every_data_file_is_a_profile_and_every_profile_a_data_file() -> None:
    assert {path.stem for path in DATA.glob("*.json")} == set(NAMES) == set(get_args(ProviderName))
    assert sorted(NAMES) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_profile_loads_under_its_own_name_and_names_its_sources(name: str) -> None:
    provider = load(name)
    assert provider.name == name
    assert provider.sources
    assert provider.profile().name == name


@pytest.mark.parametrize("name", NAMES)
def test_our_keys_fit_every_profile(name: str) -> None:
    provider = load(name)
    assert (provider.min_key_len or 0) <= KEY_LENGTH <= (provider.max_key_len or KEY_LENGTH)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_read_once(name: str) -> None:
    assert load(name) is load(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_has_no_field_that_means_nothing(name: str) -> None:
    facts = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    assert None not in facts.values()


def test_an_unknown_profile_suggests_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        load("stripe")
    assert str(caught.value).startswith(
        "'stripe' is not a provider profile (did you mean 'stripe-v1' or 'stripe-v2'?); there are "
    )
    with pytest.raises(UsageError, match=r"^'xyz' is not a provider profile; there are .*\.$"):
        load("xyz")


def test_a_known_host_is_recognised() -> None:
    assert suggest("api.stripe.com") == "stripe-v1"
    assert suggest("API.Stripe.COM") == "stripe-v1"
    assert suggest("api.shop.example") is None
    assert suggest("evil-api.stripe.com.example") is None


def test_stripe_v1_is_what_its_documentation_says() -> None:
    profile = load("stripe-v1").profile()
    assert (profile.carrier, profile.key_header, profile.carried("k")) == ("header", "Idempotency-Key", "k")
    assert profile.methods == frozenset({"POST"})
    assert profile.window_seconds == 86400
    assert (profile.after_5xx, profile.after_timeout) == ("resend", True)
    assert profile.replay_marker == ("Idempotent-Replayed", "true")
    assert profile.hint_header == "Stripe-Should-Retry"
    assert not profile.pins_credential


def test_keyless_never_carries_a_key_and_has_no_window() -> None:
    profile = load("keyless").profile()
    assert (profile.keyed, profile.window_seconds) == (False, None)
