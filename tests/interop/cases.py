"""The list of cases, and what a case says when the world is not as it should be."""

CASES = []


def case(*needs, first=False):
    """Lists a function as a case that needs these kinds of peer; the `first` ones are never left out."""

    def listed(function):
        CASES.append((function, needs, first))
        return function

    return listed


def equal(found, expected, where=""):
    if found != expected:
        raise AssertionError(f"{where}expected {expected!r}\n   found {found!r}")


def contains(found, expected, where=""):
    if expected not in found:
        raise AssertionError(f"{where}expected {expected!r} in {found!r}")


class Checks:
    """Many looks at one run: all are taken, and all that failed are told together."""

    def __init__(self):
        self.failed = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if self.failed and (kind is None or kind is AssertionError):
            more = [str(error)] if error else []
            raise AssertionError("\n   ".join([*self.failed, *more])) from None

    def equal(self, where, found, expected):
        if found != expected:
            self.failed.append(f"{where}: expected {expected!r}, found {found!r}")

    def holds(self, where, truth, found):
        """Fails unless the truth is one, and shows what was found."""
        if not truth:
            self.failed.append(f"{where}: found {found!r}")
