//! Reads the output of a watch, event by event.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One change of an object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WatchEvent<T> {
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The object after the change, or its last state before the deletion.
    pub object: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// The object existed when the watch started, or is new.
    Added,
    Modified,
    Deleted,
    #[serde(other)]
    Other,
}

/// Parses the growing output of a watch and returns each event once.
#[derive(Default)]
pub struct EventReader {
    offset: usize,
}

impl EventReader {
    /// Returns the new events in `printed`, the whole output so far. Returns `None` if the output
    /// contains anything but events.
    #[must_use]
    pub fn next_events<T: DeserializeOwned>(
        &mut self,
        printed: &[u8],
    ) -> Option<Vec<WatchEvent<T>>> {
        let new = printed.get(self.offset..)?;
        let mut stream = serde_json::Deserializer::from_slice(new).into_iter::<WatchEvent<T>>();
        let mut events = Vec::new();
        let mut parsed = 0;
        loop {
            match stream.next() {
                Some(Ok(event)) => {
                    parsed = stream.byte_offset();
                    events.push(event);
                }
                // kubectl has not printed the rest of this event yet.
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(_)) => return None,
                None => break,
            }
        }
        self.offset += parsed;
        Some(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::kubectl::Job;
    use proptest::prelude::*;

    const WATCH_OUTPUT: &str = concat!(
        r#"{"type":"ADDED","object":{"metadata":{"name":"a","uid":"1"},"status":{}}}"#,
        "\n",
        r#"{"type":"MODIFIED","object":{"metadata":{"name":"a","uid":"1"},"#,
        r#""status":{"conditions":[{"type":"Complete","status":"True"}]}}}"#,
        "\n",
        r#"{"type":"DELETED","object":{"metadata":{"name":"a","uid":"1"},"#,
        r#""status":{"conditions":null}}}"#,
        "\n",
    );

    #[test]
    fn next_events_returns_each_event_once_when_output_is_split() {
        for at in 0..WATCH_OUTPUT.len() {
            let mut events = EventReader::default();
            let first = events
                .next_events::<Job>(&WATCH_OUTPUT.as_bytes()[..at])
                .unwrap();
            let second = events.next_events::<Job>(WATCH_OUTPUT.as_bytes()).unwrap();
            let kinds: Vec<EventType> = first
                .iter()
                .chain(&second)
                .map(|event| event.event_type)
                .collect();
            assert_eq!(
                kinds,
                [EventType::Added, EventType::Modified, EventType::Deleted],
                "cut at {at}"
            );
            assert!(
                first
                    .iter()
                    .chain(&second)
                    .nth(1)
                    .unwrap()
                    .object
                    .is_complete()
            );
        }
    }

    #[test]
    fn next_events_returns_none_on_invalid_output() {
        assert!(
            EventReader::default()
                .next_events::<Job>(b"error: \n")
                .is_none()
        );
        assert!(
            EventReader::default()
                .next_events::<Job>(br#"{"kind":"Job"}"#)
                .is_none()
        );
        let other = EventReader::default()
            .next_events::<Job>(br#"{"type":"BOOKMARK","object":{}}"#)
            .unwrap();
        assert_eq!(other[0].event_type, EventType::Other);
    }

    proptest! {
        #[test]
        fn next_events_never_panics_on_arbitrary_bytes(bytes: Vec<u8>, cut in 0usize..64) {
            let mut events = EventReader::default();
            let _ = events.next_events::<Job>(&bytes[..cut.min(bytes.len())]);
            let _ = events.next_events::<Job>(&bytes);
        }
    }
}
