"""Slowing down those who guess passwords, before anything is hashed for them.

Every attempt is counted before its password is looked at, by the account together with the address it came from, and by
the address alone; success takes it back. So guessing from one address slows down nobody elsewhere. An address from
which somebody signed in to an account before is not slowed down for that account by what others there do to other
accounts, and only a little by what they do to this one. What is refused here is not counted: every wait has an end.
"""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from modelkeep.access.signin import throttle_store as store
from modelkeep.core.errors import TooManyAttempts
from modelkeep.db import Tx

_FORGOTTEN_AFTER_MS = 60 * 60 * 1000
_KNOWN_FOR_MS = 90 * 24 * 60 * 60 * 1000
_IPV6_SITE = 64


@dataclass(frozen=True, slots=True)
class Patience:
    """How many attempts are free, and how long the wait grows that each later one doubles."""

    free: int
    most_s: int

    def wait_s(self, failures: int) -> int:
        """How long nothing is tried after so many failures."""
        return 0 if failures < self.free else int(min(2 ** min(failures - self.free, 20), self.most_s))


_ACCOUNT_THERE = Patience(5, 15 * 60)
_ACCOUNT_KNOWN_THERE = Patience(10, 30)
_ADDRESS = Patience(100, 60)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was counted: the keys it was counted under, how often it went wrong, and what wait follows."""

    account_key: str
    address_key: str
    known_key: str
    failures: int
    wait_s: int


def begin_attempt(tx: Tx, name: str, address: str) -> Attempt:
    """Count an attempt as a failure until it `succeeded`. Raises TooManyAttempts where it has to wait."""
    place = site_of(address)
    # A hash: people type passwords where their name belongs.
    pair = hashlib.sha256(f"{name}\0{place}".encode()).hexdigest()[:32]
    address_key, account_key, known_key = f"address/{place}", f"account/{pair}", f"known/{pair}"
    known = store.row(tx, known_key)
    is_known = known is not None and known.last_at > tx.now - _KNOWN_FOR_MS
    if not is_known:
        _count(tx, address_key, _ADDRESS)
    failures, wait_s = _count(tx, account_key, _ACCOUNT_KNOWN_THERE if is_known else _ACCOUNT_THERE)
    return Attempt(account_key, "" if is_known else address_key, known_key, failures, wait_s)


def succeeded(tx: Tx, attempt: Attempt) -> bool:
    """Take an attempt back that went well; whether it was the first from there in a long while."""
    if attempt.address_key:
        _take_back(tx, attempt.address_key)
    store.forget(tx, attempt.account_key)
    store.know(tx, attempt.known_key)
    return bool(attempt.address_key)


def not_tried(tx: Tx, attempt: Attempt) -> None:
    """Take an attempt back whose password nobody looked at."""
    if attempt.address_key:
        _take_back(tx, attempt.address_key)
    _take_back(tx, attempt.account_key)


def forget_sign_in_failures(tx: Tx) -> None:
    """Forget what no longer counts."""
    store.drop_old(tx, tx.now - _FORGOTTEN_AFTER_MS, tx.now - _KNOWN_FOR_MS)


def site_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the IPv6 network that one subscriber has."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ip_network((parsed, _IPV6_SITE), strict=False).network_address)
        parsed = parsed.ipv4_mapped
    return str(parsed)


def _count(tx: Tx, key: str, patience: Patience) -> tuple[int, int]:
    """One more failure under a key, and the wait that follows it. Raises TooManyAttempts during an earlier wait."""
    row = store.begin(tx, key)
    if row.wait_until > tx.now:
        seconds = -(-(row.wait_until - tx.now) // 1000)
        raise TooManyAttempts(f"Too many attempts to sign in failed; try again in {seconds} s.", seconds)
    failures = 1 if row.last_at < tx.now - _FORGOTTEN_AFTER_MS else row.failures + 1
    wait_s = patience.wait_s(failures)
    store.note(tx, key, failures, tx.now, tx.now + wait_s * 1000)
    return failures, wait_s


def _take_back(tx: Tx, key: str) -> None:
    row = store.begin(tx, key)
    store.note(tx, key, max(0, row.failures - 1), row.last_at, 0)
