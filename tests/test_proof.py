"""Whose credential is used at a server."""

import pytest

from portkey_mcp.proof import (
    AccountAuth,
    Auth,
    EnterpriseAuth,
    ExchangeAuth,
    IdentityAuth,
    MachineAuth,
    OwnHeadersAuth,
    WorkloadAuth,
    subject_of,
)


@pytest.mark.parametrize("auth", [AccountAuth(), OwnHeadersAuth(), ExchangeAuth(), EnterpriseAuth(), IdentityAuth()])
def test_what_is_about_a_person_is_that_persons(auth: Auth) -> None:
    assert subject_of(auth, "ada") == "ada"


@pytest.mark.parametrize(
    "auth",
    [AccountAuth(sharing="workspace"), OwnHeadersAuth(sharing="workspace"), MachineAuth(), WorkloadAuth()],
)
def test_what_the_workspace_shares_is_nobodys_own(auth: Auth) -> None:
    assert subject_of(auth, "ada") == ""
