//! Webhooks: who is called about a request, what is asked, and what the answer means.
//!
//! The server calls nobody itself. It makes a [`Call`] and asks a [`Caller`]; or it is asked to answer a request with the
//! answers that are known ([`Server::answer_with`]), and says which ones it lacks: of mutating webhooks the next one, of those
//! that only check all, since they are called at once.
//!
//! Sources: `apiserver/pkg/admission/plugin/webhook/{generic/webhook,mutating/dispatcher,validating/dispatcher}.go`,
//! `apiserver/pkg/util/webhook/error.go`.

use super::expressions::{Conditions, Names};
use super::review::{Call, Caller, Known, Reply, Target, Verdict, denied, read};
use super::{Attributes, kind};
use crate::handlers::{Request, Response};
use crate::patch::json::Operations;
use crate::{Error, Server};
use base64::Engine as _;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_cel::Question;
use serde_json::{Value, json};

/// How long a webhook may take, in seconds, if it doesn't say (`timeoutSeconds`).
const TIMEOUT: u64 = 10;

/// What the server knows of webhooks while it answers.
#[derive(Default)]
pub(crate) struct Hooks {
    caller: Option<Box<dyn Caller>>,
    /// The answers that are known, where whoever asks can come again.
    known: Option<Known>,
    /// The answers that are lacking.
    lacking: Vec<Call>,
}

/// One webhook of a configuration.
struct Hook {
    value: Value,
    name: String,
    mutating: bool,
}

impl Hook {
    fn lenient(&self) -> bool {
        self.value["failurePolicy"] == "Ignore"
    }

    /// What a failure means: it is passed over, or the request fails with it.
    fn failure(&self, why: &str) -> Result<(), Error> {
        match self.lenient() {
            true => Ok(()),
            false => Err(Error::internal_error(format!("failed calling webhook {:?}: {why}", self.name))),
        }
    }

    fn call(&self, review: Value) -> Call {
        let client = &self.value["clientConfig"];
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_string();
        let service = &client["service"];
        let target = match client["url"].as_str() {
            Some(url) => Target::Url(url.into()),
            None => {
                let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
                let path = text(service, "path");
                let path = if path.is_empty() || path.starts_with('/') { path } else { format!("/{path}") };
                Target::Service(text(service, "namespace"), text(service, "name"), port, path)
            }
        };
        let bundle = base64::engine::general_purpose::STANDARD.decode(text(client, "caBundle")).unwrap_or_default();
        let timeout = self.value["timeoutSeconds"].as_u64().unwrap_or(TIMEOUT);
        Call { name: self.name.clone(), target, ca_bundle: bundle, timeout, review }
    }
}

impl Server {
    /// Lets this call webhooks from now on.
    pub fn call_webhooks_with(&mut self, caller: Box<dyn Caller>) {
        self.hooks.caller = Some(caller);
    }

