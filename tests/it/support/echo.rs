//! A server that answers the requests that a test allows and refuses all others with a message that quotes every
//! request and response so far. Each kind of server has its own form of an error.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// The encoding in which a server quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Json,
    Percent,
    /// After this number of other bytes.
    Base64(usize),
    /// Each long word without its end, as servers shorten what they quote.
    Cut,
}

pub(crate) const ENCODINGS: [Encoding; 7] = [
    Encoding::Plain,
    Encoding::Json,
    Encoding::Percent,
    Encoding::Base64(0),
    Encoding::Base64(1),
    Encoding::Base64(2),
    Encoding::Cut,
];

/// `quoted(how, text)` for a program: what [`Encoding::of`] makes of `text`, where `how` is [`Encoding::word`].
pub(crate) const QUOTED: &str = r#"
import base64, json, re, urllib.parse
def quoted(how, text):
    if how == "json": return json.dumps(text)
    if how == "percent": return urllib.parse.quote(text, safe="")
    if how.startswith("base64"): return base64.b64encode(("x" * int(how[-1]) + text).encode()).decode()
    if how == "cut": return re.sub(r"[\w+/=.-]{24,}", lambda word: word[0][:-3], text)
    return text
"#;

impl Encoding {
    pub(crate) fn of(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Json => json!(text).to_string(),
            Self::Percent => text
                .bytes()
                .map(|byte| match byte {
                    byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                    byte => format!("%{byte:02X}"),
                })
                .collect(),
            Self::Base64(before) => STANDARD.encode(format!("{}{text}", "x".repeat(before))),
            Self::Cut => cut(text),
        }
    }

    /// Its name, as an argument of a program.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Plain => "plain".to_owned(),
            Self::Json => "json".to_owned(),
            Self::Percent => "percent".to_owned(),
            Self::Base64(before) => format!("base64-{before}"),
            Self::Cut => "cut".to_owned(),
        }
    }

    /// A secret as a word that an error code or the id of a request may be.
    pub(crate) fn code(self, secret: &str) -> String {
        self.of(secret).chars().filter(char::is_ascii_alphanumeric).take(64).collect()
    }
}

fn cut(text: &str) -> String {
    let is_of_a_word = |letter: char| letter.is_ascii_alphanumeric() || "+/=._-".contains(letter);
    let mut words = text.split_inclusive(|letter: char| !is_of_a_word(letter));
    words
        .by_ref()
        .map(|word| {
            let end = word.rfind(is_of_a_word).map_or(0, |at| at + 1);
            if end < 24 { word.to_owned() } else { format!("{}{}", &word[..end - 3], &word[end..]) }
        })
        .collect()
}

/// The kind of server whose errors it imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Vault,
    #[cfg_attr(not(feature = "kubernetes"), expect(dead_code, reason = "its tests are those of the Kubernetes store"))]
    Kubernetes,
    /// Of AWS: the code and the request's id are what `codes` has for this request, since nothing else is ever shown.
    Json,
    /// The same, for IAM and STS.
    Xml,
}

/// A request, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Its method and its path.
    pub(crate) line: String,
    /// The headers as received.
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Request {
    /// Whether it is a call of this operation of the JSON or of the query protocol.
    pub(crate) fn asks(&self, operation: &str) -> bool {
        let target = format!(".{}", operation.to_ascii_lowercase());
        self.headers
            .to_ascii_lowercase()
            .lines()
            .any(|line| line.starts_with("x-amz-target:") && line.ends_with(&target))
            || self.body.contains(&format!("Action={operation}&"))
    }
}

/// The server; its threads end with the test.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    protocol: Protocol,
    status: u16,
    encoding: Encoding,
    /// The text that the server quotes if there is only room for one word.
    word: String,
    /// The requests and the responses.
    heard: String,
    said: Vec<String>,
}

/// Returns the normal answer to a request; `None` if the server refuses the request and quotes it.
type Serves = dyn Fn(&Request) -> Option<String> + Send + Sync;

impl Echo {
    pub(crate) fn start(
        protocol: Protocol,
        serves: impl Fn(&Request) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            protocol,
            status: 400,
            encoding: Encoding::Plain,
            word: "word".to_owned(),
            heard: String::new(),
            said: Vec::new(),
        };
        let echo = Self { address, state: Arc::new(Mutex::new(state)) };
        let (state, serves): (_, Arc<Serves>) = (Arc::clone(&echo.state), Arc::new(serves));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, serves) = (Arc::clone(&state), Arc::clone(&serves));
                std::thread::spawn(move || serve(&stream, &state, serves.as_ref()));
            }
        });
        echo
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it refuses with this status, and quotes in this encoding; `word`, where it can say a word only.
    pub(crate) fn quotes(&self, status: u16, encoding: Encoding, word: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.status, state.encoding, state.word) = (status, encoding, word.to_owned());
        state.heard.clear();
        state.said.clear();
    }

    /// Returns the texts of all errors since the start.
    pub(crate) fn said(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).said.clone()
    }
}

impl State {
    fn refusal(&mut self) -> (u16, String, String) {
        let quoted = self.encoding.of(&self.heard);
        let word = &self.word;
        let body = match self.protocol {
            Protocol::Vault => json!({ "errors": [format!("no to {quoted}")] }).to_string(),
            Protocol::Kubernetes => json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": format!("no to {quoted}"), "reason": "Nothing", "code": self.status,
            })
            .to_string(),
            Protocol::Json => json!({ "__type": word, "message": quoted }).to_string(),
            Protocol::Xml => format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{word}</Code><Message>no to {}</Message></Error>\
                 <RequestId>{word}</RequestId></ErrorResponse>",
                quoted.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
            ),
        };
        self.said.push(body.clone());
        (self.status, word.clone(), body)
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>, serves: &Serves) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.heard.push_str(&format!("{}\n{}\n{}\n", request.line, request.headers, request.body));
        let (status, id, body) = match serves(&request) {
            Some(body) => (200, "an-id".to_owned(), body),
            None => state.refusal(),
        };
        if status == 200 {
            state.heard.push_str(&body);
        }
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        drop(state);
        let head = format!(
            "HTTP/1.1 {status} X\r\ndate: {date}\r\nx-amzn-requestid: {id}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = stream;
        if writer.write_all(&[head.as_bytes(), body.as_bytes()].concat()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0).map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        match line()? {
            header if header.is_empty() => break,
            header => headers.push(header),
        }
    }
    let length = headers.iter().find_map(|header| {
        let (name, value) = header.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Request { line: first, headers: headers.join("\n"), body })
}
