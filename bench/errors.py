"""Errors that a user can act on, each with the exit status that the command line gives it."""


class CommandError(Exception):
    """Stop a command with a message that says what was given, what was wanted and what to do next."""

    exit_status = 1


class UsageError(CommandError):
    """Report a wrong command line or configuration."""

    exit_status = 2


class MissingError(CommandError):
    """Report data, weights or a package that are not there, with the way to get them."""

    exit_status = 3
