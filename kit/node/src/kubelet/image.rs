//! The image registry: how the containers of each image behave. Containers are simulated; this is all that they do.

use kit_api::core::Container;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How containers of one image behave. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// How long a node takes to pull it, each time.
    pub pull: f64,
    /// Whether it can be pulled at all.
    pub exists: bool,
    /// From pulled to running.
    pub start: f64,
    /// From running to ready.
    pub ready: f64,
    /// From the signal to stop to the end.
    pub stop: f64,
    /// How long it runs before it ends by itself; none for ever.
    pub exits_after: Option<f64>,
    /// With which code it ends then.
    pub exit_code: i32,
    /// Thousandths of a CPU that it uses without load.
    pub milli_cpu: i64,
    /// Bytes of memory that it uses.
    pub memory: i64,
}

impl Default for Image {
    fn default() -> Self {
        Image {
            pull: 0.1,
            exists: true,
            start: 0.1,
            ready: 0.1,
            stop: 0.4,
            exits_after: None,
            exit_code: 0,
            milli_cpu: 1,
            memory: 16 << 20,
        }
    }
}

/// Images by name, with their tag. What isn't here behaves as the default image does.
pub type Registry = BTreeMap<String, Image>;

/// How a container behaves in a pod that is restarted `Always`, or not.
///
/// An image that no one described can't be pulled if its name has `broken` in it, and is a task of one second in a
/// pod that is not restarted always; the task fails if its command has `fail` in it.
pub fn behaviour(registry: &Registry, container: &Container, always: bool) -> Image {
    let name = container.image.as_deref().unwrap_or_default();
    if let Some(image) = registry.get(name) {
        return image.clone();
    }
    let mut words = container.command.iter().chain(&container.args).flatten();
    let fails = words.any(|word| word.contains("fail"));
    Image {
        exists: !name.contains("broken"),
        exits_after: (!always).then_some(1.0),
        exit_code: i32::from(fails),
        ..Image::default()
    }
}
