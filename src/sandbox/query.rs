//! The AWS query protocol: form parameters in requests, XML in responses
//! (<https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>).
//!
//! This module knows the format only; the meaning is in `answers` and `iam_model`.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::action::Service;
use super::error::ApiError;

/// The parameters of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Parses `application/x-www-form-urlencoded`.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let malformed = || ApiError::new(404, "MalformedQueryString", "The query string contains a syntax error.");
        let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            Some((percent_decode(&pair[..at])?, percent_decode(value)?))
        });
        decoded.collect::<Option<Vec<_>>>().map(Self).ok_or_else(malformed)
    }

    /// The parameter of that name, if it was sent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Params {
    /// The members of a list parameter: `name.member.1`, `name.member.2` and so on.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|number| self.get(&format!("{name}.member.{number}"))).collect()
    }
}

fn percent_decode(text: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [*bytes.next()?, *bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(decoded).ok()
}

/// An XML document that is being written.
pub(super) struct Xml(Writer<Vec<u8>>);

impl Xml {
    fn new() -> Self {
        let mut xml = Self(Writer::new(Vec::new()));
        xml.write(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml
    }

    fn write(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("writing to memory cannot fail");
    }

    /// Writes an element with the content of `inside`.
    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.write(Event::Start(BytesStart::new(name)));
        inside(self);
        self.write(Event::End(BytesEnd::new(name)));
        self
    }

    /// Writes an element with text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.element(name, |xml| xml.write(Event::Text(BytesText::new(text))))
    }

    fn root(mut self, name: &str, service: Service, inside: impl FnOnce(&mut Self)) -> Vec<u8> {
        let start = BytesStart::new(name).with_attributes([("xmlns", service.namespace())]);
        self.write(Event::Start(start));
        inside(&mut self);
        self.write(Event::End(BytesEnd::new(name)));
        self.0.into_inner()
    }
}

/// The response of a successful call; `result` writes the content of `<…Result>`, if the call has a result.
pub(super) fn success(
    service: Service,
    action: &str,
    request_id: &str,
    result: Option<impl FnOnce(&mut Xml)>,
) -> Vec<u8> {
    Xml::new().root(&format!("{action}Response"), service, |xml| {
        if let Some(result) = result {
            xml.element(&format!("{action}Result"), result);
        }
        xml.element("ResponseMetadata", |xml| {
            xml.text("RequestId", request_id);
        });
    })
}

/// The response of a refused call.
pub(super) fn failure(service: Service, error: &ApiError, request_id: &str) -> Vec<u8> {
    Xml::new().root("ErrorResponse", service, |xml| {
        xml.element("Error", |xml| {
            xml.text("Type", if error.status < 500 { "Sender" } else { "Receiver" });
            xml.text("Code", &error.code).text("Message", &error.message);
        });
        xml.text("RequestId", request_id);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let params = Params::parse(b"Action=GetUser&UserName=a%2Bb+c%C3%A9&Empty=&Bare").expect("well formed");
        assert_eq!(params.get("UserName"), Some("a+b cé"));
        let list = Params::parse(b"A.member.1=x&A.member.2=y&A.member.4=z").expect("well formed");
        assert_eq!((list.list("A"), list.list("B")), (vec!["x", "y"], vec![]));
        assert_eq!((params.get("Empty"), params.get("Bare"), params.get("Other")), (Some(""), Some(""), None));
        for malformed in [&b"a=%4"[..], b"a=%zz", b"a=%ff"] {
            assert_eq!(Params::parse(malformed).expect_err("malformed").code, "MalformedQueryString");
        }
    }

    #[test]
    fn text_is_escaped() {
        let error = ApiError::validation("<&>");
        let xml = String::from_utf8(failure(Service::Iam, &error, "id")).expect("UTF-8");
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ErrorResponse \
             xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
             <Code>ValidationError</Code><Message>&lt;&amp;&gt;</Message></Error><RequestId>id</RequestId>\
             </ErrorResponse>"
        );
    }
}
