//! A document of each kind as they are in use, with comments, both line ends, trailing blanks, anchors and nesting: what is
//! found in it, and that only the bytes of the pair differ afterwards.

use super::*;
use crate::discovery::{StoredEntry, discover};
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::Place;
use crate::types::secret::{SecretKey, SecretValue};

const OLD: (&str, &str, &str) = (
    "AKIAABCDEFGHIJ234567",
    "abcdefghijklmnopqrst/BCDEFGHIJKLMNO0123+",
    "abcdefghijklmnopqrst%2FBCDEFGHIJKLMNO0123%2B",
);
const NEW: (&str, &str, &str) = (
    "AKIANEWNEWNEWNEWNEW2",
    "NEW+/secretaccesskeyNEW+/secretaccesskey",
    "NEW%2B%2FsecretaccesskeyNEW%2B%2Fsecretaccesskey",
);

/// The document with a pair in it: `‹id›`, `‹secret›`, and `‹secret%›` percent-encoded.
fn with(document: &str, pair: (&str, &str, &str)) -> String {
    document.replace("‹id›", pair.0).replace("‹secret›", pair.1).replace("‹secret%›", pair.2)
}

fn stored(text: &str) -> Vec<StoredEntry> {
    vec![StoredEntry {
        store: StoreName::new("s").expect("valid"),
        name: EntryName::new("app/prod/doc").expect("valid"),
        value: SecretValue::new(text.as_bytes().to_vec()),
    }]
}

/// Finds the pair at these places and puts the new one there, in the document as it is and with Windows' line ends.
#[track_caller]
fn only_the_pair_differs(document: &str, places: &[(&str, &str)]) {
    for document in [document.to_owned(), document.replace('\n', "\r\n"), format!("\u{feff}{document}")] {
        let before = stored(&with(&document, OLD));
        let findings = discover(&before);
        assert_eq!(findings.left_alone, [], "{document}");
        let [candidate] = findings.candidates.as_slice() else { panic!("one key in {document}: {findings:?}") };
        let found = candidate.places.iter().map(|place| (place.id.to_string(), place.secret.to_string()));
        let found: Vec<_> =
            found.map(|(id, secret)| [id, secret].map(|at| at.replace("app/prod/doc at ", ""))).collect();
        assert_eq!(found, places.iter().map(|(id, secret)| [*id, *secret]).collect::<Vec<_>>(), "{document}");

        let (id, secret) = (AccessKeyId::new(NEW.0).expect("valid"), SecretKey::new(NEW.1.to_owned()));
        let all: Vec<&Place> = candidate.places.iter().collect();
        let after = splice_all(&all, |_| Some(&before[0].value), &id, &secret).expect("spliced");
        let [(_, after)] = after.as_slice() else { panic!("one document, one write") };
        assert_eq!(after.expose_text().expect("text"), with(&document, NEW));
        let seen = read_pair(all[0], |_| Some(after)).expect("read");
        assert!(seen.id == Some(id) && seen.secret.is_same_as(&secret));
    }
}

/// Finds the key and does not offer it, for a reason with these words in it.
#[track_caller]
fn is_left_alone(document: &str, words: &str) {
    let findings = discover(&stored(&with(document, OLD)));
    assert_eq!(findings.candidates, [], "{document}");
    let messages: Vec<String> = findings.left_alone.iter().map(|left| left.why.to_string()).collect();
    assert!(messages.iter().any(|why| why.contains(words)), "{document} {messages:?}");
    let ids = findings.left_alone.iter().filter_map(|left| left.key_id.as_ref());
    assert!(ids.into_iter().any(|id| id.as_str() == OLD.0), "the id is reported: {document} {findings:?}");
}

#[test]
fn json() {
    only_the_pair_differs(
        "{ \"a\\/b\" : [ 1.50, {\"id\": \"‹id›\" ,\t\"key\":\"‹secret›\"}  ],\n\"é\": \"\\u00e9\", \"id\": \"x\" }  \n",
        &[("/a~1b/1/id", "/a~1b/1/key")],
    );
}

#[test]
fn dotenv() {
    only_the_pair_differs(
        "# why  \nA=x  \n\nexport AWS_ACCESS_KEY_ID = \"‹id›\"  # é\nAWS_SECRET_ACCESS_KEY='‹secret›'\t\nB=\"$A\\\"\"\n",
        &[("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")],
    );
}

