#!/usr/bin/env python3
"""Plays the boxes "See it live" of the book on live clusters, and holds what kubectl prints to what the book says.

Usage: tests/kubectl/book.py [--kubectl PROGRAM] [--cluster PROGRAM] [--show] [PAGE…]

A box is a quotation that begins with **See it live.** and has `console` blocks. In them a line that begins with `$ ` is a
command for a shell, and what follows is what it prints. `…` stands for anything in a line, and a line `…` alone for any
lines. All boxes of a page are played on one new cluster, in their order. With --show what is printed is shown, too.
"""

import argparse, os, re, subprocess, sys, tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
BOX = "> **See it live.**"


def boxes(text):
    """The console blocks of a page's boxes: (line number, command, expected lines)."""
    commands, inside, block = [], False, False
    for number, line in enumerate(text.splitlines(), 1):
        inside = line.startswith(BOX) or inside and line.startswith(">")
        line = line.removeprefix(">").removeprefix(" ") if inside else ""
        if line.startswith("```"):
            block = line == "```console"
        elif block and line.startswith("$ "):
            commands.append((number, line[2:], []))
        elif block and commands[-1][1].endswith("\\"):
            commands[-1] = (commands[-1][0], commands[-1][1] + "\n" + line, [])
        elif block and "<<" in commands[-1][1] and not is_closed(commands[-1][1]):
            commands[-1] = (commands[-1][0], commands[-1][1] + "\n" + line, [])
        elif block:
            commands[-1][2].append(line)
    return commands


def is_closed(command):
    """Whether a here-document has come to its end."""
    end = re.search(r"<<-?\s*['\"]?(\w+)", command).group(1)
    return re.search(rf"\n{end}$", command) is not None


def agrees(expected, got):
    pattern = "\n".join(expected)
    pattern = re.escape(pattern).replace("\\\n…\\\n", "\n(?:.*\n)*?").replace("…", "[^\n]*")
    # Columns are as wide as what stands in them.
    pattern = re.sub(r"(?:\\ ){2,}", "  +", pattern)
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in got.rstrip().splitlines())) is not None


def play(page, args, tools, number):
    commands = boxes(page.read_text())
    if not commands:
        return 0, 0
    name, failed = f"book-{os.getpid()}-{number}", 0
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": folder, "KUBECACHEDIR": f"{folder}/cache",
            "KUBECONFIG": f"{folder}/kubeconfig", "CLUSTER": args.cluster, "CLUSTER_NAME": name,
        }
        up = [args.cluster, "--name", name, "up", "--detach", "--kubeconfig", f"{folder}/kubeconfig", "--seed", "1"]
        subprocess.run([*up, *flags(page)], check=True, stdout=subprocess.DEVNULL)
        try:
            for line, command, expected in commands:
                run = subprocess.run(["sh", "-c", command], cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180)
                if args.show:
                    print(f"$ {command}\n{run.stdout}", end="")
                if not agrees(expected, run.stdout):
                    failed += 1
                    print(f"{page.relative_to(ROOT)}:{line}: $ {command}\n  the book says:")
                    print("".join(f"    {said}\n" for said in expected) + "  it prints:")
                    print("".join(f"    {said}\n" for said in run.stdout.splitlines()))
        finally:
            subprocess.run([args.cluster, "--name", name, "down"], stdout=subprocess.DEVNULL)
    return len(commands), failed


def flags(page):
    """What the first box of a page says the cluster was started with: `cargo grade cluster up --speed 20`."""
    box = page.read_text().split(BOX, 1)[1].split("\n\n", 1)[0]
    started = re.search(r"`cargo grade cluster up ([^`]*)`", box)
    return started.group(1).split() if started else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubectl", default=str(TARGET / "kubectl/1.32/kubectl"))
    parser.add_argument("--cluster", default=str(TARGET / "debug/cluster"))
    parser.add_argument("--show", action="store_true")
    parser.add_argument("pages", nargs="*", type=Path)
    args = parser.parse_args()
    pages = [page.resolve() for page in args.pages] or sorted((ROOT / "book/src").rglob("*.md"))
    steps = failed = 0
    with tempfile.TemporaryDirectory() as tools:
        (Path(tools) / "kubectl").symlink_to(Path(args.kubectl).resolve())
        # `cargo grade cluster …` of the book is the very program that is tested.
        cargo = Path(tools) / "cargo"
        cargo.write_text('#!/bin/sh\n[ "$1 $2" = "grade cluster" ] || exit 1\nshift 2\nexec "$CLUSTER" --name "$CLUSTER_NAME" "$@"\n')
        cargo.chmod(0o755)
        for number, page in enumerate(pages):
            played, wrong = play(page, args, tools, number)
            steps, failed = steps + played, failed + wrong
    print(f"the book, live: {steps - failed} of {steps} commands print what it says")
    sys.exit(1 if failed or not steps else 0)


main()
