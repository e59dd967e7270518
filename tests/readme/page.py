"""A page of Markdown as the steps that a reader takes, in their order.

What a reader sees says where a step runs:

- "first terminal" or "second terminal" in the text: the blocks below it are typed there.
- "Ctrl-C in the first terminal" in the text: that key.
- "Save this as `NAME`:": the block below it is that file, in the folder where the terminal is.
- A block of `sh` is a command a line. In a block of `console`, `$ ` precedes a command and `ADDRESS> ` a line for the
  program that runs; the rest is output. Blocks in other languages that are not saved are only read.
"""

import re
from dataclasses import dataclass, field

PROMPT = re.compile(r"^(\$|[\w.]+:\d+>) (.*)$")
TERMINALS = {"first": 1, "second": 2}


@dataclass
class Step:
    """One act of the reader. `kind` is heading, key, save, command or input; `output` is what the page shows after it."""

    line: int
    kind: str
    text: str
    terminal: int = 1
    name: str = ""
    output: list = field(default_factory=list)


def steps(page):
    """The steps of the text of a page."""
    found, prose, terminal, block = [], "", 1, None
    for number, line in enumerate(page.splitlines(), 1):
        if block is not None:
            if line.startswith("```"):
                found += block_steps(block, terminal, saved_as(prose))
                prose, block = "", None
            else:
                block[1].append((number, line))
        elif line.startswith("```"):
            acts, terminal = prose_steps(prose, terminal, number)
            found += acts
            block = (line[3:].strip(), [])
        elif line.startswith("## "):
            found.append(Step(number, "heading", line[3:]))
            prose = ""
        else:
            prose += line + " "
    return found


def prose_steps(prose, terminal, number):
    """What the text before a block tells the reader to do, and the terminal that the block is for."""
    acts = []
    for match in re.finditer(r"(Ctrl-C in the )?(first|second) terminal", prose):
        terminal = TERMINALS[match[2]]
        if match[1]:
            acts.append(Step(number, "key", "Ctrl-C", terminal))
    return acts, terminal


def saved_as(prose):
    names = re.findall(r"Save this as `([^`]+)`:", prose)
    return names[-1] if names else None


def block_steps(block, terminal, name):
    language, lines = block
    if name:
        text = "".join(line + "\n" for _, line in lines)
        return [Step(lines[0][0], "save", text, terminal, name)]
    if language == "sh":
        return [Step(number, "command", line, terminal) for number, line in lines if line]
    found = []
    for number, line in lines if language == "console" else []:
        match = PROMPT.match(line)
        if match:
            found.append(Step(number, "command" if match[1] == "$" else "input", match[2], terminal))
        else:
            found[-1].output.append(line)
    return found
