//! A sound book has no complaints, and each way to break it has its own.

use super::*;
use crate::render::render;
use std::fs;

const SUMMARY: &str = "# Summary\n\n[Start](start.md)\n\n- [Taints](scheduler/taints.md)\n";

const START: &str = "# Start\n\nSee [taints](scheduler/taints.md#how-it-works) and <https://kubernetes.io/docs/>.\n";

const CHAPTER: &str = r#"# Taints

## The interview question

Run `cargo grade watch` and look at `exercises/scheduler/taints.rs`.

## How it works

<figure>
<svg role="img" aria-label="a node"><path d="M0 0"/></svg>
<figcaption>A node.</figcaption>
</figure>

`spec.taints[].effect` is `NoSchedule`, `PreferNoSchedule` or `NoExecute`; `spec.tolerations` have `tolerationSeconds`.

## What goes wrong in production

The plugin `TaintToleration` makes it `FailedScheduling`.

## In the exercise

`cargo grade run scheduler/taints`

<details><summary>The reference solution</summary>

```rust
{{#include ../../../solutions/scheduler/taints.rs:solution}}
```

</details>

## Follow-up questions

## Sources
"#;

const SOLUTION: &str = "// ANCHOR: solution\nfn f() {}\n// ANCHOR_END: solution\n";

const NAMES: &str = "scheduler/taints:\n- spec.taints[].effect\n- NoSchedule\n- NoExecute\n- PreferNoSchedule\n- spec.tolerations\n- tolerationSeconds\n- TaintToleration\n- FailedScheduling\n";

const QUIZ: &str = "- id: a\n  level: senior\n  source: pkg/a.go\n  read: how-it-works\n  ask: A?\n  number: {is: 1, why: So., wrong: []}\n";

/// The complaints about a sound book in which one piece of one file was replaced.
fn complaints(file: &str, piece: &str, by: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let sound = [
        ("book/book.toml", "[book]\ntitle = \"T\"\n"),
        ("book/names.yaml", NAMES),
        ("book/src/SUMMARY.md", SUMMARY),
        ("book/src/start.md", START),
        ("book/src/scheduler/taints.md", CHAPTER),
        ("exercises/scheduler/taints.rs", "fn main() {}\n"),
        ("solutions/scheduler/taints.rs", SOLUTION),
        ("tests/scenarios/scheduler/taints/one.yaml", "why: x\nread: how-it-works\n"),
        ("solutions/interviews/warmups/scheduler/taints.yaml", QUIZ),
        ("solutions/interviews/transcripts.json", "{}\n"),
    ];
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (path, text) in sound {
        write(path, text);
    }
    if !file.is_empty() {
        let old = fs::read_to_string(dir.path().join(file)).unwrap_or_default();
        assert!(old.contains(piece), "{file} has no {piece:?}");
        write(file, &if piece.is_empty() { format!("{old}{by}") } else { old.replacen(piece, by, 1) });
    }
    let dest = dir.path().join("out");
    let contents = render(dir.path(), &dest).unwrap();
    let found = check(dir.path(), &dest, &contents).unwrap();
    found.iter().map(|c| format!("{}:{}: {}", c.file.display(), c.line, c.what)).collect()
}

#[test]
fn a_sound_book_has_no_complaints() {
    assert_eq!(complaints("", "", ""), [""; 0]);
}

