#!/usr/bin/env python3
"""Makes shmbrokerd.8: what --help says, from the program's one table of options, in a frame.

usage: man.py FRAME OUTPUT VERSION SYSCONFDIR SHMBROKERD
"""

import pathlib
import re
import subprocess
import sys


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def options(help_text):
    """Lines of `  --name VALUE`, each with a tab and its explanation on the next."""
    found = re.findall(r"^  (--\S+)(?: (\S+))?\n\t(.*)$", help_text, re.M)
    if not found:
        sys.exit("man.py: --help has no options that I understand")
    for name, value, text in found:
        tail = f'" " \\fI{escape(value)}\\fR' if value else ""
        yield f".TP\n.BR {escape(name)} {tail}\n{escape(text)}"


def after_options(help_text):
    """What --help says behind the last option."""
    return escape(help_text[help_text.rindex("\n\t") :].split("\n\n", 1)[1].strip())


def main(frame, output, version, sysconfdir, program):
    said = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    page = pathlib.Path(frame).read_text()
    for key, text in {
        "@VERSION@": version,
        "@SYSCONFDIR@": escape(sysconfdir),
        "@OPTIONS@": "\n".join(options(said)),
        "@CONFIGURATION@": after_options(said),
    }.items():
        page = page.replace(key, text)
    pathlib.Path(output).write_text(page)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
