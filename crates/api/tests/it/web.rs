use crate::support::Server;

/// A request of a browser that is not signed in.
fn bare(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn app_is_served_to_everybody_with_a_policy() {
    let server = Server::start().await;
    let (status, answer) = server.raw(&bare("GET /")).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("content-type: text/html"), "{answer}");
    let policy = answer
        .lines()
        .find(|line| line.starts_with("content-security-policy: "));
    let policy = policy.unwrap_or_else(|| panic!("no policy: {answer}"));
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(answer.contains("x-content-type-options: nosniff"));
    assert!(answer.contains("<title>Baraza</title>"), "{answer}");
}

#[tokio::test]
async fn app_is_no_way_to_other_files_and_not_for_other_hosts() {
    let server = Server::start().await;
    for path in [
        "/api-token",
        "/../api-token",
        "/%2e%2e/api-token",
        "//etc/passwd",
    ] {
        let (status, answer) = server.raw(&bare(&format!("GET {path}"))).await;
        assert_eq!(status, 404, "{path}: {answer}");
    }
    let foreign = bare("GET /").replace("HOST", "evil.example");
    let (status, answer) = server.raw(&foreign).await;
    assert_eq!(status, 421, "{answer}");
    let (status, answer) = server.raw(&bare("POST /")).await;
    assert_eq!(status, 401, "{answer}");
}
