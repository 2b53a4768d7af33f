"""What can go wrong in the domain: a code and data, never an HTTP status (each face owns that table)."""


class DomainError(Exception):
    """A refusal that the caller can understand and act on.

    `code` names the kind; `message` says what is wrong and what to do; `field` names the offending input, if one does.
    """

    code = "domain_error"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(DomainError):
    """The request itself is wrong: a value, a combination, a size."""

    code = "invalid_input"


class NotFound(DomainError):
    """The named thing does not exist, or the caller may not know that it does."""

    code = "not_found"


class AlreadyExists(DomainError):
    """The name is taken."""

    code = "already_exists"


class Conflict(DomainError):
    """The thing is not in the state that the operation needs."""

    code = "conflict"


class Unauthenticated(DomainError):
    """No credential, or one that is not valid."""

    code = "unauthenticated"


class TooManyAttempts(DomainError):
    """Too much was tried in vain; nothing more is tried for so many seconds."""

    code = "too_many_attempts"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyRequests(TooManyAttempts):
    """More is asked for at once than one caller may."""

    code = "too_many_requests"


class Forbidden(DomainError):
    """The caller is known and may not do this."""

    code = "forbidden"


class EndpointNotFound(DomainError):
    """No operation has this method and path."""

    code = "endpoint_not_found"


class TooLarge(DomainError):
    """The request is larger than its operation takes."""

    code = "too_large"


class NotOffered(DomainError):
    """The protocol has the call, this store does not; clients fall back."""

    code = "not_offered"


class StorageFull(DomainError):
    """The disk or a quota is full; nothing was written."""

    code = "storage_full"


class Unavailable(DomainError):
    """A part the server needs does not answer now; the same call may succeed later."""

    code = "unavailable"


class BadSetting(Exception):
    """A setting that cannot be, or two that contradict each other; the text says which and what to do."""


class WrongSchema(Exception):
    """The database's schema is not the one this program needs; the text says what to do."""


class Corrupt(DomainError):
    """Stored bytes are not what they were when stored; they are not served."""

    code = "corrupt"
