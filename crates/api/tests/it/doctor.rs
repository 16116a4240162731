//! Checks on demand, how often, by whom, and what a report of them holds.

use serde_json::{Value, json};

use crate::support::Server;

/// Whether a report holds this anywhere.
fn leaks(report: &str, secret: &str) -> bool {
    report.to_lowercase().contains(&secret.to_lowercase())
}

#[tokio::test]
async fn checks_are_made_alone_or_all_and_the_last_results_stay() {
    let server = Server::start().await;
    let (status, none) = server.ask("GET", "/api/v1/doctor", "").await;
    assert_eq!((status, &none["results"]), (200, &json!([])));
    let checks = none["checks"].as_array().unwrap().len();
    let (status, one) = server
        .ask("POST", "/api/v1/doctor", r#"{"checks":["disk","disk"]}"#)
        .await;
    assert_eq!(status, 200, "{one}");
    assert_eq!(one.as_array().unwrap().len(), 1);
    assert_eq!(one[0]["check"], "disk");
    assert!(one[0]["findings"][0]["text"].as_str().unwrap().len() > 10);
    let (status, all) = server.ask("POST", "/api/v1/doctor", "{}").await;
    assert_eq!(status, 200);
    assert_eq!(all.as_array().unwrap().len(), checks);
    let of = |check: &str| {
        all.as_array()
            .unwrap()
            .iter()
            .find(|one| one["check"] == check)
    };
    assert_eq!(of("turn").unwrap()["verdict"], "nothing");
    assert_eq!(of("ports").unwrap()["verdict"], "ok");
    // No bootstrap, nobody around.
    let dht = of("dht").unwrap();
    assert_eq!(dht["verdict"], "broken");
    assert!(
        dht["findings"][0]["advice"]
            .as_str()
            .unwrap()
            .contains("firewall")
    );
    let (_, kept) = server.ask("GET", "/api/v1/doctor", "").await;
    assert_eq!(kept["results"], all);
    let (status, wrong) = server
        .ask("POST", "/api/v1/doctor", r#"{"checks":["horoscope"]}"#)
        .await;
    assert_eq!((status, &wrong["code"]), (400, &json!("bad_fields")));
}

#[tokio::test]
async fn nobody_can_make_a_node_ask_others_without_end() {
    let server = Server::start().await;
    let mut refused = None;
    for _ in 0..20 {
        let body = r#"{"checks":["versions"]}"#;
        let (status, answer) = server
            .with(
                "POST",
                "/api/v1/doctor",
                &format!("authorization: Bearer {}\r\n", server.token()),
                body,
            )
            .await;
        if status != 200 {
            refused = Some((status, answer));
            break;
        }
    }
    let (status, answer) = refused.unwrap();
    assert_eq!(status, 429);
    assert!(answer.to_lowercase().contains("retry-after: "), "{answer}");
    // The others are not held up.
    let (status, _) = server
        .ask("POST", "/api/v1/doctor", r#"{"checks":["turn"]}"#)
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_report_names_neither_people_nor_places() {
    let server = Server::start().await;
    let secret = "Zebedee Quicksilver";
    let (_, account) = server
        .ask(
            "POST",
            "/api/v1/accounts",
            &json!({ "display_name": secret }).to_string(),
        )
        .await;
    let local = account["account"].as_str().unwrap().to_owned();
    // Nobody listens there, so that the reason names it, too.
    let names = json!({ "server": "http://names.quicksilver.invalid:8899" }).to_string();
    let path = format!("/api/v1/accounts/{local}/names/server");
    assert_eq!(server.ask("PATCH", &path, &names).await.0, 200);
    let (_, results) = server.ask("POST", "/api/v1/doctor", "{}").await;
    // To the owner, all is told.
    assert!(results.to_string().contains("names.quicksilver.invalid"));

    let mut secrets = vec![
        secret.to_owned(),
        "quicksilver".to_owned(),
        local,
        account["jami_id"].as_str().unwrap().to_owned(),
        account["device_id"].as_str().unwrap().to_owned(),
        server.dir.path().display().to_string(),
        server.token().to_owned(),
        "127.0.0.1".to_owned(),
    ];
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    secrets.push(host);
    let (_, json) = server.ask("GET", "/api/v1/doctor/report", "").await;
    assert_eq!(json["accounts"], 1);
    assert_eq!(json["results"].as_array().unwrap().len(), 10);
    let (status, answer) = server
        .raw(
            "GET /api/v1/doctor/report?format=text HTTP/1.1\r\nhost: HOST\r\n\
             authorization: Bearer TOKEN\r\nconnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(status, 200);
    let text = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(text.contains("Name server: broken"), "{text}");
    assert!(text.contains("server: http"), "{text}");
    for report in [json.to_string(), text.to_owned()] {
        for secret in &secrets {
            assert!(!leaks(&report, secret), "{secret} is in {report}");
        }
        // No ID, whosever it is, and no address.
        let words = report.split(|c: char| !c.is_ascii_hexdigit());
        let long = words.filter(|word| word.len() >= 16).collect::<Vec<_>>();
        assert!(long.is_empty(), "{long:?}");
        let parts = report.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'));
        let address = |part: &&str| part.parse::<std::net::IpAddr>().is_ok() && part.len() > 2;
        let addresses = parts.filter(address).collect::<Vec<_>>();
        assert!(addresses.is_empty(), "{addresses:?}");
    }
}

#[tokio::test]
async fn only_who_administers_may_ask() {
    let server = Server::start().await;
    let body = json!({ "label": "bot", "scopes": ["read", "send"] }).to_string();
    let (_, made) = server.ask("POST", "/api/v1/tokens", &body).await;
    let token = made["token"].as_str().unwrap();
    let headers = format!("authorization: Bearer {token}\r\n");
    for (method, path) in [
        ("GET", "/api/v1/doctor"),
        ("POST", "/api/v1/doctor"),
        ("GET", "/api/v1/doctor/report"),
    ] {
        let (status, answer) = server.with(method, path, &headers, "{}").await;
        assert_eq!(status, 403, "{answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let problem: Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["code"], "scope_missing");
    }
}
