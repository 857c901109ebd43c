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
    /// Bytes, until nobody sends any more.
    Pieces(mpsc::Receiver<Bytes>),
    /// Another one, and what is to be done once it has ended, in whatever way.
    Ends { answer: Box<Answer>, _ending: Ending },
}

/// Something that is done when this is dropped.
pub struct Ending(Option<Box<dyn FnOnce() + Send>>);

impl Ending {
    pub fn new(end: impl FnOnce() + Send + 'static) -> Ending {
        Ending(Some(Box::new(end)))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|end| end());
    }
}

impl Answer {
    pub fn text(text: impl Into<Bytes>) -> Answer {
        Answer::Text(Some(text.into()))
    }

    /// The whole body, if it is there already.
    pub fn as_text(&self) -> Option<&[u8]> {
        match self {
            Answer::Text(text) => Some(text.as_deref().unwrap_or_default()),
            _ => None,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Answer::Text(text) => Poll::Ready(text.take().filter(|text| !text.is_empty()).map(Frame::data).map(Ok)),
            Answer::Ends { answer, .. } => Pin::new(&mut **answer).poll_frame(context),
            Answer::Lines(lines) => lines.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line.into())))),
            Answer::Pieces(pieces) => pieces.poll_recv(context).map(|piece| piece.map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Text(text) => text.as_ref().is_none_or(Bytes::is_empty),
            Answer::Lines(_) | Answer::Pieces(_) => false,
            Answer::Ends { answer, .. } => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Answer::Lines(_) | Answer::Pieces(_) => SizeHint::default(),
            Answer::Ends { answer, .. } => answer.size_hint(),
        }
    }
}
