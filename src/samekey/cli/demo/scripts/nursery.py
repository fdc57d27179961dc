"""Runs a script again and again, each time in a process of its own, and none of them outlives the one who asked.

Usage: nursery.py SCRIPT ARGUMENT…

On standard input a byte is a command: `r` runs the script, `k` kills it (SIGKILL). The end of the input ends all.
On standard output it says `ended CODE` after each run, beside what the script prints.

A run is a fork of this process, which has imported what the script imports and done nothing else: a start of Python
takes longer than all the orders.
"""

import os
import runpy
import select
import signal
import sys

import httpcore  # noqa: F401 - httpx imports it with its first client


def begin_run() -> tuple[int, int]:
    """Forks; returns the process id and a pipe that closes when that process has ended. In the child the id is 0."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the commands are not for the script
        return 0, theirs
    os.close(theirs)
    return child, ours


def watch_run(child: int, pipe: int) -> int:
    """Kills the child on command; returns its exit code."""
    events = select.poll()
    events.register(0)
    events.register(pipe)
    while True:
        if pipe in (descriptor for descriptor, _ in events.poll()):
            os.close(pipe)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        command = os.read(0, 1)
        os.kill(child, signal.SIGKILL)
        if not command:
            sys.exit(1)


def is_child_of_a_run() -> bool:
    """Obeys until the input ends. Returns twice: True in each process that is to run the script."""
    while command := os.read(0, 1):
        if command != b"r":
            continue  # a kill that came too late
        child, pipe = begin_run()
        if child == 0:
            return True
        code = watch_run(child, pipe)
        os.write(1, f"ended {code}\n".encode())
    return False


if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="imported")
    if is_child_of_a_run():
        runpy.run_path(sys.argv[0], run_name="__main__")
