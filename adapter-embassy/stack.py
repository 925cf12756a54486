"""The stack of each door of the core, by its code, and the deepest chain of calls: stack.py ELF [MAX]

ELF is .ci/thumb for Thumb or RISC-V: the doors are what `run` and `_start` call there. A frame is all that a function takes
off the stack pointer anywhere. Fails where a door takes more than MAX bytes or may call itself, and where a frame or a call
cannot be read. `build_in` is `Node::new_in`. Taken for granted: a branch out of a function is its last call, made when its
frame is gone; and a call by pointer reaches the deepest function whose address is taken anywhere.
"""

import re
import subprocess
import sys
from collections import defaultdict


def objdump(*options):
    return subprocess.run(["llvm-objdump", *options, sys.argv[1]], check=True, capture_output=True, text=True).stdout


def plain(name):
    """Without hash and path, whichever way it was mangled."""
    name = re.sub(r"_?\$LT\$impl\$u20\$[\w.]*?(\w+)\$GT\$", r"\1", re.sub(r"::h[0-9a-f]{16}$", "", name))
    return re.sub(r"\b[a-z_]\w*::(?=[<\w])", "", re.sub(r"<([\w:]+)>(?=::\w+$)", r"\1", name))


# By address: the name and the frame of a function, what it calls, what its last call may be, and parts of it kept apart.
names, frames, calls, tails, parts = {}, defaultdict(int), defaultdict(set), defaultdict(set), defaultdict(set)
pointers, words, literals, unread, code = set(), set(), {}, {}, []
for line in objdump("-s", "-j", ".rodata").splitlines():
    for word in re.findall(r"(?<= )[0-9a-f]{8}(?= )", line):
        words.add(int.from_bytes(bytes.fromhex(word), "little"))
text = objdump("-d", "--demangle", "--no-show-raw-insn", "--no-print-imm-hex")
for line in text.splitlines():
    if m := re.match(r"([0-9a-f]{8}) <([^$.].*)>:$", line):
        names[here := int(m[1], 16)] = plain(m[2])
    elif m := re.match(r" *([0-9a-f]+):.*\.word\s+0x([0-9a-f]+)", line):
        literals[int(m[1], 16)] = int(m[2], 16)
    elif m := re.match(r" *([0-9a-f]+):\s+(\w+)\S*\s*([^@<]*)", line):
        code.append((here, int(m[1], 16), m[2], m[3].strip()))

words |= set(literals.values())
upper, before = {}, ""
for f, at, op, args in code:
    first, _, rest = args.partition(", ")
    taken = re.fullmatch(r"(?:sp, )?#?-?(\d+)", rest) if first == "sp" else None
    if op == "push" or op == "stmdb" and first == "sp!":
        spans = re.findall(r"r(\d+)-r(\d+)", args)
        frames[f] += 4 * (len(re.findall(r"\w+", args[args.index("{") :])) + sum(int(b) - int(a) - 1 for a, b in spans))
    elif m := re.search(r"\[sp, #-(\d+)\]!", args):
        frames[f] += int(m[1])
    elif taken and op in ("sub", "subw", "addi"):
        frames[f] += int(taken[1]) if op != "addi" or "-" in rest else 0
    elif op == "ldr" and (m := re.fullmatch(r"\[pc, #(\d+)\]", rest)):
        upper[first] = literals.get((at + 4 & ~3) + int(m[1]), 0)
    elif first == "sp" and op == "add" and upper.get(rest, 0) >> 31:
        frames[f] += 0x100000000 - upper[rest]
    elif first == "sp" and not taken and op in ("add", "sub", "mov", "mv", "and", "ldr"):
        # Up to where the frame began is how a large one ends.
        if not re.match(rf"subs? {rest}, (r7, )?#", before):
            unread[f] = f"{op} {args}"
    elif op in ("lui", "auipc", "movw"):
        value = int(rest.strip("#"), 0)
        upper[first] = value if op == "movw" else (value << 12) + (at if op == "auipc" else 0)
    elif op == "movt":
        words.add(upper.get(first, 0) | int(rest.strip("#"), 0) << 16)
    elif op == "addi" and (m := re.fullmatch(r"(\w+), (-?\d+)", rest)):
        words.add(upper.get(m[1], 0) + int(m[2]) & 0xFFFFFFFF)
    elif (m := re.fullmatch(r"(?:(\w+), )?(-?\d+)\((\w+)\)", args)) and op in ("jalr", "jr"):
        # What is called by way of t0 is a part of this function, and its frame is this one's.
        (parts if first == "t0" else tails if op == "jr" else calls)[f].add(upper[m[3]] + int(m[2]) & 0xFFFFFFFF)
    elif op in ("blx", "bx", "jalr", "jr") and re.fullmatch(r"\w+", args):
        # Or a jump within, by a table.
        pointers |= set() if args in ("lr", "ra", "t0") else {f}
    elif m := re.search(r"(?:^|, )0x([0-9a-f]+)$", args):
        is_call = re.fullmatch(r"blx?|jal|bl(eq|ne|hs|lo|mi|pl|hi|ls|ge|lt|gt|le)", op)
        # Within, it is a jump; to where the function begins, a loop.
        to = {int(m[1], 16)} & names.keys() - (set() if is_call else {f})
        (parts if is_call and first == "t0" else calls if is_call else tails)[f] |= to
    before = f"{op} {args}"

# The address of a function of Thumb is odd.
reached = {word - int("arm" in text[:200]) for word in words} & names.keys()
memo, under = {}, []


def depth(f):
    """The bytes of the deepest chain from a function, and its functions."""
    if f in under:
        sys.exit("recursion: " + ", ".join(names[g] for g in under[under.index(f) :]))
    if f not in memo:
        if f in unread:
            sys.exit(f"{names[f]}: cannot read its frame: {unread[f]}")
        under.append(f)
        further = calls[f] | (reached if f in pointers else set())
        deepest, chain = max((depth(g) for g in further), default=(0, []))
        own = frames[f] + sum(frames[g] for g in parts[f])
        memo[f] = max([(own + deepest, [f, *chain])] + [depth(g) for g in tails[f]])
        under.pop()
    return memo[f]


by_name = {name: f for f, name in names.items()}
doors = sorted({g for f in ("run", "_start") for g in calls[by_name[f]]} - {by_name["run"]}, key=depth, reverse=True)
print("  ", ", ".join(f"{names[f]} {depth(f)[0]}" for f in doors if depth(f)[0] > 256))
for f in depth(doors[0])[1]:
    print(f"   {frames[f] + sum(frames[g] for g in parts[f]):6} {names[f]}{' (and by pointer)' if f in pointers else ''}")
if depth(doors[0])[0] < 512:
    sys.exit("no door of the core is as shallow as that: the code was not read")
if len(sys.argv) > 2 and depth(doors[0])[0] > int(sys.argv[2]):
    sys.exit(f"{names[doors[0]]} takes more stack than {sys.argv[2]} bytes")
