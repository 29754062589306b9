//! Faults of a cluster, its responses or the credentials for it are distinguished, and no secret is shown.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rotator::ports::call::CallErrorKind;

use super::*;

const VALUE: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYzTASKsecret0";

#[tokio::test]
async fn a_list_that_expires_is_begun_again() {
    let subject = Secrets::new();
    let store = subject.fresh();
    for number in 0..250 {
        subject.cluster.put("shop", &format!("secret{number:03}"), "KEY", b"x");
    }
    subject.cluster.calls();
    subject.cluster.expire_pages(1);
    let all = store.read_all().await.expect("reads");
    let mut entries: Vec<String> = all.into_iter().map(|(entry, _)| entry.to_string()).collect();
    entries.dedup();
    assert_eq!(entries.len(), 250, "each once");
    assert_eq!(subject.cluster.calls().len(), 2 + 3, "two of the first list, three of the second");
    subject.cluster.expire_pages(100);
    let error = store.read_all().await.expect_err("it never gets through");
    assert_eq!(error.kind, CallErrorKind::Unavailable, "{error}");
    assert!(subject.cluster.calls().len() < 10, "it gives up");
}

#[tokio::test]
async fn faults_of_a_list_are_distinguished() {
    let subject = Secrets::new();
    let store = subject.fresh();
    let shop = subject.of("shop");
    let mail = subject.of("mail");
    subject.cluster.put("shop", "live", "KEY", b"x");
    let role = |kind: &str| {
        json!({ "kind": kind, "metadata": { "namespace": "shop" },
            "rules": [{ "resources": ["secrets"], "verbs": ["list", "get"] }] })
    };
    subject.cluster.allows(vec![role("Role")]);
    assert_eq!(shop.read_all().await.expect("that much is allowed").len(), 1);
    let error = store.read_all().await.expect_err("refused");
    assert!(error.kind == CallErrorKind::Denied && error.message.contains("kubernetes:NAMESPACE"), "{error}");
    let error = mail.read_all().await.expect_err("refused");
    assert!(error.message.contains("cannot list resource") && error.message.contains("mail"), "{error}");
    let read = mail.read(&[name("mail/live/KEY")]).await.expect("reported for the one entry");
    assert!(matches!(read.as_slice(), [Reading::Unreadable(_)]), "{read:?}");
    // A namespace that is not there lists as if it were empty.
    subject.cluster.allows(vec![json!({ "kind": "ClusterRole", "rules": [{ "resources": ["*"], "verbs": ["*"] }] })]);
    for error in [mail.read_all().await.expect_err("no such"), mail.identity().await.expect_err("no such")] {
        assert!(error.message.contains("no namespace mail"), "{error}");
    }
    subject.cluster.add_namespace("mail");
    assert!(mail.read_all().await.expect("empty").is_empty());
    subject.cluster.knows(&["another"]);
    let error = store.read_all().await.expect_err("refused");
    assert!(error.kind == CallErrorKind::Credentials && error.message.contains("401"), "{error}");
    subject.cluster.plant("GET", Fault::Refused(503, json!({})));
    assert_eq!(store.read_all().await.expect_err("down").kind, CallErrorKind::Unavailable);
}

#[tokio::test]
async fn a_server_that_is_asked_too_much_is_given_the_time_that_it_wants() {
    let subject = Secrets::new();
    let store = subject.fresh();
    put(&subject, &[(ID, "id")]);
    let at = version(&store, ID).await;
    let (code, body) = status(429, "TooManyRequests", "Too many requests, please try again later.");
    subject.cluster.plant("GET", Fault::Refused(code, body.clone()));
    let began = Instant::now();
    assert_eq!(store.read_all().await.expect("reads").len(), 1);
    assert!(began.elapsed() >= Duration::from_secs(1), "as its Retry-After says");
    subject.cluster.plant("PATCH", Fault::Refused(code, body));
    let result = write(&store, vec![over(&subject, ID, &at, "new id")]).await;
    assert!(matches!(&result, Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::Throttled), "{result:?}");
}

