//! Manifests as users have them: files of one or more YAML documents, named where a scenario applies objects.

use crate::workspace::read;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Puts the objects of manifest files in the place of their names, in `apply` and in each step that applies.
///
/// Names are relative to `dir`, the folder of the scenario.
pub fn include(timeline: &mut Value, dir: &Path) -> Result<()> {
    let applied = |value: &mut Value| match value.get_mut("apply") {
        Some(objects) => expand(objects, dir),
        None => Ok(()),
    };
    applied(timeline)?;
    let steps = timeline.get_mut("timeline").and_then(Value::as_array_mut);
    steps.into_iter().flatten().try_for_each(applied)
}

/// `web.yaml`, or a list of objects and such names, as a list of objects.
fn expand(objects: &mut Value, dir: &Path) -> Result<()> {
    let given = match objects.take() {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let mut expanded = Vec::new();
    for item in given {
        match item {
            Value::String(name) => expanded.append(&mut load(&dir.join(name))?),
            object => expanded.push(object),
        }
    }
    *objects = Value::Array(expanded);
    Ok(())
}

/// The objects of a manifest file; of a `List`, its items.
fn load(path: &Path) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&read(path)?) {
        let object = Value::deserialize(document).with_context(|| path.display().to_string())?;
        match object {
            // Between two `---` there may be nothing but a comment.
            Value::Null => {}
            Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                let items = list.remove("items").and_then(|items| items.as_array().cloned());
                objects.extend(items.with_context(|| format!("{}: a List has `items`", path.display()))?);
            }
            Value::Object(_) => objects.push(object),
            _ => bail!("{}: a manifest is an object with `kind`", path.display()),
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_stand_for_their_objects() {
        let dir = tempfile::tempdir().expect("a folder for this test");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("it can be written");
        write("web.yaml", "# two of them\n---\nkind: Pod\n---\n---\nkind: Service\n");
        write("list.yaml", "kind: List\nitems: [{kind: Node}]\n");
        write("word.yaml", "hello\n");
        let mut timeline =
            json!({"apply": "web.yaml", "timeline": [{"run": "1s"}, {"apply": [{"kind": "A"}, "list.yaml"]}]});
        include(&mut timeline, dir.path()).expect("the files are there");
        assert_eq!(timeline["apply"], json!([{"kind": "Pod"}, {"kind": "Service"}]));
        assert_eq!(timeline["timeline"][1]["apply"], json!([{"kind": "A"}, {"kind": "Node"}]));
        for (name, expected) in [("word.yaml", "a manifest is an object"), ("none.yaml", "can't read")] {
            let error = include(&mut json!({"apply": [name]}), dir.path()).expect_err(name);
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }
}
