"""Answers two questions from `cargo metadata`.

features PACKAGE           every set of its features that is checked: none, each, all, and all but each that stands for itself
msrv VERSION PACKAGE ...   fails when a locked dependency of these packages does not say that it builds with VERSION
"""

import json
import subprocess
import sys


def metadata(*flags):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", *flags]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def features(name):
    package = next(p for p in metadata("--no-deps")["packages"] if p["name"] == name)
    names = [feature for feature in sorted(package["features"]) if feature != "default"]
    # A feature that others are made of adds nothing of its own, and would bring back what is left out.
    made = {name for name in names if any(part in names for part in package["features"][name])}
    single = [name for name in names if name not in made]
    sets = [[], *([name] for name in names), names, *([name for name in single if name != out] for out in single)]
    for chosen in sets:
        print(",".join(chosen))


def version(text):
    parts = [int(part) for part in text.split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


def msrv(limit, *roots):
    graph = metadata("--all-features")
    packages = {package["id"]: package for package in graph["packages"]}
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    todo = [ident for ident, package in packages.items() if package["name"] in roots and package["source"] is None]
    if len(todo) != len(roots):
        sys.exit(f"not all in the workspace: {', '.join(roots)}")
    seen = set()
    while todo:
        ident = todo.pop()
        if ident in seen:
            continue
        seen.add(ident)
        for dep in nodes[ident]["deps"]:
            if any(kind["kind"] != "dev" for kind in dep["dep_kinds"]):
                todo.append(dep["pkg"])
    newer, silent = [], []
    for package in sorted((packages[ident] for ident in seen), key=lambda package: package["name"]):
        title = f"{package['name']} {package['version']}"
        if package["rust_version"] is None:
            silent.append(title)
        elif version(package["rust_version"]) > version(limit):
            newer.append(f"{title} needs {package['rust_version']}")
    print(f"{len(seen)} packages, of which {len(seen) - len(silent) - len(newer)} say that they build with {limit}")
    if silent:
        print(f"say nothing: {', '.join(silent)}")
    if newer:
        sys.exit("\n".join(newer))


{"features": features, "msrv": msrv}[sys.argv[1]](*sys.argv[2:])
