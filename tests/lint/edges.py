#!/usr/bin/env python3
"""Checks that every memory order in the source has its written reason.

usage: edges.py [ROOT]

The convention. The header comment of a structure lists its edges, one line each:

     * [A] head: push -> pop, publishes the payload

and each atomic access cites the edge it is an end of, on the same line or directly above its
statement, with the word that the code says, too:

    /* [A] release; pairs with shmp_spsc_pop */

The words: release, acquire, acq_rel, seq_cst, relaxed, fence. A letter belongs to its file pair
(spsc.h, spsc.c); elsewhere it is cited as [spsc.A]. `fence` is also said beside what is no C fence
but acts as one (membarrier). A relaxed access without an edge says why that is enough, on the same
line or at most three lines above:

    /* relaxed: a statistic, nothing is published by it */

Found wrong: an access without a reason; a word that is not what the code does; a citation without
an access, of an edge that is not listed, or naming a partner that is not in the code; an edge
without two ends, one that releases and another that acquires; an order left out (seq_cst in
disguise); compiler builtins; in protocol/ also volatile without a comment `volatile: why`.
"""

import pathlib
import re
import sys

FOLDERS = ["protocol", "libclient", "daemon"]
RELEASING = {"release", "acq_rel", "seq_cst", "fence"}
ACQUIRING = {"acquire", "acq_rel", "seq_cst", "fence"}

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
ACCESS = re.compile(r"\batomic_(?:\w+_explicit|thread_fence|signal_fence)(?=\s*\()")
IMPLICIT = re.compile(
    r"\batomic_(?:load|store|exchange|fetch_\w+|compare_exchange_\w+|flag_\w+)(?=\s*\()"
)
BUILTIN = re.compile(r"\b__(?:atomic|sync)_\w+(?=\s*\()")
VOLATILE = re.compile(r"\bvolatile\b")
ORDER = re.compile(r"\bmemory_order_(\w+)")
LISTED = re.compile(r"^[\s/]*\*+\s*\[([A-Z]\w*)\]\s+[^\n:;]+:[^\n]*->", re.MULTILINE)
CITED = re.compile(r"\[(?:(\w+)\.)?([A-Z]\w*)\]\s+(release|acquire|acq_rel|seq_cst|relaxed|fence)\b")
PARTNER = re.compile(r"pairs\s+(?:\*\s+)?with\s+(?:\*\s+)?(\w+_\w+)")


class Comment:
    def __init__(self, text, first, last):
        self.text, self.first, self.last = text, first, last
        self.used = False


class Source:
    """A file, apart: its code with every comment and string blanked, and its comments."""

    def __init__(self, path, text):
        self.path = path
        self.stem = pathlib.PurePath(path).stem
        self.comments = []
        parts, end = [], 0
        for match in TOKEN.finditer(text):
            token = match.group()
            if token.startswith("/"):
                first = text.count("\n", 0, match.start()) + 1
                self.comments.append(Comment(token, first, first + token.count("\n")))
            parts += [text[end : match.start()], re.sub(r"[^\n]", " ", token)]
            end = match.end()
        self.code = "".join(parts) + text[end:]
        self.lines = self.code.split("\n")

    def line_of(self, offset):
        return self.code.count("\n", 0, offset) + 1

    def call_end(self, offset):
        """The offset behind the closing parenthesis of the call that begins at `offset`."""
        depth = 0
        for at in range(self.code.index("(", offset), len(self.code)):
            depth += {"(": 1, ")": -1}.get(self.code[at], 0)
            if not depth:
                return at + 1
        return len(self.code)

    def statement_start(self, line):
        """The first line of the statement that goes on in `line`; a line of comment ends it."""
        while line > 1:
            above = self.lines[line - 2].rstrip("\\ \t")
            if not above.strip() or above.lstrip().startswith("#") or above[-1] in ";{}:":
                break
            line -= 1
        return line

    def comments_beside(self, first, last, above):
        """The comments in the lines first..last, and those at most `above` lines over them.

        One that stands behind other code, higher up, speaks of that code.
        """
        return [
            c
            for c in self.comments
            if first - above <= c.last
            and c.first <= last
            and (c.last >= first or not self.lines[c.first - 1].strip("\\ \t"))
        ]


