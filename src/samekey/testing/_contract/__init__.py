"""The suite that every store must pass. Importing it needs pytest, which samekey itself does not."""

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "samekey.testing.StoreContract is a suite for pytest, which is not installed; pip install pytest",
        name=error.name,
    ) from error

# So that a failing assertion of the suite shows its values in the user's report too.
pytest.register_assert_rewrite(
    *(f"{__name__}.{part}" for part in ("claims", "desk", "loops", "searches", "settling", "sharing", "tasks"))
)

from samekey.testing._contract.suite import StoreContract  # noqa: E402 - after the registration

__all__ = ["StoreContract"]
