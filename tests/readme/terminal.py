"""A terminal with a shell in it, as a reader has one."""

import os
import pty
import re
import select
import signal
import time

# The shell's prompt: no program prints these characters. Between them is the exit code of the last command.
SHELL = re.compile(r"\x1e(\d+)\x1e$")
COLOURS = re.compile(r"\x1b\[[\d;]*m")
PROGRAM = re.compile(r"(?:^|\n)[\w.]+:\d+> $")


class TooLate(Exception):
    """Something did not show up in time; holds what did."""


class Terminal:
    def __init__(self, folder, environment):
        self.read_so_far = ""
        self.process, self.handle = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
            os.execvpe("bash", shell, {**environment, "TERM": "dumb", "PS1": "", "PS2": ""})
        self.send("stty -echo cols 500; PS1=$'\\036$?\\036'\n")
        self.until(SHELL, 20)

    def send(self, text):
        os.write(self.handle, text.encode())

    def until(self, wanted, seconds):
        """Reads until the output matches `wanted`, a pattern or a function. Returns the output and the match."""
        deadline = time.monotonic() + seconds
        search = wanted.search if isinstance(wanted, re.Pattern) else wanted
        while not (match := search(self.read_so_far)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.handle], [], [], left)[0]:
                raise TooLate(self.read_so_far)
            self.read_so_far += os.read(self.handle, 65536).decode(errors="replace").replace("\r\n", "\n")
            self.read_so_far = COLOURS.sub("", self.read_so_far)
        output, self.read_so_far = self.read_so_far, ""
        return output, match

    def is_at_the_shell(self):
        return os.tcgetpgrp(self.handle) == self.process

    def close(self):
        """Ends the shell and what runs in the foreground."""
        foreground = os.tcgetpgrp(self.handle)
        for group in {foreground, self.process}:
            os.killpg(group, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.handle)
