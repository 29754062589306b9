//! An HTTP response with its headers, whose body may break off on purpose.
//!
//! Its content, and whether it is sent, is decided elsewhere.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

/// The connection ends without the rest of the response.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped on purpose")]
pub(super) struct Dropped;

/// A response with the headers of every AWS response.
pub(super) fn reply(
    status: u16,
    content_type: &'static str,
    body: Answer,
    request_id: &str,
    now: SystemTime,
) -> Response<Answer> {
    let mut headers = HeaderMap::new();
    let text = |text: &str| HeaderValue::from_str(text).expect("a date or a UUID is a header value");
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(DATE, text(&httpdate::fmt_http_date(now)));
    headers.insert("x-amzn-requestid", text(request_id));
    let announced = body.breaks.as_ref().map_or(body.left.len(), |breaks| breaks.announced);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(announced));
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

/// A body that may break off.
pub(super) struct Answer {
    left: Bytes,
    breaks: Option<Break>,
}

struct Break {
    announced: usize,
    flushed: bool,
}

impl Answer {
    /// The first `keep` bytes of `body`, all of which are announced; then the connection breaks.
    pub(super) fn cut_off(mut body: Vec<u8>, keep: usize) -> Self {
        let announced = body.len();
        body.truncate(keep);
        Self { left: body.into(), breaks: Some(Break { announced, flushed: false }) }
    }
}

impl From<Vec<u8>> for Answer {
    fn from(body: Vec<u8>) -> Self {
        Self { left: body.into(), breaks: None }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if !self.left.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.left)))));
        }
        match &mut self.breaks {
            None => Poll::Ready(None),
            Some(breaks) if breaks.flushed => Poll::Ready(Some(Err(Dropped))),
            Some(breaks) => {
                // hyper discards unwritten data when a body fails, so the data is flushed first.
                breaks.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.breaks.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.breaks.as_ref().map_or_else(|| SizeHint::with_exact(self.left.len() as u64), |_| SizeHint::default())
    }
}
