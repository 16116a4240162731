//! Messages to addresses that a user chose: sent once, redirections not followed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use url::{Host, Url};

use super::ask::{Answer, Unreachable};
use super::http::{HttpClient, Reach, read, request, unsent};

/// Whether a message may go to an address: by https, or without it to this machine; without a
/// user name and a fragment.
///
/// # Errors
/// Why not, for people.
pub fn allowed(url: &Url) -> Result<(), &'static str> {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("it names no host"),
    };
    match url.scheme() {
        "https" => {}
        "http" if here => {}
        "http" => return Err("without https, only this machine is asked"),
        _ => return Err("it is no address of a web server"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user name or a password in it");
    }
    if url.fragment().is_some() {
        return Err("it has a fragment");
    }
    Ok(())
}

impl HttpClient {
    /// Sends a JSON message, within a time. A redirection is an answer like others.
    ///
    /// # Errors
    /// Why there is no answer; also if the address is not [`allowed`].
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
        time: Duration,
    ) -> Result<Answer, Unreachable> {
        allowed(url).map_err(unsent)?;
        let mut message = request(url, Method::POST);
        for (name, value) in headers {
            message = message.header(*name, value);
        }
        let message = message
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| unsent("it cannot be sent over HTTP"))?;
        let sent = async {
            let answer = self.once(url, message, Reach::PlainOnlyHere).await?;
            read(answer, true).await
        };
        match tokio::time::timeout(time, sent).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Unreachable {
                reason: format!("no answer in {} seconds", time.as_secs()),
                sent: true,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_by_https_or_stay_here() {
        for good in [
            "https://bot.example/hook?x=1",
            "http://127.0.0.1:9000/",
            "http://127.7.7.7/",
            "http://[::1]:9000/a",
            "http://localhost/a",
        ] {
            assert_eq!(allowed(&Url::parse(good).unwrap()), Ok(()), "{good}");
        }
        for bad in [
            "http://bot.example/",
            "http://10.0.0.1/",
            "http://localhost.example/",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "https://user@bot.example/",
            "https://:secret@bot.example/",
            "https://bot.example/#part",
        ] {
            assert!(allowed(&Url::parse(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
