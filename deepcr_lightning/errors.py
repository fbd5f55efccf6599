"""The one error that the user can correct."""


class InputError(ValueError):
    """The input cannot be used; the message says what to do.

    The scripts print it as one line and exit with status 1; every other
    exception is a defect of ours and keeps its traceback.
    """