#[test]
fn ini() {
    only_the_pair_differs(
        "; why\n[default]\nregion = x  \naws_access_key_id=‹id›   ; é\naws_secret_access_key = ‹secret›  \n\n[profile b]\nx=y\n",
        &[("[default] aws_access_key_id", "[default] aws_secret_access_key")],
    );
}

#[test]
fn yaml() {
    only_the_pair_differs(
        "# the key of é  \n---\nx-aws: &aws   # both halves  \n  AWS_ACCESS_KEY_ID: ‹id›  # not 'x'\n  \
         AWS_SECRET_ACCESS_KEY:   \"‹secret›\"\t\n\nservices:\n  web: {environment: {<<: *aws, PORT: 80} , image: \"a:b\" }\n  \
         worker:\n    environment: *aws\n  db:   \n    environment:\n      - PASSWORD=x  \n...\n--- # another\n- ‘quoted’\n",
        &[("/x-aws/AWS_ACCESS_KEY_ID", "/x-aws/AWS_SECRET_ACCESS_KEY")],
    );
}

#[test]
fn a_kubernetes_manifest() {
    only_the_pair_differs(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s3, labels: {app: \"x\"}}\n  \
         type: Opaque\n  stringData:\n    id: |\n      ‹id›\n    # the other half\n    secret: >-\n      folded\n      words\n    \
         access-key-secret: '‹secret›'   \n  data:\n    other: cGFzc3dvcmQ=\n",
        &[("/items/0/stringData/id", "/items/0/stringData/access-key-secret")],
    );
    only_the_pair_differs(
        "kind: Deployment\nspec:\n  containers:\n  - name: web\n    env:\n    - name: AWS_ACCESS_KEY_ID\n      value: ‹id›\n    \
         - {name: AWS_SECRET_ACCESS_KEY, value: '‹secret›' }\n    - name: PORT\n      value: \"80\"\n",
        &[("/spec/containers/0/env/0/value", "/spec/containers/0/env/1/value")],
    );
}

#[test]
fn a_document_inside_a_document() {
    let at = |within: &str| {
        [
            format!("{within}, inside it at [default] aws_access_key_id"),
            format!("{within}, inside it at [default] aws_secret_access_key"),
        ]
    };
    for (document, within) in [
        ("a: |\n  [default]\n\n  aws_access_key_id = ‹id›\n  aws_secret_access_key = ‹secret›\n\nx: y\n", "/a"),
        (
            "{\"a\": \"[default]\\naws_access_key_id=‹id›\\r\\naws_secret_access_key=‹secret›\\n\", \"é\": \"\\u00e9\"}",
            "/a",
        ),
        ("a = \"\"\"\n[default]\naws_access_key_id=‹id›\naws_secret_access_key=‹secret›\n\"\"\"\nb = [\"x\"]\n", "/a"),
    ] {
        let [id, secret] = at(within);
        only_the_pair_differs(document, &[(&id, &secret)]);
    }
    only_the_pair_differs(
        r#"{"a": {"s3": "{\"accessKeyId\":\"‹id›\",\"x\":\"\\u00e9\",\"secretAccessKey\":\"‹secret›\"}"}}"#,
        &[("/a/s3, inside it at /accessKeyId", "/a/s3, inside it at /secretAccessKey")],
    );
}

#[test]
fn lines_of_another_kind_are_left_as_they_are() {
    for (document, pair) in [
        (
            "source_up\nlayout python3\n[ -f x ] && . x\nexport AWS_ACCESS_KEY_ID=‹id›\nexport AWS_SECRET_ACCESS_KEY='‹secret›'\n",
            "",
        ),
        ("AWS_REGION\nAWS_ACCESS_KEY_ID=‹id›\nAWS_SECRET_ACCESS_KEY=‹secret›\n", ""),
        ("a.b[0]=mq\nAWS_ACCESS_KEY_ID=‹id›\nAWS_SECRET_ACCESS_KEY=‹secret›\n-----END\n", ""),
        ("[a]\nflag\nAWS_ACCESS_KEY_ID=‹id›\nAWS_SECRET_ACCESS_KEY=‹secret›\n", "[a] "),
    ] {
        let [id, secret] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| format!("{pair}{name}"));
        only_the_pair_differs(document, &[(&id, &secret)]);
    }
    // The line may begin another section, continue the value before it, or be one half of the pair.
    is_left_alone("[[a]]\nx\nAWS_ACCESS_KEY_ID=‹id›\nAWS_SECRET_ACCESS_KEY=‹secret›\n", "line 3");
    is_left_alone("[a]\nAWS_ACCESS_KEY_ID=‹id›\nAWS_SECRET_ACCESS_KEY=‹secret›\n  more\n", "without a secret");
    is_left_alone("x\nset: AWS_ACCESS_KEY_ID=‹id›\nAWS_SECRET_ACCESS_KEY=‹secret›\n", "line 2");
}

