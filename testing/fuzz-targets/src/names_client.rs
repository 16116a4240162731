//! What name servers answer, and what people type to look somebody up.

use baraza_names::client::{Answer, Ask, Outcome, Query, Question, ServerUrl};
use baraza_names::{LookupText, Name};
use baraza_wire::AccountId;

/// Questions, one for each value of the first byte.
fn question(number: u8) -> Question {
    let name = || Name::new("alice").unwrap_or_else(|error| panic!("{error}"));
    match number % 3 {
        0 => Question::Name(name().into()),
        1 => Question::Address(AccountId::new([7; 20])),
        _ => Question::Register {
            name: name(),
            id: AccountId::new([7; 20]),
            body: String::new(),
        },
    }
}

/// An answer: a byte for the question, one for the status, then the body.
pub(crate) fn name_answer(data: &[u8]) -> bool {
    let [which, status, body @ ..] = data else {
        return false;
    };
    let Ok(server) = ServerUrl::public() else {
        panic!("the public server has an address");
    };
    let question = question(*which);
    let ask = Ask { server, question };
    let answer = || Answer {
        status: u16::from(*status).saturating_mul(3),
        retry_after: None,
        date: None,
        body: body.to_vec(),
    };
    let understood = ask.understand(Ok(answer()), false);
    let strictly = ask.understand(Ok(answer()), true);
    match understood {
        Ok(outcome) => {
            assert!((200..300).contains(&answer().status));
            match &outcome {
                Outcome::Found { name, signed, .. } => {
                    assert_eq!(ask.question, Question::Name(name.clone()));
                    assert_eq!(strictly.is_ok(), *signed);
                }
                Outcome::Named(name) => {
                    assert_eq!(LookupText::new(name.as_str()).as_ref(), Ok(name));
                }
                Outcome::Registered => assert_eq!(ask.method(), "POST"),
            }
            true
        }
        Err(failure) => {
            assert!(strictly.is_err());
            let words = failure.to_string();
            assert!(!words.chars().any(char::is_control), "{words:?}");
            assert!(words.len() < 4096);
            false
        }
    }
}

/// What somebody typed, pasted or scanned.
pub(crate) fn name_query(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match Query::parse(text) {
        Ok(Query::Id(id)) => {
            assert_eq!(Query::parse(&format!("jami:{id}")), Ok(Query::Id(id)));
            true
        }
        Ok(Query::Name { name, server }) => {
            let again = match &server {
                Some(server) => format!("{name}@{server}"),
                None => name.to_string(),
            };
            assert_eq!(Query::parse(&again), Ok(Query::Name { name, server }));
            true
        }
        Err(error) => {
            let words = error.to_string();
            assert!(!words.chars().any(char::is_control), "{words:?}");
            false
        }
    }
}
