//! Giving the content of a file, whole or a part of it, as it is read.

use std::io::SeekFrom;
use std::path::Path;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::error::ApiError;

/// Bytes read at once.
const BLOCK: u64 = 256 << 10;

/// Which bytes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All.
    Whole,
    /// From the first to the last one, both included.
    Range(u64, u64),
    /// None of those that there are.
    Nothing,
}

/// The part that a `Range` header asks for. What is not understood asks for all, as the
/// standard says.
fn part(range: Option<&str>, length: u64) -> Part {
    let Some(range) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    let Some((first, last)) = range.split_once('-') else {
        return Part::Whole;
    };
    let end = length.saturating_sub(1);
    let (first, last) = match (first.trim(), last.trim()) {
        ("", last) => match last.parse::<u64>() {
            Ok(0) => return Part::Nothing,
            Ok(count) => (length.saturating_sub(count), end),
            Err(_) => return Part::Whole,
        },
        (first, last) => match (first.parse::<u64>(), last) {
            (Ok(first), "") => (first, end),
            (Ok(first), last) => match last.parse::<u64>() {
                Ok(last) if last >= first => (first, last.min(end)),
                _ => return Part::Whole,
            },
            _ => return Part::Whole,
        },
    };
    if first >= length {
        return Part::Nothing;
    }
    Part::Range(first, last)
}

/// Answers with a file.
pub(crate) async fn answer(
    path: &Path,
    name: &str,
    etag: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|known| known.to_str().ok()).unwrap_or("");
    let same = |tag: &str| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag;
    if known.split(',').any(same) {
        let response = Response::builder()
            .status(StatusCode::NOT_MODIFIED)
            .header(header::ETAG, etag)
            .body(Body::empty());
        return response.map_err(|error| ApiError::internal(&error));
    }
    // The rest of another content is of no use: then the whole.
    let range = match headers.get(header::IF_RANGE) {
        Some(wanted) if wanted != etag => None,
        _ => headers.get(header::RANGE),
    };
    let gone = |error: std::io::Error| {
        tracing::warn!(%error, "a file cannot be read");
        ApiError::not_found("file_lost", "the file is not on the disk any more")
    };
    let mut file = File::open(path).await.map_err(gone)?;
    let length = file.metadata().await.map_err(gone)?.len();
    let range = range.and_then(|range| range.to_str().ok());
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, etag)
        .header(header::CONTENT_DISPOSITION, disposition(name));
    let (start, count) = match part(range, length) {
        Part::Whole => (0, length),
        Part::Range(first, last) => {
            let range = format!("bytes {first}-{last}/{length}");
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, range);
            (first, last.saturating_sub(first).saturating_add(1))
        }
        Part::Nothing => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let message = format!("the file has {length} bytes");
            return Err(ApiError::new(status, "no_such_range", message));
        }
    };
    if start > 0 {
        file.seek(SeekFrom::Start(start)).await.map_err(gone)?;
    }
    let body = stream::try_unfold((file, count), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut block = Vec::new();
        let read = (&mut file)
            .take(left.min(BLOCK))
            .read_to_end(&mut block)
            .await?;
        if read == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        let left = left.saturating_sub(u64::try_from(read).unwrap_or(left));
        Ok(Some((Bytes::from(block), (file, left))))
    });
    response
        .header(header::CONTENT_LENGTH, count)
        .body(Body::from_stream(body))
        .map_err(|error| ApiError::internal(&error))
}

/// The name to save it under: everything but letters and digits is encoded, so that it can
/// do no harm in a header.
fn disposition(name: &str) -> String {
    let mut text = "attachment; filename*=UTF-8''".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_standard() {
        let of = |range: &str| part(Some(range), 10);
        assert_eq!(part(None, 10), Part::Whole);
        assert_eq!(of("bytes=0-"), Part::Range(0, 9));
        assert_eq!(of("bytes=2-5"), Part::Range(2, 5));
        assert_eq!(of("bytes=9-100"), Part::Range(9, 9));
        assert_eq!(of("bytes=-3"), Part::Range(7, 9));
        assert_eq!(of("bytes=-30"), Part::Range(0, 9));
        assert_eq!(of("bytes=10-"), Part::Nothing);
        assert_eq!(of("bytes=-0"), Part::Nothing);
        assert_eq!(of("bytes=5-2"), Part::Whole);
        assert_eq!(of("bytes=0-1,3-4"), Part::Whole);
        assert_eq!(of("lines=0-1"), Part::Whole);
        assert_eq!(part(Some("bytes=0-"), 0), Part::Nothing);
    }

    #[test]
    fn names_do_no_harm_in_headers() {
        let text = disposition("a\r\nSet-Cookie: x; \"ش.jpg");
        assert!(text.ends_with("''a%0D%0ASet-Cookie%3A%20x%3B%20%22%D8%B4.jpg"));
    }
}
