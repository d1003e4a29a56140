//! Reads server-sent events (WHATWG HTML, "Interpreting an event stream") as they arrive, in pieces of any size.

use bytes::{Bytes, BytesMut};

/// One event, as the stream's end of it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The data lines, joined by line feeds; empty where the event only set the id or the retry time.
    pub(super) data: Bytes,
    /// The stream's last event id up to here.
    pub(super) id: Option<String>,
    /// The reconnection time in milliseconds, where this event names one.
    pub(super) retry: Option<u64>,
}

/// The stream held more than a reader may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// An incremental reader. Holds one event at most.
#[derive(Debug)]
pub(super) struct Reader {
    line: BytesMut,
    data: BytesMut,
    /// Whether a data line was seen, so that an empty one counts.
    has_data: bool,
    named: bool,
    id: Option<String>,
    retry: Option<u64>,
    /// The last byte was CR: a LF that follows belongs to it.
    after_return: bool,
    first: bool,
    limit: usize,
}

impl Reader {
    /// A reader at the start of a stream, for events of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            line: BytesMut::new(),
            data: BytesMut::new(),
            has_data: false,
            named: false,
            id: None,
            retry: None,
            after_return: false,
            first: true,
            limit,
        }
    }

    /// Takes the next piece and returns the events that it completes.
    pub(super) fn push(&mut self, mut piece: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        while !piece.is_empty() {
            if std::mem::take(&mut self.after_return) && piece[0] == b'\n' {
                piece = &piece[1..];
                continue;
            }
            let end = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.line.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            if self.line.len() + self.data.len() > self.limit {
                return Err(TooLong);
            }
            let Some(end) = end else { break };
            self.after_return = piece[end] == b'\r';
            piece = &piece[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = self.line.split();
        let mut line = &line[..];
        if std::mem::take(&mut self.first) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = colon.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.data.extend_from_slice(b"\n");
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            // An id with a NUL is ignored, as the standard asks; one that fits no header cannot be sent back.
            b"id" if !value.iter().any(|byte| byte.is_ascii_control()) => {
                self.id = String::from_utf8(value.to_vec()).ok();
                self.named = true;
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            }
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let says_something = self.has_data || self.named || self.retry.is_some();
        self.has_data = false;
        self.named = false;
        let event = Event { data: self.data.split().freeze(), id: self.id.clone(), retry: self.retry.take() };
        says_something.then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: a comment\ndata: {\"a\":\ndata:1}\nid: 7\nevent: message\n\n\
        retry: 250\r\n\r\ndata\rdata: é\r\rid\ndata:  two\nunknown: x\nretry: 1x\n\nid: bad\0\ndata: 3\n\n\n\ndata: lost";

    fn event(data: &str, id: Option<&str>, retry: Option<u64>) -> Event {
        Event { data: Bytes::from(data.to_owned()), id: id.map(str::to_owned), retry }
    }

    #[test]
    fn the_same_events_wherever_the_stream_is_cut() {
        let wanted = [
            event("{\"a\":\n1}", Some("7"), None),
            event("", Some("7"), Some(250)),
            event("\né", Some("7"), None),
            event(" two", Some(""), None),
            event("3", Some(""), None),
        ];
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut reader = Reader::new(64);
            let events: Vec<_> = bytes.chunks(size).flat_map(|piece| reader.push(piece).unwrap()).collect();
            assert_eq!(events, wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut reader = Reader::new(10);
        assert_eq!(reader.push(b"data: 45678"), Err(TooLong));
        let mut reader = Reader::new(10);
        assert_eq!(reader.push(b"data: 1\n"), Ok(vec![]));
        assert_eq!(reader.push(b"data:2\ndata:3\ndata:4\ndata:5\ndata:6"), Err(TooLong));
    }
}
