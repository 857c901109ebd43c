use super::*;
use crate::kubelet::Kubelets;
use crate::kubelet::image::Image;
use crate::kubelet::testing::{Bench, with_programs};
use kit_apimachinery::object::{Key, Kind, Object};
use serde_json::json;

/// A pod of this image: the reason and the message for which it waits.
fn waits(bench: &mut Bench, name: &str, image: &str) -> (String, String) {
    let main = json!({"name": "main", "image": image});
    bench.pod(name, json!({"imagePullSecrets": [{"name": "login"}], "containers": [main]}));
    bench.wait(0.6);
    let waiting = bench.status(name, "/containerStatuses/0/state/waiting");
    let text = |field: &str| waiting[field].as_str().unwrap_or_default().to_string();
    (text("reason"), text("message"))
}

fn bench(runtime: Runtime) -> Bench {
    Bench::new(|kubelets| {
        let image = |refused| Image { refused: Some(refused), ..Image::default() };
        let registry = [
            ("busy:1", image(Refusal::TooManyRequests)),
            ("reg.example.com/down:1", image(Refusal::Unreachable)),
            ("reg.example.com/own:1", Image { login: Some("me:secret".into()), ..Image::default() }),
        ];
        let registry = registry.map(|(name, image)| (name.to_string(), image)).into();
        let mut kubelets = with_programs(Kubelets { registry, ..kubelets });
        kubelets.nodes.values_mut().for_each(|kubelet| kubelet.images.runtime = runtime);
        kubelets
    })
}

#[test]
fn each_runtime_says_in_its_own_words_why_an_image_cant_be_pulled() {
    /// An image, and for each runtime the reason and how its message ends.
    type Case<'a> = (&'a str, [(&'a str, &'a str); 2]);
    let cases: [Case<'_>; 6] = [
        (
            "broken:1",
            [
                (
                    "ErrImagePull",
                    "failed to resolve reference \"docker.io/library/broken:1\": docker.io/library/broken:1: not found",
                ),
                (
                    "ErrImagePull",
                    "get manifest: build image source: reading manifest 1 in docker.io/library/broken: manifest unknown",
                ),
            ],
        ),
        (
            "busy:1",
            [
                (
                    "ErrImagePull",
                    "429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit",
                ),
                (
                    "ErrImagePull",
                    "reading manifest 1 in docker.io/library/busy: toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit",
                ),
            ],
        ),
        (
            "reg.example.com/down:1",
            [
                (
                    "ErrImagePull",
                    "failed to do request: Head \"https://reg.example.com/v2/down/manifests/1\": dial tcp 192.0.2.1:443: connect: connection refused",
                ),
                ("RegistryUnavailable", "dial tcp 192.0.2.1:443: connect: connection refused"),
            ],
        ),
        (
            "reg.example.com/own:1",
            [
                (
                    "ErrImagePull",
                    "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
                ),
                ("ErrImagePull", "reading manifest 1 in reg.example.com/own: unauthorized: authentication required"),
            ],
        ),
        (
            "registry.invalid/app",
            [
                (
                    "ErrImagePull",
                    "Head \"https://registry.invalid/v2/app/manifests/latest\": dial tcp: lookup registry.invalid: no such host",
                ),
                (
                    "ErrImagePull",
                    "Get \"https://registry.invalid/v2/\": dial tcp: lookup registry.invalid: no such host",
                ),
            ],
        ),
        (
            "arm64v8/nginx",
            [
                ("ErrImagePull", "no match for platform in manifest: not found"),
                (
                    "ErrImagePull",
                    "no image found in image index for architecture \"amd64\", variant \"\", OS \"linux\"",
                ),
            ],
        ),
    ];
    for (runtime, index) in [(Runtime::Containerd, 0), (Runtime::CriO, 1)] {
        for (image, expected) in cases {
            let mut bench = bench(runtime);
            let (reason, message) = waits(&mut bench, "pod", image);
            let (expected, end) = expected[index];
            assert_eq!(reason, expected, "{image}: {message}");
            assert!(message.ends_with(end), "{image}: {message}");
            let told = format!("Warning Failed: Error: {expected}");
            assert!(bench.events("pod").contains(&told), "{:?}", bench.events("pod"));
        }
    }
}

#[test]
fn a_secret_opens_its_registry_as_soon_as_it_is_there() {
    let mut bench = bench(Runtime::CriO);
    assert_eq!(waits(&mut bench, "pod", "reg.example.com/own:1").0, "ErrImagePull");
    let told = "Warning FailedToRetrieveImagePullSecret: Unable to retrieve some image pull secrets (login); attempting to pull the image may not succeed.";
    assert!(bench.events("pod").iter().any(|event| event.starts_with(told)), "{:?}", bench.events("pod"));
    let config = json!({"auths": {"https://reg.example.com/v2/": {"username": "me", "password": "secret"}}});
    let secret = json!({
        "kind": "Secret", "apiVersion": "v1", "metadata": {"name": "login", "namespace": "default"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": STANDARD.encode(config.to_string())},
    });
    bench.server.create(Object::from_value(Kind::Secret, secret).expect("a secret")).expect("it can be made");
    bench.wait(40.0);
    assert_eq!(bench.shown("pod"), "Running");
    let id = bench.status("pod", "/containerStatuses/0/containerID");
    assert!(id.as_str().is_some_and(|id| id.starts_with("cri-o://")), "{id}");
    assert!(bench.server.get(&Key::new(Kind::Secret, "default", "login")).is_ok());
}

#[test]
fn secrets_are_read_in_both_forms() {
    let mut logins = Logins::default();
    logins.read(b"{\"auths\": {\"index.docker.io\": {\"auth\": \"bWU6c2VjcmV0\"}, \"reg.example.com\": {\"username\": \"you\"}}}");
    logins.read(b"nonsense");
    let image = |name: &str| Reference::parse(name).expect("a name");
    for (name, login, open) in
        [("team/app", "me:secret", true), ("team/app", "me:other", false), ("reg.example.com/app", "me:secret", false)]
    {
        assert_eq!(logins.open(&image(name), login), open, "{name} {login}");
    }
}
