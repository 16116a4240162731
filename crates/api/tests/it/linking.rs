use serde_json::json;

use crate::support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_machine_is_linked_by_one_session_at_a_time() {
    let server = Server::start().await;
    let (status, body) = server.ask("GET", "/api/v1/link", "").await;
    assert_eq!((status, &body["code"]), (409, &json!("no_link")));
    let (status, body) = server.ask("POST", "/api/v1/link", "{}").await;
    assert_eq!((status, &body["state"]), (201, &json!("INIT")));
    let (status, body) = server.ask("POST", "/api/v1/link", "{}").await;
    let code = &body["code"];
    assert_eq!((status, code), (409, &json!("link_running")));
    let (status, body) = server.ask("POST", "/api/v1/link/confirm", "{}").await;
    assert_eq!((status, &body["code"]), (409, &json!("no_link")));
    let (status, _) = server.ask("DELETE", "/api/v1/link", "").await;
    assert_eq!(status, 204);
    let (status, body) = server.ask("GET", "/api/v1/link?after=1", "").await;
    assert_eq!((status, &body["state"]), (200, &json!("DONE")));
    assert_eq!(body["error"], "canceled");
    let (status, body) = server
        .ask("POST", "/api/v1/accounts/link", r#"{"pin": "short"}"#)
        .await;
    assert_eq!((status, &body["code"]), (422, &json!("bad_pin")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_a_password_is_disabled_and_links_no_nonsense() {
    let server = Server::start().await;
    let (status, account) = server.ask("POST", "/api/v1/accounts", "{}").await;
    assert_eq!(status, 201);
    assert_eq!(account["has_password"], false);
    assert_eq!(account["enabled"], true);
    let at = format!("/api/v1/accounts/{}", account["jami_id"].as_str().unwrap());
    let password = format!("{at}/password");
    let (status, _) = server
        .ask("POST", &password, r#"{"new_password": "one"}"#)
        .await;
    assert_eq!(status, 204);
    for (old, expected) in [("two", "wrong_password"), ("", "password_needed")] {
        let body = json!({"password": old, "new_password": "three"}).to_string();
        let (status, body) = server.ask("POST", &password, &body).await;
        assert_eq!((status, &body["code"]), (422, &json!(expected)));
    }
    let (_, account) = server.ask("GET", &at, "").await;
    assert_eq!(account["has_password"], true);
    let link = format!("{at}/devices/link");
    let (status, body) = server
        .ask("POST", &link, r#"{"token": "jami-auth://x"}"#)
        .await;
    assert_eq!((status, &body["code"]), (422, &json!("bad_token")));
    let (status, body) = server.ask("DELETE", &link, "").await;
    assert_eq!((status, &body["code"]), (409, &json!("no_link")));
    let (status, account) = server.ask("POST", &format!("{at}/disable"), "").await;
    assert_eq!((status, &account["enabled"]), (200, &json!(false)));
    assert_eq!(account["state"], "UNREGISTERED");
    let (status, account) = server.ask("POST", &format!("{at}/enable"), "").await;
    assert_eq!((status, &account["enabled"]), (200, &json!(true)));
    let (status, _) = server.ask("DELETE", &at, "").await;
    assert_eq!(status, 204);
}