#[tokio::test]
async fn a_write_is_sent_once_and_its_outcome_is_reported_as_far_as_it_is_known() {
    let subject = Secrets::new();
    let store = subject.fresh();
    put(&subject, &[(ID, "old")]);
    let refused = |code, reason| Fault::Refused(status(code, reason, "").0, status(code, reason, "no").1);
    for (fault, reported, now) in [
        (refused(409, "Conflict"), "stale", "old"),
        (refused(404, "NotFound"), "stale", "old"),
        (refused(400, "BadRequest"), "refused", "old"),
        (refused(403, "Forbidden"), "refused", "old"),
        (refused(401, "Unauthorized"), "refused", "old"),
        (refused(500, "InternalError"), "unknown", "old"),
        (refused(503, "ServiceUnavailable"), "unknown", "old"),
        (refused(504, "Timeout"), "unknown", "old"),
        (Fault::Dropped, "unknown", "old"),
        (Fault::LostReply, "unknown", "new"),
    ] {
        let at = version(&store, ID).await;
        subject.cluster.calls();
        subject.cluster.plant("PATCH", fault);
        let result = write(&store, vec![over(&subject, ID, &at, "new")]).await;
        let how = match &result {
            Ok(()) => "written",
            Err(Failure::Unknown(_)) => "unknown",
            Err(Failure::Refused(_)) if is_stale(&result) => "stale",
            Err(Failure::Refused(_)) => "refused",
        };
        assert_eq!((how, seen(&subject, ID).as_str()), (reported, now), "{result:?}");
        let calls = subject.cluster.calls();
        assert_eq!(calls.iter().filter(|call| call.starts_with("PATCH")).count(), 1, "{result:?}: {calls:?}");
    }
}

#[tokio::test]
async fn neither_a_broken_response_nor_a_webhook_discloses_a_value() {
    let subject = Secrets::new();
    let store = subject.fresh();
    put(&subject, &[(ID, VALUE)]);
    let at = version(&store, ID).await;
    let base64 = subject.cluster.object("shop", "live").expect("there")["data"]["AWS_ACCESS_KEY_ID"].clone();
    let base64 = base64.as_str().expect("text").to_owned();
    let cut_off = format!(r#"{{"kind":"SecretList","metadata":{{}},"items":[{{"data":{{"KEY":"{base64}"}},{VALUE}"#);
    subject.cluster.plant("GET", Fault::Said(cut_off));
    let error = store.read_all().await.expect_err("no list");
    assert_eq!(error.kind, CallErrorKind::Unavailable);
    let mut reported = vec![format!("{error:?}")];
    for quoted in [VALUE, base64.as_str()] {
        let message = format!("admission webhook \"x\" denied the request: data is {quoted}");
        let (code, body) = status(403, "Forbidden", &message);
        subject.cluster.plant("PATCH", Fault::Refused(code, body));
        let mut batch = vec![over(&subject, ID, &at, VALUE)];
        batch.extend(Some(over(&subject, ID, &at, VALUE)));
        reported.push(format!("{:?}", write(&store, batch).await.expect_err("refused")));
    }
    let (code, body) = status(403, "Forbidden", "admission webhook \"x\" denied the request: ask the team first");
    subject.cluster.plant("PATCH", Fault::Refused(code, body));
    let harmless = format!("{:?}", write(&store, vec![over(&subject, ID, &at, VALUE)]).await.expect_err("refused"));
    assert!(harmless.contains("ask the team"), "{harmless}");
    for reported in reported {
        assert!(!reported.contains(VALUE) && !reported.contains(&base64), "{reported}");
    }
}

/// A credential plugin (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>)
/// that runs `script`.
fn plugin(subject: &Secrets, script: &str) -> PathBuf {
    let path = subject.folder.path().join("plugin");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("set");
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1beta1", "command": path.display().to_string(),
        "args": ["eks", "get-token"], "interactiveMode": "Never",
    });
    subject.cluster.kubeconfig_as(subject.folder.path(), &json!({ "exec": exec }))
}

#[tokio::test]
async fn a_credential_plugin_is_asked_for_a_token_and_again_when_it_no_longer_serves() {
    let subject = Secrets::new();
    drop(subject.fresh());
    put(&subject, &[(ID, "id")]);
    let token = subject.folder.path().join("token");
    let script = format!(
        r#"[ "$1 $2" = "eks get-token" ] || exit 3
echo "{{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"spec\":{{}},\"status\":{{\"token\":\"$(cat {})\"}}}}""#,
        token.display()
    );
    std::fs::write(&token, "first-token").expect("written");
    subject.cluster.knows(&["first-token"]);
    let store = opened(settings(plugin(&subject, &script), None)).expect("opens");
    assert_eq!(store.read_all().await.expect("reads").len(), 1);
    std::fs::write(&token, "second-token").expect("written");
    subject.cluster.knows(&["second-token"]);
    let at = version(&store, ID).await;
    write(&store, vec![over(&subject, ID, &at, "new id")]).await.expect("written");
    assert_eq!(seen(&subject, ID), "new id");
    subject.cluster.knows(&["third-token"]);
    assert_eq!(store.read_all().await.expect_err("refused").kind, CallErrorKind::Credentials);
}

