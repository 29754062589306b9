//! A server on loopback that answers each request with whatever bytes a test wants, well-formed or not, and keeps
//! what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// AWS's clock, as every answer has it unless a test says otherwise.
pub(super) const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
/// The same in seconds since 1970.
pub(super) const DATE_SECONDS: i64 = 1_700_000_000;

/// The reaction to a request.
pub(super) enum Reply {
    /// Send these bytes and keep the connection.
    Bytes(Vec<u8>),
    /// Send these bytes and close it.
    ThenClose(Vec<u8>),
    /// Send these bytes and no more, until the other side gives up.
    ThenHang(Vec<u8>),
}

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: String,
}

pub(super) struct Responder {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Responder {
    pub(super) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(answer);
        let (seen, count) = (Arc::clone(&requests), Arc::clone(&connections));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || serve(stream, answer.as_ref(), &seen));
            }
        });
        Self { url, requests, connections }
    }

    /// A server that sends the same response to each request.
    pub(super) fn always(bytes: Vec<u8>) -> Self {
        Self::start(move |_| Reply::Bytes(bytes.clone()))
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("not poisoned").clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, answer: &(dyn Fn(&Request) -> Reply + Send + Sync), seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while let Some(request) = read_request(&mut reader) {
        seen.lock().expect("not poisoned").push(request.clone());
        match answer(&request) {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::ThenClose(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Reply::ThenHang(bytes) => {
                let _ = stream.write_all(&bytes);
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { head, body: String::from_utf8(body).ok()? })
}

/// An HTTP answer with AWS's clock and a request id.
pub(super) fn http(status: u16, body: &str) -> Vec<u8> {
    raw(status, &format!("Date: {DATE}\r\nx-amzn-RequestId: req-1\r\nContent-Length: {}\r\n", body.len()), body)
}

/// An HTTP answer without a clock.
pub(super) fn http_without_date(status: u16, body: &str) -> Vec<u8> {
    raw(status, &format!("Content-Length: {}\r\n", body.len()), body)
}

/// An HTTP answer with these headers.
pub(super) fn raw(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Whatever\r\nContent-Type: text/xml\r\n{headers}\r\n{body}").into_bytes()
}

/// An error document in the format of IAM and STS.
pub(super) fn error(status: u16, code: &str) -> Vec<u8> {
    http(status, &error_body(code))
}

pub(super) fn error_body(code: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>words</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"
    )
}
