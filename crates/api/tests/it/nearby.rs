//! The local network, by a node that stays on this machine: what is chosen, and what is refused.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn nobody_is_looked_for_or_shown_before_somebody_says_so() {
    let server = Server::start().await;
    let made = server.node.create_account("Alice".into(), None, |_| {});
    let path = format!("/api/v1/accounts/{}/nearby", made.await.unwrap());
    let (status, nearby) = server.ask("GET", &path, "").await;
    let nothing = json!({"on": false, "shown": false, "people": []});
    assert_eq!((status, nearby), (200, nothing.clone()));
    let (status, nearby) = server.ask("PATCH", &path, r#"{"shown":true}"#).await;
    assert_eq!((status, &nearby["shown"]), (200, &json!(true)));
    // It is kept beside what else was chosen of the network.
    let (_, network) = server
        .ask(
            "PUT",
            "/api/v1/network/bootstrap",
            r#"{"hosts":["127.0.0.1:9"]}"#,
        )
        .await;
    assert_eq!(network["local"], json!(false));
    let server = server.restart().await;
    let (_, nearby) = server.ask("GET", &path, "").await;
    assert_eq!(nearby["shown"], json!(true));
    let (_, network) = server.ask("GET", "/api/v1/network", "").await;
    assert_eq!(network["bootstrap"], json!(["127.0.0.1:9"]));
    let (_, nearby) = server.ask("PATCH", &path, r#"{"shown":false}"#).await;
    assert_eq!(nearby, nothing);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let server = Server::start().await;
    // The nodes of tests are on loopback.
    let (status, problem) = server
        .ask("PUT", "/api/v1/network/local", r#"{"on":true}"#)
        .await;
    assert_eq!(status, 422, "{problem}");
    let text = problem["detail"].as_str().unwrap();
    assert!(text.contains("for this machine alone"), "{problem}");
    let (status, network) = server
        .ask("PUT", "/api/v1/network/local", r#"{"on":false}"#)
        .await;
    assert_eq!((status, &network["local"]), (200, &json!(false)));
    let nobody = "/api/v1/accounts/0123456789abcdef/nearby";
    for (method, body) in [("GET", ""), ("PATCH", r#"{"shown":true}"#)] {
        let (status, _) = server.ask(method, nobody, body).await;
        assert_eq!(status, 404);
    }
}