#[tokio::test]
async fn a_credential_plugins_failure_is_reported_without_its_output() {
    let subject = Secrets::new();
    for (script, words) in [
        (format!("echo {VALUE}; echo {VALUE} >&2; exit 255"), "plugin failed (exit status: 255)"),
        (format!("echo 'status: {{token: {VALUE}'"), "did not print a credential"),
        (format!("echo '{{\"kind\":\"ExecCredential\",\"x\":\"{VALUE}\"}}'"), "did not print a credential"),
    ] {
        let Err(error) = opened(settings(plugin(&subject, &script), None)) else { panic!("{words}: it opens") };
        let reported = format!("{error} {error:?}");
        assert!(reported.contains(words) && !reported.contains(VALUE), "{reported}");
    }
    let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "/nowhere/plugin" });
    let kubeconfig = subject.cluster.kubeconfig_as(subject.folder.path(), &json!({ "exec": exec }));
    let error = opened(settings(kubeconfig, None)).err().expect("there is no such program");
    assert!(error.to_string().contains("/nowhere/plugin could not be started"), "{error}");
}

#[test]
fn an_unusable_kubeconfig_is_reported_and_not_quoted() {
    let subject = Secrets::new();
    let path = subject.cluster.kubeconfig(subject.folder.path());
    let good = std::fs::read_to_string(&path).expect("written");
    let reported = |text: &str, context: Option<&str>| {
        std::fs::write(&path, text).expect("written");
        let settings = KubernetesSettings { context: context.map(str::to_owned), ..settings(path.clone(), None) };
        opened(settings).err().map(|error| format!("{error} {error:?}"))
    };
    assert_eq!(reported(&good, None), None);
    assert_eq!(reported(&good, Some("test")), None);
    let token = crate::support::kubernetes::TOKEN;
    for (text, context, words) in [
        (good.clone(), Some("nothing"), "no context \"nothing\""),
        (good.replace("\"current-context\":\"test\",", ""), None, "no current context"),
        (good.replace("\"name\":\"here\"", "\"name\":\"there\""), None, "no cluster \"here\""),
        (format!("users: [{{token: {token}"), None, "it is not a valid kubeconfig"),
        (good.replace("127.0.0.1", "kubernetes.example.com"), None, "plain http"),
        (good.replace("http://", "ftp://"), None, "not an http or https URL"),
    ] {
        let reported = reported(&text, context).unwrap_or_else(|| panic!("{words}: it opens"));
        assert!(reported.contains(words) && !reported.contains(token), "{reported}");
    }
    std::fs::remove_file(&path).expect("removed");
    let error = opened(settings(path.clone(), None)).err().expect("there is no file");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[tokio::test]
async fn an_answer_about_something_else_is_not_believed() {
    let subject = Secrets::new();
    let store = subject.of("shop");
    subject.cluster.put("shop", "live", "KEY", b"old");
    subject.cluster.put("shop", "other", "KEY", b"of another");
    subject.cluster.put("mail", "live", "KEY", b"of another namespace");
    let object = |namespace: &str, name: &str| subject.cluster.object(namespace, name).expect("there").to_string();
    let said = |body: String| Fault::Said(body);
    for other in [object("shop", "other"), object("mail", "live")] {
        subject.cluster.plant("GET", said(other));
        let error = store.read(&[name("shop/live/KEY")]).await.expect_err("another");
        assert!(error.kind == CallErrorKind::Unavailable && error.message.contains("another Secret"), "{error}");
    }
    let list =
        format!(r#"{{"kind":"SecretList","apiVersion":"v1","metadata":{{}},"items":[{}]}}"#, object("mail", "live"));
    subject.cluster.plant("GET", said(list));
    let error = store.read_all().await.expect_err("another namespace's");
    assert!(error.message.contains("another Secret"), "{error}");
    let namespace = r#"{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"mail","uid":"x"}}"#;
    subject.cluster.plant("GET", said(namespace.to_owned()));
    let error = store.identity().await.expect_err("another namespace");
    assert!(error.message.contains("another namespace"), "{error}");
    let at = version(&store, "shop/live/KEY").await;
    subject.cluster.plant("PATCH", said(object("shop", "other")));
    let result = write(&store, vec![over(&subject, "shop/live/KEY", &at, "new")]).await;
    assert!(matches!(&result, Err(Failure::Unknown(why)) if why.contains("another Secret")), "{result:?}");
}
