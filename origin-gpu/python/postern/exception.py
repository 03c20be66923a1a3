"""The exceptions of the package: what a call can end with, and what is wrong with an app's own code."""

from __future__ import annotations

import builtins


class Error(Exception):
    """Base of the errors below."""


class InvalidError(Error):
    """The code of an app asks for something that is impossible; the message says what would be right."""


class NotSupportedError(InvalidError):
    """Postern does not have this; the message says what there is instead."""


class UnimplementedError(NotSupportedError):
    """The same, under the name that other code may catch."""


class ConflictError(InvalidError):
    """Something else is in the way of what was asked for."""


class AlreadyExistsError(Error):
    """There is an object of this name already."""


class NotFoundError(Error):
    """There is no app, function or object of this name."""


class AuthError(Error):
    """The gateway knows no credential of this caller, or refuses it."""


class PermissionDeniedError(Error):
    """The credential is right and does not open this."""


class ConnectionError(Error):
    """The gateway could not be reached, or the connection broke."""


class ServiceError(Error):
    """The gateway or the box could not take the call now."""


class InternalError(Error):
    """The gateway answered with something that this package does not know."""


class InternalFailure(Error):
    """The call was lost with the process that ran it."""


class ResourceExhaustedError(Error):
    """Too many calls wait, or come at once."""


class RequestSizeError(Error):
    """The arguments of a call are larger than the gateway takes."""


class ExecutionError(Error):
    """A function failed with an exception that could not be brought to its caller; the message has its text."""


class RemoteError(Error):
    """A container could not be started, or ended while it worked on the call."""


class SerializationError(Error):
    """An argument or a result can't be pickled."""


class DeserializationError(Error):
    """A pickle can't be read here: most likely a module is missing."""


class DataLossError(Error):
    """Data was lost or damaged."""


class ClientClosed(Error):
    """The client of a call was closed."""


class VersionError(Error):
    """Gateway and package don't understand each other; update the older one."""


class TimeoutError(Error):
    """Base of the timeouts below."""


class FunctionTimeoutError(TimeoutError):
    """A function ran longer than its `timeout`."""


class OutputExpiredError(TimeoutError):
    """A result was kept as long as it had to be, and is gone."""


# Raised by nothing here. Code that was written for Modal may catch them.


class ExecTimeoutError(TimeoutError):
    """A command in a sandbox took too long."""


class InteractiveTimeoutError(TimeoutError):
    """A shell in a container was not reached."""


class MountUploadTimeoutError(TimeoutError):
    """The upload of an app's files took too long."""


class SandboxTimeoutError(TimeoutError):
    """A sandbox ran too long."""


class VolumeUploadTimeoutError(TimeoutError):
    """An upload to a volume took too long."""


class FilesystemExecutionError(Error):
    """A file of a sandbox could not be read or written."""


class SandboxTerminatedError(Error):
    """A sandbox was ended."""


class ModuleNotMountable(Exception):
    """A module could not be uploaded."""


class InputCancellation(BaseException):
    """Raised in a function whose caller left or cancelled it. No `except Exception` catches it."""


class DeprecationError(UserWarning):
    """A warning: the code uses a name that was replaced."""


class PendingDeprecationError(UserWarning):
    """A warning: the name will be replaced."""


class AsyncUsageWarning(UserWarning):
    """A warning: a blocking call in an event loop."""


class ServerWarning(UserWarning):
    """A warning of the gateway."""


class ResultPending(TimeoutError, builtins.TimeoutError):
    """A result is not there yet; `except TimeoutError` catches it, builtin or of this module."""


def __getattr__(name: str) -> object:
    if name == "simulate_preemption":
        raise NotSupportedError(
            f"postern.exception.{name} is not supported: postern container stop ends a container, which finishes its calls"
        )
    raise AttributeError(f"postern.exception has no {name}")
