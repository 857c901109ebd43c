//! Request bodies of content type `application/vnd.kubernetes.protobuf`, read into the JSON of the same object.
//!
//! kubectl 1.32 and later and typed clients send built-in kinds in this form, and the rest of the server knows JSON
//! only. The envelope is that of `k8s.io/apimachinery/pkg/runtime/serializer/protobuf`; the messages are those of the
//! `generated.proto` files of `k8s.io/api` and its neighbours, listed in `protobuf-1.33.txt`.
//!
//! The result is what Go's JSON encoder gives for the decoded object. The Go encoder of protobuf always writes plain
//! scalars, even empty ones, so the `omitempty` tags of the Go types decide which zero values stay.

mod decode;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

use decode::Decoder;
use serde_json::{Map, Value};
use table::TABLE;
use wire::{Fields, unknown_field};

/// What every body starts with, so that it cannot be taken for JSON or YAML.
const MAGIC: &[u8] = b"k8s\0";

/// The media type of such bodies.
const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// Whether a `Content-Type` names the protobuf form. Parameters and case do not matter.
pub fn is_protobuf(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

/// Reads a request body into the JSON of its object, `apiVersion` and `kind` first.
///
/// # Errors
///
/// A sentence that says what is wrong and in which message, for a body that is cut off or malformed, for a kind or a
/// field that Kubernetes 1.33 does not have, and for nesting that is too deep.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let bytes = body.strip_prefix(MAGIC).ok_or("the body does not start with the protobuf prefix k8s\\0")?;
    let envelope = Envelope::read(bytes)?;
    let table = &*TABLE;
    let message = table.kind(&envelope.api_version, &envelope.kind)?;
    let mut decoder = Decoder { table, messages: 0 };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), Value::String(envelope.api_version));
    object.insert("kind".to_owned(), Value::String(envelope.kind));
    decoder.message(message, envelope.raw, 1, &mut object)?;
    Ok(Value::Object(object))
}

/// `runtime.Unknown`: the type of an object and its bytes.
#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, String> {
        const PLACE: &str = "runtime.Unknown";
        let mut envelope = Self::default();
        for item in Fields::new(bytes, PLACE) {
            match item? {
                (1, wire) => envelope.read_type(wire.bytes(PLACE, "typeMeta")?)?,
                (2, wire) => envelope.raw = wire.bytes(PLACE, "raw")?,
                (3, wire) => {
                    let encoding = wire.string(PLACE, "contentEncoding")?;
                    if !encoding.is_empty() {
                        return Err(format!("the content encoding {encoding:?} of {PLACE} is not supported"));
                    }
                }
                (4, wire) => {
                    let content_type = wire.string(PLACE, "contentType")?;
                    if !content_type.is_empty() && !is_protobuf(content_type) {
                        return Err(format!("the content type {content_type:?} of {PLACE} is not supported"));
                    }
                }
                (number, _) => return Err(unknown_field(number, PLACE)),
            }
        }
        Ok(envelope)
    }

    fn read_type(&mut self, bytes: &[u8]) -> Result<(), String> {
        const PLACE: &str = "runtime.TypeMeta";
        for item in Fields::new(bytes, PLACE) {
            match item? {
                (1, wire) => wire.string(PLACE, "apiVersion")?.clone_into(&mut self.api_version),
                (2, wire) => wire.string(PLACE, "kind")?.clone_into(&mut self.kind),
                (number, _) => return Err(unknown_field(number, PLACE)),
            }
        }
        Ok(())
    }
}
