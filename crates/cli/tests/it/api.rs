//! The API of the real program, from a client that is up to no good, and one that is not.

use crate::running::Node;
use crate::support::json;

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

/// Signs in as a browser does with the address that it was given; the cookie as it is sent
/// back.
fn sign_in(node: &Node, link: &str) -> Option<String> {
    let api = node.ready["api"].as_str().unwrap();
    let code = link.strip_prefix(&format!("http://{api}/#login=")).unwrap();
    let body = format!("{{\"code\": \"{code}\"}}");
    let length = body.len();
    let answer = node.raw(&format!(
        "POST /api/v1/session HTTP/1.1\r\nhost: API\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ));
    let (_, cookie) = answer.split_once("set-cookie: ")?;
    let cookie = cookie.split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("baraza_session_"), "{cookie}");
    Some(cookie)
}

#[test]
fn the_app_is_opened_signed_in_from_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let first = node.ready["app"].as_str().unwrap();
    assert!(sign_in(&node, first).is_some());
    assert!(sign_in(&node, first).is_none(), "a second time");
    let opened = json(dir.path(), &["open", "--print"]);
    let cookie = sign_in(&node, opened["app"].as_str().unwrap()).unwrap();
    let ask = |cookie: &str| {
        node.raw(&format!(
            "GET /api/v1/session HTTP/1.1\r\nhost: API\r\ncookie: {cookie}\r\n\
             connection: close\r\n\r\n"
        ))
    };
    assert!(ask(&cookie).starts_with("HTTP/1.1 200"));
    let sessions = json(dir.path(), &["session", "list"]);
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let newest = sessions[1]["session"].to_string();
    json(dir.path(), &["session", "revoke", &newest]);
    assert!(ask(&cookie).starts_with("HTTP/1.1 401"));
}