#[test]
fn yaml_that_merges_the_pair_into_each_stage() {
    only_the_pair_differs(
        "default: &default\n  service: S3\n  access_key_id: ‹id›\n  secret_access_key: ‹secret›\nproduction:\n  <<: *default\n  \
         service: x\nstaging:\n  <<: [*default]\n  region: y\n",
        &[("/default/access_key_id", "/default/secret_access_key")],
    );
}

#[test]
fn yaml_that_cannot_be_edited_safely_is_skipped() {
    for (document, words) in [
        ("access_key_id: >-\n  ‹id›\nsecret_access_key: ‹secret›\n", "folded"),
        ("access_key_id: ‹id›\nsecret_access_key: >-\n  ‹secret›\n", "folded"),
        ("access_key_id: ‹id›\nsecret_access_key: !vault ‹secret›\n", "tag"),
        ("access_key_id: ‹id›\nsecret_access_key: &s ‹secret›\ndb: {password: *s}\n", "anchor"),
        ("a: &a {access_key_id: ‹id›, secret_access_key: ‹secret›}\nb: {<<: *a, secret_access_key: x}\n", "anchor"),
        ("access_key_id: ‹id›\nsecret_access_key: ‹secret›\naccess_key_id: ‹id›\n", "twice"),
        ("# was ‹id›\naccess_key_id: ‹id›\nsecret_access_key: ‹secret›\n", "once more"),
        ("access_key_id: ‹id›\n---\nsecret_access_key: ‹secret›\n", "without a secret"),
        ("? [‹id›]\n: ‹secret›\n", "cannot edit"),
        ("‹id›: ‹secret›\n", "cannot edit"),
    ] {
        is_left_alone(document, words);
    }
}

#[test]
fn toml() {
    only_the_pair_differs(
        "# why é  \ntitle = \"x\"   # y\n\n[storage.s3]  \nregion=\"r\"\ncredentials = { deeper.access_key_id = '‹id›' , \
         deeper.secret_access_key = \"‹secret›\" }\t# z\nports = [ 1, 2,\n  3 ]  \n\n[[user]]\nname = '''a\nb'''\n[[user]]\nname = \"\\u00e9\"\n",
        &[("/storage/s3/credentials/deeper/access_key_id", "/storage/s3/credentials/deeper/secret_access_key")],
    );
    only_the_pair_differs(
        "a = [1]\n[[key]]\nid = \"x\"\n[[key]]\nid = \"\"\"‹id›\"\"\"\nsecret = '''‹secret›'''  \n",
        &[("/key/1/id", "/key/1/secret")],
    );
    // A document that is also valid INI is read as INI.
    only_the_pair_differs(
        "[s3]  # why\naccess_key_id = \"‹id›\"\nsecret_access_key = '‹secret›'\n",
        &[("[s3] access_key_id", "[s3] secret_access_key")],
    );
    is_left_alone("a = [1]\naccess_key_id = '‹id›'\nsecret_access_key = \"\"\"\\\n  ‹secret›\"\"\"\n", "quoted");
}

