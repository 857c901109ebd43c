//! What a stub's header says is given to a learner is really there, and what a hint writes as a whole function compiles.

use crate::{document, root};
use std::fs;

/// Compiles each stub with a function that names all that its header lists, `path: fn type` or `Type.field: type`, and with
/// all functions of its hints.
#[test]
fn what_learners_are_told_compiles() {
    let hints = fs::read_to_string(root().join("solutions/hints.yaml")).expect("there are hints");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let (mut named, mut hinted) = (0, 0);
    for entry in hints.split("\n\n").skip(1) {
        let exercise = entry.lines().next().unwrap_or_default().trim_end_matches(':');
        let stub = fs::read_to_string(root().join(format!("exercises/{exercise}.rs"))).expect("each has a stub");
        let given: Vec<String> = stub.lines().filter_map(given).collect();
        let hints: Vec<&str> = entry.split('`').filter(|code| code.starts_with("fn ")).collect();
        if given.is_empty() && hints.is_empty() {
            continue;
        }
        named += given.len();
        hinted += hints.len();
        let (given, hints) = (given.concat(), hints.join("\n"));
        let probe = format!(
            "{stub}\n#[allow(dead_code, unused_imports)]\nmod told {{\n    use super::*;\n    use std::collections::BTreeMap;\n    \
             fn given() {{\n{given}    }}\n{hints}\n}}\n"
        );
        let file = folder.path().join(format!("{exercise}.rs"));
        fs::create_dir_all(file.parent().expect("it has a chapter")).expect("there is room for a chapter");
        fs::write(&file, probe).expect("there is room for a file");
    }
    assert!(
        named > 40 && hinted >= 4,
        "{named} names and {hinted} functions were found: are they written otherwise now?"
    );
    let (report, _) = document(&["run", "--modules", folder.path().to_str().expect("temporary folders are UTF-8")]);
    let results = report["exercises"].as_array().expect("a report lists exercises");
    let broken: Vec<_> = results.iter().filter(|result| result["status"] == "error").collect();
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(results.iter().any(|result| result["status"] == "not_started"), "{report:#}");
}

/// The statement that holds a line of a header to its word.
fn given(line: &str) -> Option<String> {
    let (item, _) = line.strip_prefix("//! - `")?.split_once('`')?;
    let (path, kind) = item.split_once(": ")?;
    Some(match path.rsplit_once('.') {
        Some((whole, field)) => format!("    let _: fn(&{whole}) -> &{kind} = |whole| &whole.{field};\n"),
        None => format!("    let _: {kind} = {path};\n"),
    })
}
