//! How a hash becomes part of a name.

/// The characters of generated names: no vowels, and no digit that looks like one.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Maps each byte into the alphabet of generated names, so that no word can come out by accident.
///
/// Source: `SafeEncodeString` in `staging/src/k8s.io/apimachinery/pkg/util/rand/rand.go`.
pub fn safe_encode(text: &str) -> String {
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}