#[test]
fn connection_strings() {
    for (document, id, secret) in [
        ("s3://‹id›:‹secret%›@bucket/path?region=x\n", "user", "password"),
        ("  sqs://‹id›:‹secret%›@  ", "user", "password"),
        ("https://host/a?secret_key=‹secret%›&x=%2F&access_key=‹id›#‹\n", "?access_key", "?secret_key"),
        (
            "https://host/a?AWSAccessKeyId=‹id›&aws_secret_access_key=‹secret›",
            "?AWSAccessKeyId",
            "?aws_secret_access_key",
        ),
        ("Endpoint=https://x/?a=b;AccessKeyId=‹id›; SecretAccessKey = ‹secret› ;\n", "AccessKeyId", "SecretAccessKey"),
        ("{\"a\": [\"s3:\\/\\/‹id›:‹secret%›@b\\/\\u00e9\"]}", "/a/0 user", "/a/0 password"),
        ("\"sqs:\\/\\/‹id›:‹secret%›@\"", "whole JSON string user", "whole JSON string password"),
        ("# why\nBROKER_URL='sqs://‹id›:‹secret%›@'  # é\nA=b  \n", "BROKER_URL user", "BROKER_URL password"),
        ("[a]\nurl = sqs://‹id›:‹secret%›@  ; é\n", "[a] url user", "[a] url password"),
        ("A=b\nB=\"User=‹id›;Password=‹secret›\"\n", "B User", "B Password"),
        ("celery:  # why\n  broker: sqs://‹id›:‹secret%›@  \n", "/celery/broker user", "/celery/broker password"),
        ("a: [ \"s3:\\/\\/‹id›:‹secret%›@b\", x ]\n", "/a/0 user", "/a/0 password"),
        ("a: |-\n  s3://b?k=‹id›&s=‹secret%›\nb: c\n", "/a ?k", "/a ?s"),
        ("a = [ 's3://‹id›:‹secret%›@b', \n ]  # why\n", "/a/0 user", "/a/0 password"),
        ("a = [ \"s3:\\u002f/‹id›:‹secret%›@b\" ]\n", "/a/0 user", "/a/0 password"),
    ] {
        only_the_pair_differs(document, &[(id, secret)]);
    }
}

#[test]
fn connection_strings_without_a_certain_pair_are_skipped() {
    for (document, words) in [
        ("smtp://‹id›:‹secret%›@email-smtp.eu-west-1.amazonaws.com:587", "cannot edit"),
        ("s3://‹id›:‹secret›@bucket", "cannot edit"),
        ("A=b\nB=s3://‹id›:‹secret%›@b # ‹id›\n", "once more"),
        ("[a]\nurl = sqs://‹id›:abcdefghijklmnopqrstABCDEFGHIJKLMNO01234@\n", "quoted"),
        ("a: \"\\x73qs://‹id›:‹secret%›@\"\n", "escapes"),
        ("{\"a\":\"s3://b?a=‹id›&a=‹secret›\"}", "more than one"),
    ] {
        is_left_alone(document, words);
    }
}

/// One entry holds the same pair as two plain values and in three connection strings. One splice writes all of them.
#[test]
fn one_key_in_several_forms_is_written_in_one_go() {
    only_the_pair_differs(
        "a: {access_key_id: ‹id›, secret_access_key: '‹secret›'}\nb: s3://‹id›:‹secret%›@b\nc: User=‹id›;Password=‹secret›\n---\n\
         d: https://x?k=‹id›&s=‹secret%›\n",
        &[
            ("/a/access_key_id", "/a/secret_access_key"),
            ("/b user", "/b password"),
            ("/c User", "/c Password"),
            ("/d of document 2 ?k", "/d of document 2 ?s"),
        ],
    );
}

/// A text of several kinds is taken for the same one every time: JSON, dotenv and INI as ever, then TOML, then YAML.
#[test]
fn the_kind_of_a_text_is_recognised() {
    let pair = |form: &str| with(form, OLD);
    for (text, id) in [
        ("{\"access_key_id\": \"‹id›\", \"secret_access_key\": \"‹secret›\"}", "/access_key_id"),
        ("AWS_ACCESS_KEY_ID=‹id›\nAWS_SECRET_ACCESS_KEY=‹secret›\n# a: b\n", "AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID='‹id›'\nAWS_SECRET_ACCESS_KEY='‹secret›'\n", "AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID='‹id›'\nAWS_SECRET_ACCESS_KEY='‹secret›'\nA=[\"x\"]\n", "/AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID='‹id›'\nAWS_SECRET_ACCESS_KEY='‹secret›'\nA=[\"x\"]\nB=\"$HOME\"\n", "AWS_ACCESS_KEY_ID"),
        ("AWS_ACCESS_KEY_ID=‹id›\nAWS_SECRET_ACCESS_KEY=‹secret›\nA=[\"x\"]\n", "AWS_ACCESS_KEY_ID"),
        ("{access_key_id: ‹id›, secret_access_key: ‹secret›}", "/access_key_id"),
    ] {
        let findings = discover(&stored(&pair(text)));
        let ids: Vec<String> = findings
            .candidates
            .iter()
            .flat_map(|found| &found.places)
            .map(|place| place.id.location.to_string())
            .collect();
        assert_eq!(ids, [id], "{text}");
    }
}
