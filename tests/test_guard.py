import pytest

from tempkit.guard import Guard

HEADERS = {"Host": "localhost:8000", "Origin": None, "Sec-Fetch-Site": None}


def code(mints: bool = True, guard: Guard = Guard(), **changes: str | None) -> str | None:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    refusal = guard.check(headers, mints=mints)
    return refusal.code if refusal else None


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:9", "127.8.8.8:1",
     "[::1]", "[::1]:8000", "[::ffff:127.0.0.1]:8000", "app.localhost:8000"],
)  # fmt: skip
def test_loopback_names_are_let_in(host: str):
    assert code(Host=host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
     "", None, "[::1", "10.0.0.1", "0.0.0.0", "localhost@evil.example", "::1"],
)  # fmt: skip
@pytest.mark.parametrize("mints", [True, False])
def test_other_names_are_kept_out_of_the_page_and_of_the_tokens(host: str | None, mints: bool):
    assert code(mints, Host=host) == "unknown_host"


def test_a_named_host_is_let_in():
    guard = Guard(allowed_hosts=frozenset({"hub.example"}))
    assert code(guard=guard, Host="hub.example:443") is None
    assert code(guard=guard, Host="other.example") == "unknown_host"


def test_a_rebound_name_is_kept_out_although_origin_and_host_agree():
    assert code(Host="evil.example", Origin="http://evil.example") == "unknown_host"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_gets_no_token_but_may_link_to_the_page(site: str):
    assert code(Sec_Fetch_Site=site) == "cross_site"
    assert code(mints=False, Sec_Fetch_Site=site) is None


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9999", ""])
def test_a_foreign_origin_gets_no_token(origin: str):
    assert code(Origin=origin) == "cross_site"


@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_the_servers_own_page_gets_its_token(site: str | None):
    assert code(Sec_Fetch_Site=site, Origin="http://localhost:8000") is None
