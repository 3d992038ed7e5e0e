#!/usr/bin/env python3
"""Says which names of the library in README.md and docs/ no public header has.

usage: names.py SOURCE_DIR

Every word shmc_... or SHMC_... of a page must stand in a header under an include folder, outside of
its comments; one with parentheses behind it must be declared there as a function. A * or capitals
in the middle of a name (`shmc_*_create()`, `shmc_KIND_look()`) stand for any: one must fit.
"""

import pathlib
import re
import sys

WORD = re.compile(r"\b(?:shmc_[\w*]*[a-zA-Z0-9*]|SHMC_[\w*]*[A-Z0-9*])(\(\))?")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
FUNCTION = re.compile(r"\b(shmc_\w+)\s*\((?![)*])")
RESULT = re.compile(r"\bX\((\w+), -?\d+,")


def names_of(headers):
    """All names that the headers have, and those of functions."""
    text = COMMENT.sub("", "\n".join(headers))
    names = set(re.findall(r"\b(?:shmc|SHMC)_\w+", text))
    names |= {f"SHMC_{result}" for result in RESULT.findall(text)}
    return names, set(FUNCTION.findall(text))


def is_known(word, known):
    pattern = re.sub(r"\*|(?<=_)KIND(?=_)", r"\\w+", word)
    if pattern == word:
        return word in known
    return any(re.fullmatch(pattern, name) for name in known)


def faults_of(page, names, functions):
    """(line, what) of every name that is in no header."""
    for number, line in enumerate(page.splitlines(), 1):
        for match in WORD.finditer(line):
            word = match.group(0).removesuffix("()")
            if not is_known(word, names):
                yield number, f"no public header has {word}"
            elif match.group(1) and not is_known(word, functions):
                yield number, f"{word} is no function"


def main(source):
    headers = [path.read_text() for path in sorted(source.glob("*/include/**/*.h"))]
    names, functions = names_of(headers)
    pages = [source / "README.md", *sorted((source / "docs").glob("*.md"))]
    faults = 0
    for page in pages:
        for line, fault in faults_of(page.read_text(), names, functions):
            print(f"{page.relative_to(source)}:{line}: {fault}")
            faults += 1
    print(f"{len(functions)} functions, {len(pages)} pages, {faults} faults")
    return 1 if faults or not functions else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
