//! An API server for Secrets, as far as Kubernetes's documentation says what one answers
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/>,
//! <https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/>): pages of one moment,
//! versions, merge patches, roles, and `Status` objects for what it refuses. Nothing of it is Kubernetes's own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The token that the server knows at first.
pub(crate) const TOKEN: &str = "token-of-the-test-0123456789";

/// The most that the values of one Secret may have (`MaxSecretSize`).
const LARGEST: usize = 1024 * 1024;

/// The fault of the next request of a method.
pub(crate) enum Fault {
    /// The request has no effect, and this is the response.
    Refused(u16, Value),
    /// The connection ends before it is looked at.
    Dropped,
    /// The request has its effect, and the connection ends.
    LostReply,
    /// The response is 200 with this body.
    Said(String),
}

/// All that the server knows.
#[derive(Default)]
struct ClusterState {
    revision: u64,
    namespaces: BTreeMap<String, String>,
    secrets: BTreeMap<(String, String), Value>,
    /// Lists under way: what their pages are of.
    lists: Vec<Vec<Value>>,
    /// The number of requests for a further page that are answered as expired.
    expire: usize,
    tokens: Vec<String>,
    roles: Vec<Value>,
    faults: Vec<(&'static str, Fault)>,
    calls: Vec<String>,
}

/// A cluster of one's own, removed when dropped.
pub(crate) struct Cluster {
    address: SocketAddr,
    state: Arc<Mutex<ClusterState>>,
    down: Arc<AtomicBool>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.go();
    }
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// An answer: its status, and its body.
type Answer = (u16, Value);

pub(crate) fn status(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (code, body)
}

impl Cluster {
    /// An empty one, where [`TOKEN`] may do everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let cluster = Self { address, state: Arc::default(), down: Arc::default() };
        cluster.reset();
        let (state, down) = (Arc::clone(&cluster.state), Arc::clone(&cluster.down));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if down.load(Ordering::SeqCst) {
                    return;
                }
                let (state, down) = (Arc::clone(&state), Arc::clone(&down));
                std::thread::spawn(move || serve(&stream.expect("a connection"), &state, &down));
            }
        });
        cluster
    }

    fn state(&self) -> MutexGuard<'_, ClusterState> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Forgets everything but the count of versions.
    pub(crate) fn reset(&self) {
        let mut state = self.state();
        let revision = state.revision;
        *state = ClusterState { revision, tokens: vec![TOKEN.to_owned()], ..ClusterState::default() };
        state.add_namespace("kube-system");
        state.roles = vec![json!({ "kind": "ClusterRole", "rules": [{ "resources": ["*"], "verbs": ["*"] }] })];
    }

    /// Stops the server: later requests get no answer.
    pub(crate) fn go(&self) {
        self.down.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; an error means that it has ended already.
        let _ = TcpStream::connect(self.address);
    }

    /// The address of the server.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig for it, whose user is `user` (YAML is a superset of JSON).
    pub(crate) fn kubeconfig_as(&self, folder: &Path, user: &Value) -> PathBuf {
        let path = folder.join("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "here", "cluster": { "server": self.url() } }],
            "contexts": [{ "name": "test", "context": { "cluster": "here", "user": "me" } }],
            "users": [{ "name": "me", "user": user }],
        });
        std::fs::write(&path, config.to_string()).expect("written");
        path
    }

    /// A kubeconfig for it with [`TOKEN`].
    pub(crate) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        self.kubeconfig_as(folder, &json!({ "token": TOKEN }))
    }

    /// The tokens that it knows from now on.
    pub(crate) fn knows(&self, tokens: &[&str]) {
        self.state().tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
    }

    /// Replaces the rights of the known client by these Roles and ClusterRoles, each bound.
    pub(crate) fn allows(&self, roles: Vec<Value>) {
        self.state().roles = roles;
    }

    /// The next request of `method` meets a fault.
    pub(crate) fn plant(&self, method: &'static str, fault: Fault) {
        self.state().faults.push((method, fault));
    }

    /// Answers this number of requests for a further page of a list as expired.
    pub(crate) fn expire_pages(&self, number: usize) {
        self.state().expire = number;
    }

    /// The requests since it was asked last.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }

    /// Makes a namespace; anew, if there is one.
    pub(crate) fn add_namespace(&self, name: &str) {
        self.state().add_namespace(name);
    }

    /// A Secret as the server has it.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> Option<Value> {
        self.state().secrets.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Applies a merge patch to a Secret, which is created if it does not exist.
    pub(crate) fn change(&self, namespace: &str, name: &str, patch: &Value) {
        self.state().change(namespace, name, patch);
    }

    /// Puts a value under a key of a Secret.
    pub(crate) fn put(&self, namespace: &str, name: &str, key: &str, value: &[u8]) {
        self.change(namespace, name, &json!({ "data": { key: STANDARD.encode(value) } }));
    }

    /// The value under a key of a Secret.
    pub(crate) fn get(&self, namespace: &str, name: &str, key: &str) -> Option<Vec<u8>> {
        let object = self.object(namespace, name)?;
        Some(STANDARD.decode(object["data"].get(key)?.as_str()?).expect("base 64"))
    }

    pub(crate) fn delete(&self, namespace: &str, name: &str) {
        self.state().secrets.remove(&(namespace.to_owned(), name.to_owned())).expect("it was there");
    }
}

