//! The body of an answer: a text, or the events of a watch as they come.

use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The body of an answer.
pub enum Answer {
    /// A text, once.
    Text(Option<Bytes>),
    /// Lines, until nobody sends any more.
    Lines(mpsc::Receiver<String>),
}

impl Answer {
    pub fn text(text: impl Into<Bytes>) -> Answer {
        Answer::Text(Some(text.into()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Answer::Text(text) => Poll::Ready(text.take().filter(|text| !text.is_empty()).map(Frame::data).map(Ok)),
            Answer::Lines(lines) => lines.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answer::Text(text) if text.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Answer::Lines(_) => SizeHint::default(),
        }
    }
}
