//! Volumes that are made from objects: what a module is asked about them, and what it says is missing.
//!
//! Sources: `SetUpAt` of `pkg/volume/{configmap/configmap,secret/secret,projected/projected,downwardapi/downwardapi}.go`.
//! Modules aren't told what objects say, only where each file comes from.

use crate::kubelet::objects::Namespace;
use kit_api::core::{
    ConfigMapProjection, DownwardAPIVolumeFile, KeyToPath, Pod, SecretProjection, Volume, VolumeProjection,
};
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;
use kit_contract::storage::volumes::{Item, Missing, Mode, Projection, Source, SourceKind};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// Seconds.
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// The mode of files without one (`SecretVolumeSourceDefaultMode`).
const USUAL: i32 = 0o644;

/// Whether a volume is made of objects.
pub fn is_made(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.projected.is_some()
        || volume.downward_api.is_some()
}

/// What changes when its files do: the objects' versions, what the pod says of itself, and when its tokens are old.
pub fn fingerprint(volume: &Volume, pod: &Key, world: &World<'_>, since: Instant) -> String {
    let version = |kind: Kind, name: &str| {
        let stored = world.server.get(&Key::new(kind, &pod.namespace, name)).ok();
        stored.and_then(|stored| stored.object.meta().resource_version.clone()).unwrap_or_default()
    };
    let of_source = |source: VolumeProjection| match source {
        VolumeProjection { config_map: Some(of), .. } => version(Kind::ConfigMap, &of.name),
        VolumeProjection { secret: Some(of), .. } => version(Kind::Secret, &of.name),
        VolumeProjection { service_account_token: Some(of), .. } => {
            // A token is renewed when four fifths of its time are over (`requiresRefresh` of `pkg/kubelet/token`).
            let lasts = of.expiration_seconds.unwrap_or(HOUR).clamp(600, DAY / 4 * 5) * 4 / 5;
            ((world.now - since).nanos / 1_000_000_000 / lasts).to_string()
        }
        _ => {
            let meta = world.cache.fetch::<Pod>(&pod.namespace, &pod.name).map(|pod| &pod.metadata);
            meta.map(|meta| format!("{:?}{:?}", meta.labels, meta.annotations)).unwrap_or_default()
        }
    };
    sources(volume).into_iter().map(of_source).collect::<Vec<_>>().join("/")
}

/// The volume as a projected one.
pub fn sources(volume: &Volume) -> Vec<VolumeProjection> {
    let config_map = volume.config_map.iter().map(|of| VolumeProjection {
        config_map: Some(ConfigMapProjection { name: of.name.clone(), items: of.items.clone(), optional: of.optional }),
        ..VolumeProjection::default()
    });
    let secret = volume.secret.iter().map(|of| VolumeProjection {
        secret: Some(SecretProjection {
            name: of.secret_name.clone().unwrap_or_default(),
            items: of.items.clone(),
            optional: of.optional,
        }),
        ..VolumeProjection::default()
    });
    let fields = volume.downward_api.iter().map(|of| VolumeProjection {
        downward_api: Some(kit_api::core::DownwardAPIProjection { items: of.items.clone() }),
        ..VolumeProjection::default()
    });
    let projected = volume.projected.iter().flat_map(|of| of.sources.iter().flatten().cloned());
    config_map.chain(secret).chain(fields).chain(projected).collect()
}

/// The mode of tokens whose user or group is known.
const NARROW: Mode = Mode(0o600);

/// What a module is asked. The text of each file is the number of its source, a slash, and its key. Tokens may be `narrow`: for few.
pub fn projection(volume: &Volume, at: &Namespace<'_>, narrow: bool) -> Projection {
    let of_sources = sources(volume);
    let sources = of_sources.iter().enumerate().map(|(number, source)| of_source(number, source, at, narrow));
    let mode = (volume.config_map.as_ref().and_then(|of| of.default_mode))
        .or(volume.secret.as_ref().and_then(|of| of.default_mode))
        .or(volume.projected.as_ref().and_then(|of| of.default_mode))
        .or(volume.downward_api.as_ref().and_then(|of| of.default_mode));
    Projection { sources: sources.collect(), default_mode: bits(mode.unwrap_or(USUAL)) }
}

fn bits(mode: i32) -> Mode {
    Mode(u32::try_from(mode).unwrap_or_default() & 0o7777)
}

fn of_source(number: usize, source: &VolumeProjection, at: &Namespace<'_>, narrow: bool) -> Source {
    let texts = |keys: BTreeSet<String>| keys.into_iter().map(|key| (key.clone(), format!("{number}/{key}"))).collect();
    let item = |of: &KeyToPath| Item { key: of.key.clone(), path: of.path.clone(), mode: of.mode.map(bits) };
    let of_object =
        |kind, name: &str, optional: Option<bool>, items: &Option<Vec<KeyToPath>>, keys: Option<_>| Source {
            kind,
            name: name.into(),
            optional: optional == Some(true),
            items: items.iter().flatten().map(item).collect(),
            data: keys.map(texts),
        };
    if let Some(of) = &source.config_map {
        return of_object(SourceKind::ConfigMap, &of.name, of.optional, &of.items, at.config_map(&of.name).ok());
    }
    if let Some(of) = &source.secret {
        return of_object(SourceKind::Secret, &of.name, of.optional, &of.items, at.secret(&of.name).ok());
    }
    let field =
        |of: &DownwardAPIVolumeFile| Item { key: of.path.clone(), path: of.path.clone(), mode: of.mode.map(bits) };
    let fields = source.downward_api.iter().flat_map(|of| of.items.iter().flatten().map(field));
    let token = |path: &str| Item { key: path.into(), path: path.into(), mode: narrow.then_some(NARROW) };
    let items: Vec<Item> = fields.chain(source.service_account_token.iter().map(|of| token(&of.path))).collect();
    let keys = items.iter().map(|item| item.key.clone()).collect();
    Source { kind: SourceKind::Kubelet, name: String::new(), optional: false, items, data: Some(texts(keys)) }
}

/// What is said of a volume that can't be made (`MakePayload`, and `NewAggregate` for more than one reason).
pub fn why(missing: &[Missing]) -> String {
    let said = missing.iter().map(|one| match one {
        Missing::Object { kind, name } => format!("{kind} {name:?} not found"),
        Missing::Key { kind: SourceKind::ConfigMap, key } => {
            format!("configmap references non-existent config key: {key}")
        }
        Missing::Key { key, .. } => format!("references non-existent secret key: {key}"),
    });
    let said: Vec<String> = said.collect();
    if let [one] = &said[..] { one.clone() } else { format!("[{}]", said.join(", ")) }
}
