//! The API of the real program, from a client that is up to no good, and one that is not.

use crate::running::Node;

#[test]
fn only_who_has_the_token_and_asks_by_our_name_gets_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let token = std::fs::read_to_string(dir.path().join("api-token")).unwrap();
    let token = token.trim();
    let ask = |host: &str, extra: &str| {
        let answer = node.raw(&format!(
            "GET /api/v1/status HTTP/1.1\r\nhost: {host}\r\n{extra}connection: close\r\n\r\n"
        ));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let bearer = format!("authorization: Bearer {token}\r\n");
    assert_eq!(ask("API", &bearer), "200");
    assert_eq!(ask("API", ""), "401");
    assert_eq!(ask("API", "authorization: Bearer 0123\r\n"), "401");
    assert_eq!(ask("rebound.example", &bearer), "421");
    let foreign = format!("{bearer}origin: https://foreign.example\r\n");
    assert_eq!(ask("API", &foreign), "403");
}
