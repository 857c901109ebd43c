//! Names of images, as far as defaults need them.
//!
//! Source: `ParseImageName` of `pkg/util/parsers/parsers.go`; the grammar is that of `distribution/reference`.

/// Whether it is the newest that is asked for: by its tag, or by neither a tag nor a digest. What is no name of an
/// image has no tag, so that its container is defaulted as if it had another.
pub fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (path, tag) = match name.rfind(':').filter(|colon| !name[*colon..].contains('/')) {
        Some(colon) => (&name[..colon], Some(&name[colon + 1..])),
        None => (name, None),
    };
    let valid = is_path(path) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
    valid && (tag == Some("latest") || (tag.is_none() && digest.is_none()))
}

/// `[\w][\w.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b".-".contains(&b))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// A path of lower-case parts, maybe after a registry; Docker's is meant where none is said.
fn is_path(path: &str) -> bool {
    let is_identifier = path.len() == 64 && path.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let rest = match path.split_once('/') {
        Some((host, rest)) if is_registry(host) => {
            if !is_host(host) {
                return false;
            }
            rest
        }
        _ => path,
    };
    let docker = match (rest.len() == path.len(), rest.contains('/')) {
        (false, _) => 0,
        (true, true) => "docker.io/".len(),
        (true, false) => "docker.io/library/".len(),
    };
    !is_identifier && docker + path.len() <= 255 && rest.split('/').all(is_component)
}

/// Whether the first part is a host and not a folder.
fn is_registry(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.to_lowercase() != part
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    name.split('.').all(label) && port.is_none_or(is_port)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part.split(alphanumeric).filter(|between| !between.is_empty()).all(separator)
}

#[cfg(test)]
mod tests {
    use super::is_latest;

    #[test]
    fn what_has_no_tag_is_the_newest() {
        let sum = "a".repeat(64);
        for (image, latest) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1.27", false),
            ("localhost:5000/nginx", true),
            ("registry.example.com:5000/team/web:v1", false),
            (&format!("nginx@sha256:{sum}"), false),
            (&format!("nginx:latest@sha256:{sum}"), true),
            ("Nginx", false),
            ("a b", false),
            ("a/../b", false),
            ("", false),
            (&sum, false),
        ] {
            assert_eq!(is_latest(image), latest, "{image}");
        }
    }
}
