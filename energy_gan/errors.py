"""The one exception for a user's mistake."""


class InputError(ValueError):
    """What was given, what was expected, what to do, in one line.

    The doors in `cli/` print it without a traceback and exit with status 2. Any other exception
    is a fault of ours and keeps its traceback.
    """