class Checker:
    def __init__(self, files):
        self.sources = [Source(path, text) for path, text in sorted(files.items())]
        self.complaints = []
        self.listed = {}  # (stem, letter): where
        self.ends = {}  # (stem, letter): [word]
        self.names = set()

    def complain(self, source, line, text):
        self.complaints.append(f"{source.path}:{line}: {text}")

    def run(self):
        for source in self.sources:
            self.names |= set(re.findall(r"\w+", source.code))
            self.read_list(source)
        for source in self.sources:
            self.check_orders_are_written(source)
            self.check_accesses(source)
            self.check_citations(source)
        self.check_edges()
        return self.complaints

    def read_list(self, source):
        for comment in source.comments:
            for match in LISTED.finditer(comment.text):
                line = comment.first + comment.text.count("\n", 0, match.start(1))
                edge = (source.stem, match.group(1))
                if edge in self.listed:
                    self.complain(source, line, f"edge [{edge[1]}] is listed twice")
                self.listed[edge] = (source, line)

    def check_orders_are_written(self, source):
        for match in IMPLICIT.finditer(source.code):
            if not match.group().endswith("_explicit"):
                self.complain(
                    source, source.line_of(match.start()), f"{match.group()}: the order is left out"
                )
        for match in BUILTIN.finditer(source.code):
            self.complain(
                source, source.line_of(match.start()), f"{match.group()}: use the C11 function"
            )
        if "protocol" not in pathlib.PurePath(source.path).parts:
            return
        for match in VOLATILE.finditer(source.code):
            line = source.line_of(match.start())
            is_asm = re.search(r"\b(?:__)?asm(?:__)?\s*$", source.code[: match.start()])
            near = source.comments_beside(line, line, 3)
            if not is_asm and not any("volatile:" in c.text for c in near):
                self.complain(source, line, "volatile without a comment `volatile: why`")

    def check_accesses(self, source):
        for match in ACCESS.finditer(source.code):
            end = source.call_end(match.start())
            call = source.code[match.start() : end]
            first = source.statement_start(source.line_of(match.start()))
            last = source.line_of(end - 1)
            line = source.line_of(match.start())
            self.check_access(source, match.group(), call, (first, line, last))

    def check_access(self, source, name, call, lines):
        first, line, last = lines
        orders = set(ORDER.findall(call))
        words = {"fence"} if name.endswith("_fence") else orders
        beside = source.comments_beside(first, last, 1)
        cited = False
        for comment in beside:
            for said in CITED.findall(comment.text):
                cited = True
                comment.used = True
                if words and said[2] not in words:
                    self.complain(
                        source, line, f"the comment says {said[2]}, the code {' '.join(sorted(words))}"
                    )
        if cited:
            return
        if orders == {"relaxed"}:
            near = source.comments_beside(first, last, 3)
            if not any(re.search(r"\brelaxed:\s+(\*\s+)?\w", c.text) for c in near):
                self.complain(source, line, f"{name}: relaxed without an edge or a `relaxed:` reason")
        else:
            self.complain(source, line, f"{name}: cites no edge")

    def check_citations(self, source):
        for comment in source.comments:
            for stem, letter, word in CITED.findall(comment.text):
                edge = (stem or source.stem, letter)
                if edge not in self.listed:
                    self.complain(source, comment.first, f"edge [{edge[0]}.{letter}] is not listed")
                elif not comment.used and word != "fence":
                    self.complain(source, comment.first, f"[{letter}] {word}: there is no access here")
                else:
                    self.ends.setdefault(edge, []).append(word)
            for partner in PARTNER.findall(comment.text):
                if partner not in self.names:
                    self.complain(source, comment.first, f"there is no {partner} to pair with")

    def check_edges(self):
        for edge, (source, line) in self.listed.items():
            words = self.ends.get(edge, [])
            if not any(
                release in RELEASING and acquire in ACQUIRING
                for i, release in enumerate(words)
                for j, acquire in enumerate(words)
                if i != j
            ):
                said = ", ".join(words) or "nothing"
                self.complain(source, line, f"edge [{edge[1]}] lacks an end: it is cited by {said}")


def check(files):
    """The complaints about `files`, {path: text}."""
    return Checker(files).run()


def main(root):
    paths = [p for folder in FOLDERS for p in (root / folder).rglob("*.[ch]")]
    complaints = check({str(p.relative_to(root)): p.read_text() for p in paths})
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parents[2]
    sys.exit(main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here))
