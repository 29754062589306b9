//! Which strings contain a pair, how both halves are encoded, and which text never changes.

use super::*;
use crate::discovery::document;

const ID: &str = "AKIAABCDEFGHIJ234567";
const SECRET: &str = "abcdefghijklmnopqrstABCDEFGHIJKLMNO0+2/z";
const ENCODED: &str = "abcdefghijklmnopqrstABCDEFGHIJKLMNO0%2B2%2fz";
const PLAIN: &str = "abcdefghijklmnopqrstABCDEFGHIJKLMNO0122z";

fn named(name: &str) -> Part {
    Part::Parameter { name: name.to_owned() }
}

fn item(name: &str) -> Part {
    Part::Item { name: name.to_owned() }
}

#[test]
fn pairs_in_strings() {
    let users = (Part::User, Part::Password);
    for (string, (id_part, secret_part), secret) in [
        (format!("s3://{ID}:{ENCODED}@bucket/path"), users.clone(), SECRET),
        (format!("https://{ID}:{PLAIN}@host:443/path?region=x#y"), users.clone(), PLAIN),
        (format!("sqs://{ID}:{ENCODED}@"), users.clone(), SECRET),
        (format!("sqs://{ID}:{ENCODED}@sqs.eu-west-1.amazonaws.com/123456789012/q?x=y"), users, SECRET),
        (
            format!("s3://bucket/path?access_key={ID}&secret_key={SECRET}"),
            (named("access_key"), named("secret_key")),
            SECRET,
        ),
        (
            format!("s3://b/p?AWS_SECRET_ACCESS_KEY={ENCODED}&x&AWS_ACCESS_KEY_ID={ID}#f"),
            (named("AWS_ACCESS_KEY_ID"), named("AWS_SECRET_ACCESS_KEY")),
            SECRET,
        ),
        (
            format!("s3::https://host/b/p?aws_access_key_id={ID}&aws_access_key_secret={PLAIN}"),
            (named("aws_access_key_id"), named("aws_access_key_secret")),
            PLAIN,
        ),
        (
            format!("https://x/?AWSAccessKeyId={ID}&SecretKey={PLAIN}"),
            (named("AWSAccessKeyId"), named("SecretKey")),
            PLAIN,
        ),
        (format!("AccessKeyId={ID};SecretAccessKey={SECRET}"), (item("AccessKeyId"), item("SecretAccessKey")), SECRET),
        (
            format!("Endpoint=https://x?a=b; User = {ID} ;Password={SECRET} ; "),
            (item("User"), item("Password")),
            SECRET,
        ),
        (
            format!("jdbc:awsathena://AwsRegion=us-east-1;User={ID};Password={SECRET};S3OutputLocation=s3://x;"),
            (item("User"), item("Password")),
            SECRET,
        ),
    ] {
        let found = pair(&string).unwrap_or_else(|| panic!("a pair: {string}"));
        let ((id, id_said), (secret_at, secret_said)) = found;
        assert_eq!((id, secret_at), (id_part, secret_part), "{string}");
        assert_eq!((id_said.as_str(), secret_said.as_str()), (ID, secret), "{string}");
    }
}

#[test]
fn strings_without_a_sure_pair_are_not_touched() {
    for string in [
        // A password that is derived from a secret key, whatever its length.
        format!("smtp://{ID}:BPSlNe1kGo5sBTcCgkSZTVVa0jSHMkUYKoXSvqxuIEXA@email-smtp.us-east-1.amazonaws.com:587"),
        format!("smtps://{ID}:{PLAIN}@host"),
        format!("submission+smtp://{ID}:{PLAIN}@host"),
        // A slash ends the authority to every URL parser.
        format!("s3://{ID}:{SECRET}@bucket"),
        format!("s3://{ID}@bucket"),
        format!("s3://{ID}:@bucket"),
        format!("s3://{ID}:{PLAIN}:x@bucket"),
        format!("s3://{ID}:{PLAIN}@x@bucket"),
        format!("s3://{PLAIN}:{ID}@bucket"),
        format!("{ID}:{PLAIN}@bucket"),
        format!("s3://{ID}:da39a3ee5e6b4b0d3255bfef95601890afd80709@bucket"),
        format!("s3://{ID}@bucket?secret_key={PLAIN}"),
        format!("https://b.s3.amazonaws.com/k?AWSAccessKeyId={ID}&Signature={PLAIN}&Expires=1"),
        format!("https://b/k?X-Amz-Credential={ID}/20260101/us-east-1/s3/aws4_request&X-Amz-Signature={PLAIN}"),
        format!("s3://b?secret_key={ID}&access_key={PLAIN}"),
        format!("s3://b?a={ID}&b={PLAIN}&c={PLAIN}"),
        format!("s3://b?a={ID}&b={ID}&c={PLAIN}"),
        format!("see s3://{ID}:{PLAIN}@bucket"),
        format!("s3://{ID}:{PLAIN}@bucket\n"),
        format!("AccessKeyId={ID}"),
        format!("AccessKeyId={ID};words;SecretAccessKey={PLAIN}"),
        format!("AccessKeyId={ID};SecretAccessKey='{PLAIN}'"),
        format!("AccessKeyId={ID};\nSecretAccessKey={PLAIN}"),
        format!("SecretAccessKey={ID};AccessKeyId={PLAIN}"),
        format!("a={ID};Signature={PLAIN}"),
    ] {
        assert!(pair(&string).is_none(), "{string}");
    }
}