impl ClusterState {
    fn add_namespace(&mut self, name: &str) {
        self.namespaces.insert(name.to_owned(), uuid::Uuid::now_v7().to_string());
    }

    fn change(&mut self, namespace: &str, name: &str, patch: &Value) {
        if !self.namespaces.contains_key(namespace) {
            self.add_namespace(namespace);
        }
        let secret = self.secrets.entry((namespace.to_owned(), name.to_owned())).or_insert_with(|| {
            json!({
                "kind": "Secret", "apiVersion": "v1", "type": "Opaque",
                "metadata": {
                    "namespace": namespace, "name": name, "uid": uuid::Uuid::now_v7().to_string(),
                    "creationTimestamp": "2026-01-01T00:00:00Z",
                },
            })
        });
        merge(secret, patch);
        self.revision += 1;
        secret["metadata"]["resourceVersion"] = self.revision.to_string().into();
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let token = request.headers.get("authorization").and_then(|header| header.strip_prefix("Bearer "));
        if !self.tokens.iter().any(|known| Some(known.as_str()) == token) {
            return status(401, "Unauthorized", "Unauthorized");
        }
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["api", "v1", "namespaces", name]) => {
                self.allowed("get", "namespaces", Some(name), Some(name)).unwrap_or_else(|| self.namespace(name))
            }
            ("GET", ["api", "v1", "secrets"]) => {
                self.allowed("list", "secrets", None, None).unwrap_or_else(|| self.list(None, &request.query))
            }
            ("GET", ["api", "v1", "namespaces", namespace, "secrets"]) => {
                let refused = self.allowed("list", "secrets", Some(namespace), None);
                refused.unwrap_or_else(|| self.list(Some(namespace), &request.query))
            }
            ("GET", ["api", "v1", "namespaces", namespace, "secrets", name]) => {
                let refused = self.allowed("get", "secrets", Some(namespace), Some(name));
                refused.unwrap_or_else(|| self.secret(namespace, name))
            }
            ("PATCH", ["api", "v1", "namespaces", namespace, "secrets", name]) => {
                let refused = self.allowed("patch", "secrets", Some(namespace), Some(name));
                refused.unwrap_or_else(|| self.patch(namespace, name, request))
            }
            ("POST", ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]) => self.review(request),
            _ => status(404, "NotFound", "the server could not find the requested resource"),
        }
    }

    /// Answers which rights the caller has. A denial has `allowed: false`
    /// (<https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/>).
    fn review(&self, request: &Request) -> Answer {
        let mut review: Value = serde_json::from_slice(&request.body).expect("a review");
        let of = |name: &str| review["spec"]["resourceAttributes"][name].as_str();
        let (verb, resource) = (of("verb").expect("a verb"), of("resource").expect("a resource"));
        let refused = self.allowed(verb, resource, of("namespace"), of("name"));
        review["status"] = json!({ "allowed": refused.is_none() });
        (201, review)
    }

    /// The refusal, where no role allows it (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>).
    fn allowed(&self, verb: &str, resource: &str, namespace: Option<&str>, name: Option<&str>) -> Option<Answer> {
        let has = |texts: &Value, text: &str| {
            texts.as_array().is_some_and(|texts| texts.iter().any(|found| found == text || found == "*"))
        };
        let rule_allows = |rule: &Value| {
            let named = |name: &str| has(&rule["resourceNames"], name);
            has(&rule["verbs"], verb)
                && has(&rule["resources"], resource)
                && (rule.get("resourceNames").is_none() || name.is_some_and(named))
        };
        let role_allows = |role: &Value| {
            let applies = role["kind"] == "ClusterRole" || role["metadata"]["namespace"].as_str() == namespace;
            (applies && (role["kind"] == "ClusterRole" || namespace.is_some()))
                && role["rules"].as_array().is_some_and(|rules| rules.iter().any(rule_allows))
        };
        if self.roles.iter().any(role_allows) {
            return None;
        }
        let place = namespace.map_or("at the cluster scope".to_owned(), |name| format!("in the namespace \"{name}\""));
        let message = format!(
            "{resource} is forbidden: User \"system:serviceaccount:rotator:rotator\" cannot {verb} resource \
             \"{resource}\" in API group \"\" {place}"
        );
        Some(status(403, "Forbidden", &message))
    }

    fn namespace(&self, name: &str) -> Answer {
        match self.namespaces.get(name) {
            Some(uid) => {
                (200, json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": name, "uid": uid } }))
            }
            None => status(404, "NotFound", &format!("namespaces \"{name}\" not found")),
        }
    }

    fn secret(&self, namespace: &str, name: &str) -> Answer {
        match self.secrets.get(&(namespace.to_owned(), name.to_owned())) {
            Some(secret) => (200, secret.clone()),
            None => status(404, "NotFound", &format!("secrets \"{name}\" not found")),
        }
    }

    /// A page: what of the list there was when it began.
    fn list(&mut self, namespace: Option<&str>, query: &BTreeMap<String, String>) -> Answer {
        let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
        let (number, from) = match query.get("continue") {
            Some(token) => {
                if self.expire > 0 {
                    self.expire -= 1;
                    let why = "The provided continue parameter is too old to display a consistent list result.";
                    return status(410, "Expired", why);
                }
                let (number, from) = token.split_once(':').expect("a token of ours");
                (number.parse::<usize>().expect("a number"), from.parse::<usize>().expect("a number"))
            }
            None => {
                let selector = query.get("labelSelector").and_then(|selector| selector.split_once('='));
                let chosen = self.secrets.iter().filter(|((of, _), secret)| {
                    let labels = &secret["metadata"]["labels"];
                    namespace.is_none_or(|namespace| namespace == of)
                        && selector.is_none_or(|(key, value)| labels.get(key).is_some_and(|found| found == value))
                });
                let list = chosen.map(|(_, secret)| secret.clone()).collect();
                self.lists.push(list);
                (self.lists.len() - 1, 0)
            }
        };
        let all = &self.lists[number];
        let to = from.saturating_add(limit).min(all.len());
        let next = if to < all.len() { format!("{number}:{to}") } else { String::new() };
        let metadata = json!({ "resourceVersion": self.revision.to_string(), "continue": next });
        (200, json!({ "kind": "SecretList", "apiVersion": "v1", "metadata": metadata, "items": all[from..to] }))
    }

    fn patch(&mut self, namespace: &str, name: &str, request: &Request) -> Answer {
        if request.headers.get("content-type").map(String::as_str) != Some("application/merge-patch+json") {
            return status(415, "UnsupportedMediaType", "the body of the request was in an unknown format");
        }
        let patch: Value = serde_json::from_slice(&request.body).expect("JSON");
        let Some(before) = self.secrets.get(&(namespace.to_owned(), name.to_owned())).cloned() else {
            return status(404, "NotFound", &format!("secrets \"{name}\" not found"));
        };
        let named = patch.pointer("/metadata/resourceVersion");
        if named.is_some_and(|named| *named != before["metadata"]["resourceVersion"]) {
            let message = format!(
                "Operation cannot be fulfilled on secrets \"{name}\": the object has been modified; please apply your \
                 changes to the latest version and try again"
            );
            return status(409, "Conflict", &message);
        }
        let mut changed = before.clone();
        merge(&mut changed, &patch);
        if changed == before {
            // A write without a change gives no new version.
            return (200, before);
        }
        let invalid = |why: &str| status(422, "Invalid", &format!("Secret \"{name}\" is invalid: data: {why}"));
        if before["immutable"] == true && changed["data"] != before["data"] {
            return invalid("Forbidden: field is immutable when `immutable` is set");
        }
        let values = changed["data"].as_object().into_iter().flatten().map(|(_, value)| value.as_str());
        let lengths: Option<Vec<usize>> = values.map(|value| Some(STANDARD.decode(value?).ok()?.len())).collect();
        match lengths {
            None => return status(400, "BadRequest", "illegal base64 data"),
            Some(lengths) if lengths.iter().sum::<usize>() > LARGEST => return invalid("Too long"),
            Some(_) => {}
        }
        self.change(namespace, name, &patch);
        self.secret(namespace, name)
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let object = target.as_object_mut().expect("made so");
    for (key, value) in members {
        if value.is_null() {
            object.shift_remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// One connection to its end.
fn serve(stream: &TcpStream, state: &Mutex<ClusterState>, down: &AtomicBool) {
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader, down) {
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.calls.push(format!("{} {}", request.method, request.path));
        let at = state.faults.iter().position(|(method, _)| *method == request.method);
        let (code, body) = match at.map(|at| state.faults.remove(at).1) {
            Some(Fault::Dropped) => return,
            Some(Fault::LostReply) => {
                state.answer(&request);
                return;
            }
            Some(Fault::Refused(code, body)) => (code, body.to_string()),
            Some(Fault::Said(body)) => (200, body),
            None => {
                let (code, body) = state.answer(&request);
                (code, body.to_string())
            }
        };
        drop(state);
        let more = if code == 429 { "retry-after: 1\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{more}\r\n",
            body.len()
        );
        let mut writer = stream;
        if down.load(Ordering::SeqCst) || writer.write_all(&[head.as_bytes(), body.as_bytes()].concat()).is_err() {
            return;
        }
    }
}

/// The next request of a connection; none once it or the server is at its end.
fn read(reader: &mut BufReader<&TcpStream>, down: &AtomicBool) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        loop {
            match reader.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => return Some(line.trim_end().to_owned()),
                Err(_) if down.load(Ordering::SeqCst) => return None,
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => return None,
            }
        }
    };
    let first = line()?;
    let mut headers = BTreeMap::new();
    while let Some((name, value)) = line()?.split_once(':') {
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let (method, target) = (first.split(' ').next()?, first.split(' ').nth(1)?);
    let url = reqwest::Url::parse(&format!("http://here{target}")).ok()?;
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().expect("a length"))];
    reader.get_ref().set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    reader.read_exact(&mut body).ok()?;
    reader.get_ref().set_read_timeout(Some(Duration::from_millis(50))).expect("set");
    let query = url.query_pairs().into_owned().collect();
    Some(Request { method: method.to_owned(), path: url.path().to_owned(), query, headers, body })
}