    /// What admission has told the audit log of the last request.
    pub fn take_annotations(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.annotations)
    }

    /// Whoever calls webhooks now; nobody does after this.
    pub fn webhook_caller(&mut self) -> Option<Box<dyn Caller>> {
        self.hooks.caller.take()
    }

    /// Answers a request, knowing what some webhooks say. If others have to be called first nothing is done, and the calls come
    /// back with what was known; with their answers among them the request may be sent again.
    ///
    /// # Errors
    ///
    /// The calls that have to be made, all at once.
    pub fn answer_with(&mut self, request: &Request<'_>, known: Known) -> Result<Response, Box<(Vec<Call>, Known)>> {
        let drawn = self.drawn.clone();
        let told = self.told_spans();
        self.hooks.known = Some(known);
        let response = self.answer(request);
        let known = self.hooks.known.take().unwrap_or_default();
        let lacking = std::mem::take(&mut self.hooks.lacking);
        if lacking.is_empty() {
            return Ok(response);
        }
        // Names that were given are given again, and what was done is done anew.
        self.drawn = drawn;
        self.forget_spans(told);
        Err(Box::new((lacking, known)))
    }

    /// The webhooks of all configurations of a kind, by the names of these.
    fn webhooks_of(&self, configurations: &str) -> Vec<Hook> {
        let kind = kind(configurations);
        let all = kind.into_iter().flat_map(|kind| self.state.list(kind)).map(|stored| stored.to_value());
        let hook = |value: &Value| Hook {
            name: value["name"].as_str().unwrap_or_default().into(),
            value: value.clone(),
            mutating: configurations.starts_with("Mutating"),
        };
        all.flat_map(|of| of["webhooks"].as_array().into_iter().flatten().map(hook).collect::<Vec<_>>()).collect()
    }

    /// As which resource a webhook wants to be told of a request; nothing if it doesn't.
    fn wants(&self, hook: &Hook, attributes: &Attributes) -> Result<Option<&'static Resource>, Error> {
        let selected = self.selected(&hook.value, attributes);
        if let Ok(false) = selected {
            return Ok(None);
        }
        let exact = hook.value["matchPolicy"] == "Exact";
        let Some(told) = self.by_rules(&hook.value["rules"], exact, attributes) else { return Ok(None) };
        selected?;
        if hook.value["matchConditions"].as_array().is_none_or(Vec::is_empty) {
            return Ok(Some(told));
        }
        let conditions = Conditions::of(&hook.value["matchConditions"], Names { params: false, authorizer: true });
        let ask = |question: &Question| self.decide(&attributes.user, question);
        let input = self.input(attributes, told);
        let holds = conditions.hold(&input.scope(None).with_authorizer(&ask), hook.lenient());
        match holds {
            Ok(holds) => Ok(holds.then_some(told)),
            Err(why) => {
                let key = Key::new(attributes.resource.as_kind(), &attributes.namespace, &attributes.name);
                Err(Error::forbidden(&key, &why))
            }
        }
    }

    /// Asks a webhook; nothing if it can't be asked and that doesn't matter.
    fn consult(
        &mut self,
        hook: &Hook,
        attributes: &Attributes,
        told: &'static Resource,
    ) -> Result<Option<Verdict>, Error> {
        let effects = hook.value["sideEffects"].as_str().unwrap_or_default();
        if attributes.dry_run && !["None", "NoneOnDryRun"].contains(&effects) {
            return Err(Error::bad_request(format!("admission webhook {:?} does not support dry run", hook.name)));
        }
        let versions = hook.value["admissionReviewVersions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let Some(version) = versions.into_iter().find(|version| ["v1", "v1beta1"].contains(version)) else {
            let why = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
            return hook.failure(why).map(|()| None);
        };
        let uid = self.uid(&Key::new(attributes.resource.as_kind(), &attributes.namespace, &hook.name));
        let mut request = json!({"uid": uid});
        if let (Some(request), Value::Object(rest)) = (request.as_object_mut(), attributes.request(told)) {
            request.extend(rest);
        }
        for (field, object) in [("object", &attributes.object), ("oldObject", &attributes.old)] {
            request[field] = self.told_as(attributes, told, object);
        }
        let review = json!({
            "kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": request,
        });
        let call = hook.call(review);
        let reply = self.reply(&call)?;
        let verdict = match reply {
            Ok(reply) => read(&reply, &uid, version, hook.mutating)
                .map_err(|why| format!("received invalid webhook response: {why}")),
            Err(why) => Err(format!("failed to call webhook: {why}")),
        };
        match verdict {
            Ok(verdict) => {
                let named = |(key, value): &(String, String)| (format!("{}/{key}", hook.name), value.clone());
                self.annotations.extend(verdict.annotations.iter().map(named));
                self.warnings.extend(verdict.warnings.iter().cloned());
                Ok(Some(verdict))
            }
            Err(why) => hook.failure(&why).map(|()| None),
        }
    }

    /// What a call gives: what is known of it, or what whoever makes calls says.
    fn reply(&mut self, call: &Call) -> Result<Reply, Error> {
        // What the pods of a service say is known here.
        if let (Some(known), Target::Url(_)) = (&self.hooks.known, &call.target) {
            if let Some((asked, reply)) = known.iter().find(|(there, _)| there.asks_as(call)) {
                let mut reply = reply.clone();
                // The answer is to the question as it was asked first.
                if let Ok(reply) = &mut reply
                    && reply["response"]["uid"] == asked.review["request"]["uid"]
                {
                    reply["response"]["uid"] = call.review["request"]["uid"].clone();
                }
                return Ok(reply);
            }
            self.hooks.lacking.push(call.clone());
            return Err(Error::internal("a webhook has to be called first"));
        }
        let Some(caller) = self.hooks.caller.take() else {
            return Ok(Err(call.failed("dial tcp: no webhooks can be called here")));
        };
        let reply = caller.call(self, call);
        self.hooks.caller = Some(caller);
        Ok(reply)
    }

    /// Asks the webhooks that only check: all at once, so that each is asked, whatever the others say.
    pub(super) fn check_webhooks(&mut self, attributes: &Attributes) -> Result<(), Error> {
        let mut asked = Vec::new();
        for hook in self.webhooks_of("ValidatingWebhookConfiguration") {
            if let Some(told) = self.wants(&hook, attributes)? {
                asked.push((hook, told));
            }
        }
        let mut answer = Ok(());
        for (hook, told) in asked {
            let said = match self.consult(&hook, attributes, told) {
                Ok(Some(verdict)) if !verdict.allowed => Err(denied(&hook.name, &verdict.status)),
                other => other.map(|_| ()),
            };
            answer = answer.and(said);
        }
        answer
    }

    /// Asks the webhooks that may change an object; whether one did. In the second round only those that want to look again, and
    /// saw the object before another one changed it (`reinvocationPolicy`).
    pub(crate) fn mutate(&mut self, attributes: &mut Attributes, round: &mut Round) -> Result<bool, Error> {
        let again = std::mem::take(&mut round.again);
        let mut changed = false;
        for (index, hook) in self.webhooks_of("MutatingWebhookConfiguration").into_iter().enumerate() {
            let Some(told) = self.wants(&hook, attributes)? else { continue };
            if round.second && !again.contains(&index) {
                continue;
            }
            let Some(verdict) = self.consult(&hook, attributes, told)? else { continue };
            if !verdict.allowed {
                return Err(denied(&hook.name, &verdict.status));
            }
            if let Some(patch) = verdict.patch {
                let before = attributes.object.clone();
                self.patch_object(&hook, attributes, told, &patch)?;
                if attributes.object != before {
                    changed = true;
                    round.again.append(&mut round.seen);
                }
            }
            if hook.value["reinvocationPolicy"] == "IfNeeded" {
                round.seen.push(index);
            }
        }
        Ok(changed)
    }

    fn patch_object(
        &self,
        hook: &Hook,
        attributes: &mut Attributes,
        told: &'static Resource,
        patch: &Operations,
    ) -> Result<(), Error> {
        if attributes.object.is_null() {
            return Err(Error::internal_error(format!(
                "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
                hook.name
            )));
        }
        let mut object = self.told_as(attributes, told, &attributes.object);
        patch
            .apply(&mut object)
            .ok_or_else(|| Error::internal_error("unable to apply the patch of a webhook".into()))?;
        if told.kept_as.is_some() && attributes.subresource.is_empty() {
            object = crate::versions::Form(told).keep(object);
        }
        object["apiVersion"] = attributes.object["apiVersion"].clone();
        attributes.object = object;
        Ok(())
    }

    /// Whoever answers for a service now: the address and port of a pod.
    ///
    /// # Errors
    ///
    /// Why nobody does, in the words of a client.
    pub fn endpoint_of(&self, call: &Call) -> Result<(String, u16), String> {
        let Target::Service(namespace, name, port, _) = &call.target else { return Err("not a service".into()) };
        let service = self.state.get(&Key::new(Kind::Service, namespace, name));
        let service = service.ok_or_else(|| call.failed(&format!("service {name:?} not found")))?.to_value();
        let ports = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
        let Some(of) = ports.iter().find(|of| of["port"] == *port) else {
            return Err(call.failed(&format!("no service port {port} found for service {name:?}")));
        };
        let slices = self.state.list_in(Kind::EndpointSlice, namespace).map(|stored| stored.to_value());
        let mine = slices.filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name.as_str());
        let found = mine.into_iter().find_map(|slice| {
            let target = slice["ports"]
                .as_array()?
                .iter()
                .find(|there| there["name"].as_str().unwrap_or_default() == of["name"].as_str().unwrap_or_default())?;
            let ready = |endpoint: &&Value| endpoint["conditions"]["ready"] != false;
            let endpoint = slice["endpoints"].as_array()?.iter().find(ready)?;
            let address = endpoint["addresses"][0].as_str()?.to_string();
            Some((address, u16::try_from(target["port"].as_u64()?).ok()?))
        });
        let address = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        found.ok_or_else(|| call.failed(&format!("dial tcp {address}:{port}: connect: connection refused")))
    }
}

/// How far the mutating webhooks are.
#[derive(Default)]
pub(crate) struct Round {
    /// Whether it is the second one.
    pub second: bool,
    /// Those that want to look again, and have seen the object as it is.
    seen: Vec<usize>,
    /// Those that want to look again, and have to.
    again: Vec<usize>,
}

impl Round {
    /// Whoever wants to look again has to.
    pub fn changed(&mut self) {
        self.again.append(&mut self.seen);
    }
}