/// The parts of `string`, which is the only string in `document`.
fn parts(document: &str, location: &Location) -> Vec<Field> {
    let string = document::fields_as(document, location).expect("of that kind").remove(0);
    fields(document, &string).expect("a connection string")
}

#[test]
fn the_bytes_of_a_part_are_found_under_the_quoting_around_it() {
    let json = Location::Json { pointer: "/a".to_owned() };
    let toml = Location::Toml { pointer: "/a".to_owned() };
    let yaml = Location::Yaml { document: 0, pointer: "/a".to_owned() };
    let variable = Location::Variable { section: None, variable: "a".to_owned() };
    for (document, location, user) in [
        ("x://us:p@h", Location::WholeValue, Some("us")),
        (" \u{feff}x://us:p@h\n", Location::WholeValue, Some("us")),
        (r#"{"a":"x://us:p@h"}"#, json.clone(), Some("us")),
        (r#"{"a":"x:\/\/\u0075s:p@h\u00e9"}"#, json.clone(), Some("\\u0075s")),
        (r#"{"a":"\"é://us:p@h"}"#, json, None),
        ("a=x://us:p@h # why\r\n", variable.clone(), Some("us")),
        ("a='x://us:p@h'\r\n", variable, Some("us")),
        ("a = \"x:\\u002f/us:p@h\"", toml.clone(), Some("us")),
        ("a = \"\\U00000078://us:p@h\"", toml, None),
        ("a: x://us:p@h", yaml.clone(), Some("us")),
        ("a: \"x:\\/\\/us:p@h\"", yaml.clone(), Some("us")),
        ("a: \"\\x78://us:p@h\"", yaml, None),
    ] {
        let Some(user) = user else {
            let string = document::fields_as(document, &location).expect("of that kind").remove(0);
            let clear = fields(document, &string).map(|parts| parts.iter().all(|part| part.text.is_ok()));
            assert!(clear != Some(true), "{document}");
            continue;
        };
        let parts = parts(document, &location);
        assert_eq!(&document[parts[0].span.clone()], user, "{document}");
        assert_eq!(parts[0].text.as_ref().expect("clear").as_str(), "us");
        assert_eq!(&document[parts[1].span.clone()], "p");
    }
}

#[test]
fn a_part_keeps_its_encoding() {
    let new = "new+/=";
    for (string, written) in [
        ("x://u:a%2Fb@h", "new%2B%2F%3D"),
        ("x://u:ab@h", "new%2B%2F%3D"),
        // A reader that takes a bare plus takes the next one too; a bare slash would end the authority.
        ("x://u:a+b@h", "new+%2F="),
        ("x://h?y=z&p=a%2fb", "new%2B%2F%3D"),
        ("x://h?y=z&p=ab", "new%2B%2F%3D"),
        ("x://h?y=z&p=a/b", "new+/="),
        ("y=z;p=a%2Fb", "new+/="),
    ] {
        let parts = parts(string, &Location::WholeValue);
        assert_eq!(parts[1].writing.encode(new).expect("it can be written").as_str(), written, "{string}");
    }
    // To an INI reader a percent sign may begin an interpolation: none is brought in.
    let section = |text: &str| {
        let location = Location::Variable { section: Some("s".to_owned()), variable: "a".to_owned() };
        parts(text, &location)[1].writing.encode(new).map(|written| written.to_string())
    };
    assert_eq!(section("[s]\na = x://u:ab@h"), None);
    assert_eq!(section("[s]\na = x://u:a%2Fb@h"), Some("new%2B%2F%3D".to_owned()));
    assert_eq!(section("[s]\na = x=y;p=ab"), Some(new.to_owned()));
    for string in ["x://u:ab@h", "y=z;p=ab"] {
        assert!(parts(string, &Location::WholeValue)[1].writing.encode("").is_none());
    }
    assert!(parts("y=z;p=ab", &Location::WholeValue)[1].writing.encode("a;b").is_none());
}

#[test]
fn a_part_that_is_there_twice_is_marked() {
    let twice: Vec<bool> = parts("x://h?a=1&b=2&a=3", &Location::WholeValue).iter().map(|part| part.twice).collect();
    assert_eq!(twice, [true, false, true]);
}
