//! The router, asked without a socket.

use axum::body::{Bytes, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::engine::{DownloadChange, ServedImage};
use crate::model::Image;
use crate::store::{BlobStore, MemoryStore};

const CAPABILITY: DownloadCapability = DownloadCapability([0xab; 16]);
const ETAG: &str = "\"0707070707070707\"";
const SIZE_BYTES: usize = 10_000;

fn image() -> Vec<u8> {
    (0..SIZE_BYTES).map(|at| (at * 7 / 5) as u8).collect()
}

fn downloads() -> Arc<Downloads> {
    let downloads = Arc::<Downloads>::default();
    let served = ServedImage {
        image: Image::from(Bytes::from(image())),
        sha256: Sha256Digest([7; 32]),
        file_name: "firmware.bin".to_owned(),
    };
    downloads.apply(DownloadChange::Served(CAPABILITY, served));
    downloads
}

fn path() -> String {
    format!("/fw/{}/firmware.bin", CAPABILITY.to_hex())
}

async fn ask(
    downloads: &Arc<Downloads>,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bytes = BlobStore::open(folder.path(), 0).unwrap();
    let store = Arc::new(MemoryStore::new());
    let links = Links::load(store, bytes, LinkLimits::default()).await;
    let links = Arc::new(links.unwrap());
    let router = firmware_router(Arc::clone(downloads), links, SystemClock::new());
    router.oneshot(request).await.unwrap()
}

fn field<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    let value = response.headers().get(name)?;
    Some(value.to_str().unwrap())
}

async fn body(response: Response<Body>) -> Bytes {
    to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

/// The status, Content-Length, Content-Range and the body of a GET.
async fn get(fields: &[(&str, &str)]) -> (u16, String, Option<String>, Bytes) {
    let response = ask(&downloads(), "GET", &path(), fields).await;
    let status = response.status().as_u16();
    assert_eq!(field(&response, "content-encoding"), None);
    let length = field(&response, "content-length").unwrap_or_default();
    let range = field(&response, "content-range").map(str::to_owned);
    (status, length.to_owned(), range, body(response).await)
}

#[tokio::test]
async fn the_whole_image_comes_with_what_is_needed_to_go_on_with_it() {
    let response = ask(&downloads(), "GET", &path(), &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(field(&response, "content-length"), Some("10000"));
    assert_eq!(field(&response, "accept-ranges"), Some("bytes"));
    assert_eq!(field(&response, "etag"), Some(ETAG));
    assert!(body(response).await == image());
}

#[tokio::test]
async fn a_head_has_the_fields_of_the_whole_and_no_bytes_whatever_range_it_names() {
    for range in ["bytes=0-9", "bytes=99999-"] {
        let response = ask(&downloads(), "HEAD", &path(), &[("range", range)]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(field(&response, "content-length"), Some("10000"));
        assert_eq!(field(&response, "etag"), Some(ETAG));
        assert!(body(response).await.is_empty());
    }
}

#[tokio::test]
async fn a_part_is_the_bytes_that_it_says() {
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=512-1023", 512, 1023),
        ("bytes=4000-9000", 4000, 9000),
        ("bytes=9999-", 9999, 9999),
        ("bytes=-300", 9700, 9999),
    ] {
        let (status, length, said, bytes) = get(&[("range", range)]).await;
        assert_eq!((status, length), (206, (last - first + 1).to_string()));
        assert_eq!(said, Some(format!("bytes {first}-{last}/10000")));
        assert!(bytes[..] == image()[first..=last], "{range}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_with_the_size() {
    let (status, _, said, _) = get(&[("range", "bytes=10000-")]).await;
    assert_eq!(status, 416);
    assert_eq!(said.as_deref(), Some("bytes */10000"));
}

#[tokio::test]
async fn several_ranges_get_the_image_once() {
    let thousand = format!("bytes={}", ["0-"; 1300].join(","));
    let (status, length, _, bytes) = get(&[("range", &thousand)]).await;
    assert_eq!(
        (status, length.as_str(), bytes.len()),
        (200, "10000", SIZE_BYTES)
    );
    let twice = [("range", "bytes=0-1"), ("range", "bytes=2-3")];
    assert_eq!(get(&twice).await.0, 200);
}

#[tokio::test]
async fn a_range_of_another_image_gets_this_one_whole() {
    let range = ("range", "bytes=10-19");
    assert_eq!(get(&[range, ("if-range", ETAG)]).await.0, 206);
    let weak = format!("W/{ETAG}");
    for stale in [
        "\"0808080808080808\"",
        &weak,
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "*",
        "",
    ] {
        let (status, _, said, bytes) = get(&[range, ("if-range", stale)]).await;
        assert_eq!((status, said), (200, None), "{stale}");
        assert_eq!(bytes.len(), SIZE_BYTES);
    }
}

#[tokio::test]
async fn whoever_lacks_the_capability_or_the_name_gets_nothing() {
    let hex = CAPABILITY.to_hex();
    for path in [
        "/".to_owned(),
        "/fw".to_owned(),
        format!("/fw/{hex}"),
        format!("/fw/{hex}/"),
        format!("/fw/{hex}/other.bin"),
        format!("/fw/{hex}/../firmware.bin"),
        format!("/fw/{hex}/..%2f..%2ffirmware.bin"),
        format!("/fw/{hex}/firmware.bin/"),
        format!("/fw/{}/firmware.bin", "0".repeat(32)),
        format!("/fw/{}/firmware.bin", &hex[1..]),
        format!("/api/v1/packages/{hex}"),
    ] {
        for method in ["GET", "HEAD"] {
            let response = ask(&downloads(), method, &path, &[]).await;
            assert_eq!(response.status(), 404, "{method} {path}");
            assert!(body(response).await.len() < 20);
        }
    }
    let with_query = format!("{}?a=b", path());
    let response = ask(&downloads(), "GET", &with_query, &[]).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn nothing_but_get_and_head_is_taken() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        let response = ask(&downloads(), method, &path(), &[]).await;
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(field(&response, "allow"), Some("GET, HEAD"));
    }
}

#[tokio::test]
async fn a_withdrawal_ends_what_is_fetched_and_is_final_once_committed() {
    let downloads = downloads();
    let withdrawn = DownloadChange::Withdrawn(CAPABILITY);
    let begun = ask(&downloads, "GET", &path(), &[]).await;
    downloads.announce(&withdrawn);
    assert!(to_bytes(begun.into_body(), usize::MAX).await.is_err());
    let response = ask(&downloads, "GET", &path(), &[]).await;
    assert_eq!(response.status(), 503);
    assert_eq!(field(&response, "retry-after"), Some("10"));
    downloads.apply(withdrawn);
    let response = ask(&downloads, "GET", &path(), &[]).await;
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn how_far_it_is_is_told_of_each_part() {
    let downloads = downloads();
    for (range, end) in [("bytes=0-511", 512), ("bytes=512-", 10_000)] {
        let response = ask(&downloads, "GET", &path(), &[("range", range)]).await;
        assert!(downloads.take_fetched().is_empty());
        body(response).await;
        let told: Vec<_> = downloads.take_fetched().into_values().collect();
        assert_eq!(told, [end]);
    }
    let response = ask(&downloads, "HEAD", &path(), &[]).await;
    body(response).await;
    assert!(downloads.take_fetched().is_empty());
}
