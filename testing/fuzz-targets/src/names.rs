//! `baraza-names`: what a name server reads from strangers.

use baraza_names::audit::Logged;
use baraza_names::confusable::Likeness;
use baraza_names::dump;
use baraza_names::{LookupText, Name, Registration};

/// A request to register: what stands in the path up to the first line end, and the body.
pub(crate) fn names_request(data: &[u8]) -> bool {
    let (path, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => data.split_at(end),
        None => (&b""[..], data),
    };
    if let Ok(text) = std::str::from_utf8(path)
        && let Ok(name) = Name::from_typed(text)
    {
        let again = Name::new(name.as_str());
        assert_eq!(again.as_ref(), Ok(&name), "a name is a name");
        let wide = Likeness::Wide.skeleton(&Likeness::Ascii.skeleton(name.as_str()));
        assert_eq!(wide, Likeness::Wide.skeleton(name.as_str()));
        assert!(LookupText::new(name.as_str()).is_ok_and(|text| text.is(name.as_str())));
    }
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let Ok(read) = Registration::from_json(body) else {
        return false;
    };
    let written = read.to_json();
    let again = Registration::from_json(written.as_bytes());
    assert_eq!(again, Ok(read), "what was written reads");
    true
}

/// An entry of the log as databases keep it.
pub(crate) fn names_log(data: &[u8]) -> bool {
    let Ok(logged) = Logged::from_bytes(data, [0; 32]) else {
        return false;
    };
    assert_eq!(logged.to_bytes(), data, "an entry has one form");
    true
}

/// A dump of the existing server.
pub(crate) fn names_dump(data: &[u8]) -> bool {
    let mut understood = false;
    let read = dump::read(data, &mut |entry| {
        if let Ok(record) = entry.record(true) {
            assert_eq!(entry.name.as_deref(), Some(record.name.as_str()));
            understood = true;
        }
        Ok(())
    });
    read.is_ok() && understood
}