#[test]
fn each_break_has_its_complaint() {
    let summary = "book/src/SUMMARY.md";
    let start = "book/src/start.md";
    let taints = "book/src/scheduler/taints.md";
    // File, the piece that is replaced (none: the text is added at the end), by what, and the complaint.
    let breaks = [
        (summary, "", "- [Gone](gone.md)\n", "book/src/SUMMARY.md:6: the chapter gone.md is not written"),
        ("book/src/lost.md", "", "# Lost", "book/src/SUMMARY.md:1: lost.md is in no line of the table of contents"),
        (
            "exercises/node/qos.rs",
            "",
            "fn main() {}",
            "book/src/SUMMARY.md:1: the exercise exercises/node/qos.rs has no chapter",
        ),
        (start, "", "\n[a](no.md)\n", "book/src/start.md:5: no.html leads nowhere"),
        (start, "", "\n<a href=\"no.md\">a</a>\n", "book/src/start.md:5: no.html leads nowhere"),
        (start, "", "\n[a](../../solutions/scheduler/taints.rs)\n", "is a file of the repository and not of the book"),
        (
            start,
            "#how-it-works",
            "#how",
            "book/src/start.md:3: scheduler/taints.html#how: that chapter has no heading #how",
        ),
        (start, "", "\n[a](#there)\n", "book/src/start.md:5: #there: that chapter has no heading #there"),
        (start, "", "\n[a](http://kubernetes.io/)\n", "book/src/start.md:5: http://kubernetes.io/ is not https"),
        (start, "", "\n[a](https://kubernetes)\n", "book/src/start.md:5: https://kubernetes is not an address"),
        (start, "", "\n[a](https:/kubernetes.io)\n", "book/src/start.md:5: https:/kubernetes.io is not an address"),
        (start, "", "\n![](i.png)\n", "book/src/start.md:5: an image without alternative text"),
        (start, "", "\n<svg></svg>\n", "book/src/start.md:5: a drawing without a name"),
        (start, "", "\n<details>\n\nx\n", "book/src/start.md:5: <details> is not closed"),
        (start, "", "\n<div><b>x</div>\n", "book/src/start.md:5: <b> is not closed"),
        (start, "", "\nx\n</details>\n", "book/src/start.md:6: </details> closes nothing"),
        (start, "", "\n<p>a `b`</p>\n", "book/src/start.md:5: a backtick is shown as it is"),
        (start, "", "\n{{#include no.rs}}\n", "book/src/start.md:5: the included file no.rs does not exist"),
        (taints, "rs:solution", "rs:answer", "solutions/scheduler/taints.rs has no ANCHOR: answer"),
        (taints, "rs:solution", "rs:1:9", "line 9 of ../../../solutions/scheduler/taints.rs is included, which has 3"),
        ("solutions/scheduler/taints.rs", "_END: sol", "_END: so", "taints.rs has no ANCHOR_END: solution"),
        (start, "", "\nIn `kit/api/no.rs`.\n", "book/src/start.md:5: there is no kit/api/no.rs"),
        (start, "", "\n`cargo grade win`\n", "book/src/start.md:5: there is no `cargo grade win`"),
        (start, "", "\n```console\n$ cargo book print\n```\n", "book/src/start.md:6: there is no `cargo book print`"),
        (start, "", "\n```rust\nlet a = 1;\n```\n", "book/src/start.md:5: Rust code that no compiler sees"),
        (taints, "## Sources", "## Links", "taints.md:1: the section \"Sources\" is missing"),
        (taints, "## How it works", "## Sources", "the section \"How it works\" is missing"),
        (
            taints,
            "## The interview question",
            "## In the exercise\n\n## The interview question\n\n## Sources",
            "the section \"Sources\" is not in its place",
        ),
        (taints, "```rust", "</details>\n\n```rust", "the reference solution is in plain sight"),
        (taints, ":solution}}", ":solution}}\nlet a;", "Rust code that no compiler sees"),
        (
            taints,
            "solutions/scheduler/taints.rs:solution",
            "exercises/scheduler/taints.rs",
            "the reference solution is missing",
        ),
        (
            taints,
            "grade run scheduler/taints",
            "grade run x",
            "the chapter never says `cargo grade run scheduler/taints`",
        ),
        ("book/names.yaml", "- NoSchedule\n", "", "book/names.yaml:1: scheduler/taints has 7 names"),
        ("book/names.yaml", "", "none:\n- A\n", "book/names.yaml:10: there is no chapter none"),
        (taints, "`NoSchedule`", "so", "book/names.yaml:3: book/src/scheduler/taints.md never says NoSchedule"),
        (
            taints,
            "`FailedScheduling`",
            "<span class=\"x\" title=\"FailedScheduling\">so</span>",
            "book/names.yaml:9: who searches for FailedScheduling doesn't find book/src/scheduler/taints.md",
        ),
        (
            "solutions/interviews/warmups/scheduler/taints.yaml",
            "how-it-works",
            "matching",
            "warmups/scheduler/taints.yaml:4: book/src/scheduler/taints.md has no heading #matching",
        ),
        (
            "solutions/interviews/warmups/scheduler/lost.yaml",
            "",
            "[]",
            "warmups/scheduler/lost.yaml:1: no reader sees these questions: there is no chapter scheduler/lost",
        ),
        (taints, "<figcaption>A node.</figcaption>\n</figure>", "", "<figure> is not closed"),
        (
            "tests/scenarios/scheduler/taints/one.yaml",
            "how-it-works",
            "matching",
            "tests/scenarios/scheduler/taints/one.yaml:2: book/src/scheduler/taints.md has no heading #matching",
        ),
    ];
    for (file, piece, by, expected) in breaks {
        let found = complaints(file, piece, by);
        assert!(
            found.iter().any(|c| c.contains(expected)),
            "{by:?} in {file}\nexpected {expected}\nfound    {found:#?}"
        );
    }
}

#[test]
fn what_only_looks_broken_is_left_alone() {
    for text in [
        "\n```rust,ignore\nlet a = 1;\n```\n",
        "\nWrite `\\{{#include file.rs:part}}` there.\n",
        "\nThe files are `tests/scenarios/<name>/*.yaml`.\n",
        "\nIn [`tests/robustness`](https://github.com/etcd-io/etcd/tree/v3.5.21/tests/robustness).\n",
        "\n`cargo grade`, `cargo grade --help` and `cargo grade <command>`\n",
        "\n```text\n<details> and `that`\n```\n",
        "\n![a node](https://kubernetes.io/images/node.png)\n",
    ] {
        assert_eq!(complaints("book/src/start.md", "", text), [""; 0], "{text}");
    }
}
