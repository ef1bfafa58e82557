"""Ties a server's life to its parent's, then becomes that server.

python -I -S tie.py PARENT SIGNAL ACCOUNT COMMAND...

ACCOUNT is whom to run as, or nothing to stay who one is. SIGNAL comes when the parent's thread
that started us ends, on Linux; elsewhere a killed parent leaves the server running.
"""

import ctypes
import os
import pwd
import sys

_PR_SET_PDEATHSIG = 1


def tie(signal: int) -> None:
    """Ask Linux to send this process a signal when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0)


def become(account: str) -> None:
    """Go on as another user for good."""
    user = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def main(parent: str, signal: str, account: str, *command: str) -> None:
    """Become the command, unless the parent has gone already."""
    if account:
        become(account)
    tie(int(signal))  # After `become`: a change of user unties.
    if os.getppid() == int(parent):
        os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
