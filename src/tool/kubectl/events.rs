//! What a watch prints: one event after another, read as they come.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One change of an object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Event<T> {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: Change,
    /// The object after it; for one that is gone, as it was last.
    pub object: T,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Change {
    /// It was there when the watch began, or came since.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// Reads what a watch has printed so far, each event once.
#[derive(Default)]
pub struct Events {
    read: usize,
}

impl Events {
    /// The events that are new in `printed`, which holds all that was printed so far; `None` once it holds what is no
    /// event.
    #[must_use]
    pub fn news<T: DeserializeOwned>(&mut self, printed: &[u8]) -> Option<Vec<Event<T>>> {
        let new = printed.get(self.read..)?;
        let mut stream = serde_json::Deserializer::from_slice(new).into_iter::<Event<T>>();
        let mut events = Vec::new();
        let mut whole = 0;
        loop {
            match stream.next() {
                Some(Ok(event)) => {
                    whole = stream.byte_offset();
                    events.push(event);
                }
                // The rest has not been printed yet.
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(_)) => return None,
                None => break,
            }
        }
        self.read += whole;
        Some(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::kubectl::Job;
    use proptest::prelude::*;

    const PRINTED: &str = concat!(
        r#"{"type":"ADDED","object":{"metadata":{"name":"a","uid":"1"},"status":{}}}"#,
        "\n",
        r#"{"type":"MODIFIED","object":{"metadata":{"name":"a","uid":"1"},"status":{"conditions":[{"type":"Complete","status":"True"}]}}}"#,
        "\n",
        r#"{"type":"DELETED","object":{"metadata":{"name":"a","uid":"1"},"status":{"conditions":null}}}"#,
        "\n",
    );

    #[test]
    fn events_come_once_wherever_the_stream_is_cut() {
        for at in 0..PRINTED.len() {
            let mut events = Events::default();
            let first = events.news::<Job>(&PRINTED.as_bytes()[..at]).unwrap();
            let second = events.news::<Job>(PRINTED.as_bytes()).unwrap();
            let kinds: Vec<Change> = first
                .iter()
                .chain(&second)
                .map(|event| event.kind)
                .collect();
            assert_eq!(
                kinds,
                [Change::Added, Change::Modified, Change::Deleted],
                "cut at {at}"
            );
            assert!(
                first
                    .iter()
                    .chain(&second)
                    .nth(1)
                    .unwrap()
                    .object
                    .complete()
            );
        }
    }

    #[test]
    fn what_is_no_event_is_told() {
        assert!(Events::default().news::<Job>(b"error: \n").is_none());
        assert!(
            Events::default()
                .news::<Job>(br#"{"kind":"Job"}"#)
                .is_none()
        );
        let other = Events::default()
            .news::<Job>(br#"{"type":"BOOKMARK","object":{}}"#)
            .unwrap();
        assert_eq!(other[0].kind, Change::Other);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 0usize..64) {
            let mut events = Events::default();
            let _ = events.news::<Job>(&bytes[..cut.min(bytes.len())]);
            let _ = events.news::<Job>(&bytes);
        }
    }
}
