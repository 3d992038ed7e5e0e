#!/usr/bin/env python3
"""Says which links in README.md and docs/ lead nowhere.

usage: links.py SOURCE_DIR
"""

import pathlib
import re
import sys


def main(source):
    pages = [source / "README.md", *sorted((source / "docs").glob("*.md"))]
    lost = 0
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" in target or (page.parent / target).exists():
                continue
            print(f"{page.relative_to(source)}: there is no {target}")
            lost += 1
    return 1 if lost else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
