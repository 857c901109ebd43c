//! What programs do with the crate `kube`: typed and dynamic clients, apply, a watcher, a controller with its runtime.

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Api, Client, CustomResource, CustomResourceExt, Discovery, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const SPACE: &str = "kube";

/// A ConfigMap that a controller keeps as wanted.
#[derive(CustomResource, Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Wish", namespaced, status = "WishStatus")]
struct WishSpec {
    text: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
struct WishStatus {
    granted: bool,
}

async fn reconcile(wish: Arc<Wish>, client: Arc<Client>) -> Result<Action, kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced((*client).clone(), SPACE);
    let wishes: Api<Wish> = Api::namespaced((*client).clone(), SPACE);
    let owner = kube::Resource::controller_owner_ref(&*wish, &()).into_iter().collect::<Vec<_>>();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": wish.name_any(), "ownerReferences": owner},
        "data": {"text": wish.spec.text},
    });
    maps.patch(&wish.name_any(), &PatchParams::apply("wish-controller").force(), &Patch::Apply(&map)).await?;
    let status = json!({"status": {"granted": true}});
    wishes.patch_status(&wish.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(Action::await_change())
}

async fn typed(client: &Client) -> Result<()> {
    ensure!(Api::<Node>::all(client.clone()).list(&ListParams::default()).await?.items.len() == 3);
    let spaces: Api<Namespace> = Api::all(client.clone());
    spaces.create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": SPACE}}))?).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), SPACE);
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}},
    });
    let applied = deployments.patch("web", &PatchParams::apply("test"), &Patch::Apply(&web)).await?;
    ensure!(applied.managed_fields().iter().any(|field| field.manager.as_deref() == Some("test")));
    tokio::time::timeout(
        Duration::from_secs(30),
        await_condition(deployments.clone(), "web", conditions::is_deployment_completed()),
    )
    .await??;
    deployments.patch_scale("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 3}}))).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), SPACE);
    let (reader, writer) = reflector::store();
    let stream = reflector(writer, watcher(pods.clone(), watcher::Config::default().labels("app=web").page_size(1)));
    let mut stream = std::pin::pin!(stream.applied_objects());
    tokio::time::timeout(Duration::from_secs(30), async {
        while reader.state().iter().filter(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())).count() < 3 {
            stream.try_next().await?;
        }
        anyhow::Ok(())
    })
    .await??;
    let conflict = deployments
        .patch("web", &PatchParams::apply("other"), &Patch::Apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "other"}]}}},
        })))
        .await;
    ensure!(matches!(&conflict, Err(kube::Error::Api(status)) if status.code == 409 && status.message.contains("conflict with \"test\"")), "{conflict:?}");
    pods.delete_collection(&DeleteParams::default(), &ListParams::default().labels("app=web")).await?;
    Ok(())
}

async fn dynamic(client: &Client) -> Result<()> {
    let discovery = Discovery::new(client.clone()).run().await?;
    let (resource, _) = discovery.groups().flat_map(|group| group.recommended_resources()).find(|(r, _)| r.kind == "ConfigMap").ok_or_else(|| anyhow::anyhow!("no ConfigMap"))?;
    let maps: Api<DynamicObject> = Api::namespaced_with(client.clone(), SPACE, &resource);
    let map = DynamicObject::new("dynamic", &resource).data(json!({"data": {"a": "1"}}));
    maps.create(&PostParams { dry_run: true, ..PostParams::default() }, &map).await?;
    ensure!(maps.get_opt("dynamic").await?.is_none());
    maps.create(&PostParams::default(), &map).await?;
    let metadata = maps.get_metadata("dynamic").await?;
    ensure!(metadata.name_any() == "dynamic" && !metadata.uid().unwrap_or_default().is_empty());
    maps.delete("dynamic", &DeleteParams::default()).await?;
    Ok(())
}

async fn controller(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.patch("wishes.example.com", &PatchParams::apply("test"), &Patch::Apply(Wish::crd())).await?;
    await_condition(definitions, "wishes.example.com", conditions::is_crd_established()).await?;
    let wishes: Api<Wish> = Api::namespaced(client.clone(), SPACE);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), SPACE);
    let run = Controller::new(wishes.clone(), watcher::Config::default())
        .owns(maps.clone(), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), Arc::new(client.clone()))
        .for_each(|_| async {});
    let test = async {
        wishes.create(&PostParams::default(), &Wish::new("peace", WishSpec { text: "for all".into() })).await?;
        let granted = |wish: Option<&Wish>| wish.and_then(|wish| wish.status.as_ref()).is_some_and(|status| status.granted);
        await_condition(wishes.clone(), "peace", granted).await?;
        // What the controller owns comes back when somebody takes it away.
        let uid = maps.get("peace").await?.uid();
        maps.delete("peace", &DeleteParams::default()).await?;
        let back = |map: Option<&ConfigMap>| map.is_some_and(|map| map.uid() != uid);
        await_condition(maps.clone(), "peace", back).await?;
        // And goes with its owner.
        wishes.delete("peace", &DeleteParams::default()).await?;
        await_condition(wishes.clone(), "peace", |wish: Option<&Wish>| wish.is_none()).await?;
        await_condition(maps.clone(), "peace", |map: Option<&ConfigMap>| map.is_none()).await?;
        anyhow::Ok(())
    };
    tokio::select! {
        () = run => anyhow::bail!("the controller ended"),
        tested = tokio::time::timeout(Duration::from_secs(60), test) => tested?,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::try_default().await?;
    ensure!(client.apiserver_version().await?.minor == "33");
    typed(&client).await?;
    dynamic(&client).await?;
    controller(&client).await?;
    Api::<Namespace>::all(client).delete(SPACE, &DeleteParams::default()).await?;
    println!("kube: everything as expected");
    Ok(())
}
