//! `/api/v1/packages`.

use std::time::Duration;

use narrowcast::http::{ConnectionLimits, HttpLimits};
use reqwest::Method;
use serde_json::json;

use crate::service::{FORM, Service, send};
use crate::verifier::sha256;

const ARCHIVE: &str = "signed-by k1\nimage";

async fn with_key(limits: HttpLimits) -> Service {
    let service = Service::start_with(limits, false).await;
    enter_key(&service).await;
    service
}

async fn enter_key(service: &Service) {
    let key = json!({"manufacturer": "quectel", "public_key_pem": "KEY k1"});
    service.post("/api/v1/keys", &key).await.expect(201);
}

/// [`FORM`] with one text replaced, or left out.
fn form_with<'a>(name: &'static str, text: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let mut form: Vec<_> = FORM
        .into_iter()
        .filter(|(other, _)| *other != name)
        .collect();
    form.extend(text.map(|text| (name, text)));
    form
}

#[tokio::test]
async fn a_package_is_verified_kept_and_shown() {
    let service = with_key(HttpLimits::default()).await;
    let answer = service.upload(ARCHIVE, &FORM).await;
    let package = answer.expect(201);
    assert_eq!(package["sha256"], sha256(b"image").to_string());
    assert_eq!(
        package["archive_sha256"],
        sha256(ARCHIVE.as_bytes()).to_string()
    );
    assert_eq!(package["size"], 5);
    assert_eq!(package["key_id"], "k1");
    assert_eq!(package["source_versions"], json!(["V0", "V1"]));
    assert_eq!(
        (&package["kind"], &package["component"]),
        (&json!("full"), &json!("module"))
    );
    let kept = service.bytes.load(sha256(b"image"));
    assert_eq!(kept.expect("the image"), b"image"[..]);
    assert_eq!(service.package_files(), files_of(ARCHIVE, b"image"));

    assert_eq!(
        service.get(answer.header("location")).await.expect(200),
        package
    );
    assert_eq!(
        service.get("/api/v1/packages").await.expect(200),
        json!([package])
    );
    service
        .get("/api/v1/packages/99")
        .await
        .problem(404, "not_found", None);
    service
        .get("/api/v1/packages/x")
        .await
        .problem(404, "not_found", None);
}

#[tokio::test]
async fn the_same_package_is_uploaded_once() {
    let service = with_key(HttpLimits::default()).await;
    service.upload(ARCHIVE, &FORM).await.expect(201);
    let once = files_of(ARCHIVE, b"image");
    for (archive, code) in [
        (ARCHIVE, "conflict"),
        // Another archive of the same image: it goes, and the image stays.
        ("signed-by k1\ninfo version=V2\nimage", "conflict"),
    ] {
        let answer = service.upload(archive, &FORM).await;
        answer.problem(409, code, None);
        assert_eq!(service.package_files(), once);
    }
    let kept = service.bytes.load(sha256(b"image"));
    assert_eq!(kept.expect("the image"), b"image"[..]);
}

#[tokio::test]
async fn a_package_that_finds_no_room_leaves_none_taken() {
    let service = with_key(HttpLimits::default()).await;
    // More than fits once, and more than fits twice: the archive, then the image in it.
    for size_bytes in [(1 << 20) - 12, (1 << 19) + 1] {
        let archive = format!("signed-by k1\n{}", "x".repeat(size_bytes));
        let answer = service.upload(&archive, &FORM).await;
        answer.problem(507, "no_space_left", None);
        assert!(service.package_files().is_empty());
        assert_eq!(service.bytes.bytes(), 0);
    }
    service.upload(ARCHIVE, &FORM).await.expect(201);
}

#[tokio::test]
async fn of_two_uploads_of_one_package_at_once_one_is_kept_whole() {
    let service = with_key(HttpLimits::default()).await;
    for round in 0..20 {
        let image = format!("image {round}");
        let archive = format!("signed-by k1\n{image}");
        let before = service.package_files().len();
        let (one, other) = tokio::join!(
            service.upload(&archive, &FORM),
            service.upload(&archive, &FORM)
        );
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        assert_eq!(service.package_files().len(), before + 2);
        let kept = service.bytes.load(sha256(image.as_bytes()));
        assert_eq!(kept.expect("the image"), image.as_bytes());
    }
}

#[tokio::test]
async fn a_second_file_is_refused_before_it_is_taken() {
    let service = with_key(HttpLimits::default()).await;
    let part = || reqwest::multipart::Part::bytes(ARCHIVE.as_bytes()).file_name("a.zip");
    let form = reqwest::multipart::Form::new();
    let form = form.part("file", part()).part("file", part());
    let request = service.request(Method::POST, "/api/v1/packages");
    let answer = send(request.multipart(form)).await;
    answer.problem(422, "invalid_field", Some("file"));
    assert!(service.package_files().is_empty());
}

/// What a package leaves on the disk.
fn files_of(archive: &str, image: &[u8]) -> Vec<String> {
    let mut files = [sha256(archive.as_bytes()), sha256(image)].map(|it| it.to_string());
    files.sort();
    files.to_vec()
}

#[tokio::test]
async fn a_package_that_does_not_verify_is_refused_with_the_reason() {
    let service = with_key(HttpLimits::default()).await;
    for (archive, code) in [
        ("hello", "bad_archive"),
        ("signed-by k2\nimage", "bad_signature"),
    ] {
        let answer = service.upload(archive, &FORM).await;
        let detail = answer.problem(422, code, Some("file"));
        assert!(!detail.is_empty());
    }
    let form = form_with("manufacturer", Some("stranger"));
    let answer = service.upload(ARCHIVE, &form).await;
    answer.problem(422, "invalid_field", Some("manufacturer"));
    assert!(service.package_files().is_empty());
    assert_eq!(service.get("/api/v1/packages").await.expect(200), json!([]));
}

#[tokio::test]
async fn the_form_must_agree_with_what_was_signed() {
    let service = with_key(HttpLimits::default()).await;
    let answer = service
        .upload("signed-by k1\ninfo version=V3\nimage", &FORM)
        .await;
    let detail = answer.problem(422, "signed_info_mismatch", Some("version"));
    assert!(detail.contains("V3"), "{detail}");
    let answer = service
        .upload("signed-by k1\ninfo version=V2\nimage", &FORM)
        .await;
    answer.expect(201);
}

#[tokio::test]
async fn each_field_of_the_form_is_checked_and_named() {
    let service = with_key(HttpLimits::default()).await;
    for name in [
        "manufacturer",
        "model",
        "device_type",
        "protocol",
        "version",
    ] {
        for text in [None, Some("")] {
            let answer = service.upload(ARCHIVE, &form_with(name, text)).await;
            let detail = answer.problem(422, "invalid_field", Some(name));
            assert!(detail.starts_with(name), "{detail}");
        }
    }
    for (name, text) in [
        ("protocol", "MQTT"),
        ("kind", "half"),
        ("component", "radio"),
        ("colour", "red"),
        ("source_versions", "a\u{7}b"),
    ] {
        let answer = service.upload(ARCHIVE, &form_with(name, Some(text))).await;
        answer.problem(422, "invalid_field", Some(name));
    }
    let mut twice = FORM.to_vec();
    twice.push(("model", "BC26"));
    let answer = service.upload(ARCHIVE, &twice).await;
    answer.problem(422, "invalid_field", Some("model"));
    let mut delta = form_with("source_versions", None);
    delta.push(("kind", "delta"));
    let answer = service.upload(ARCHIVE, &delta).await;
    answer.problem(422, "invalid_field", Some("source_versions"));
}

#[tokio::test]
async fn source_versions_are_repeated_or_separated_by_commas() {
    let service = with_key(HttpLimits::default()).await;
    let mut form = form_with("source_versions", Some("A,B"));
    form.push(("source_versions[]", "C"));
    let package = service.upload(ARCHIVE, &form).await.expect(201);
    assert_eq!(package["source_versions"], json!(["A", "B", "C"]));
}

#[tokio::test]
async fn a_form_without_a_file_and_another_body_are_refused() {
    let service = with_key(HttpLimits::default()).await;
    let form = reqwest::multipart::Form::new().text("manufacturer", "quectel");
    let mut form = form;
    for (name, text) in &FORM[1..] {
        form = form.text(*name, *text);
    }
    let request = service.request(Method::POST, "/api/v1/packages");
    let answer = send(request.multipart(form)).await;
    answer.problem(422, "invalid_field", Some("file"));
    let answer = service.post("/api/v1/packages", &json!({})).await;
    answer.problem(415, "unsupported_media_type", None);
}

#[tokio::test]
async fn an_archive_has_its_bound() {
    let limits = HttpLimits {
        package_bytes_max: 1000,
        ..HttpLimits::default()
    };
    let service = with_key(limits).await;
    let fits = format!("signed-by k1\n{}", "x".repeat(1000 - 13));
    service.upload(&fits, &FORM).await.expect(201);
    let too_large = format!("{fits}x");
    let answer = service.upload(&too_large, &FORM).await;
    answer.problem(413, "too_large", None);
    // Beyond archive and form together the body is not even begun to be read.
    let huge = "x".repeat(100_000);
    let answer = service.upload(&huge, &FORM).await;
    answer.problem(413, "too_large", None);
    assert_eq!(
        service.package_files().len(),
        2,
        "those of the one that fits"
    );
}

#[tokio::test]
async fn an_upload_that_stops_in_the_middle_gives_its_place_to_another() {
    let limits = HttpLimits {
        uploads_max: 1,
        ..HttpLimits::default()
    };
    let connections = ConnectionLimits {
        rate_grace: Duration::from_millis(50),
        ..ConnectionLimits::default()
    };
    let service = Service::start_bounded(limits, connections, false).await;
    enter_key(&service).await;
    let head = format!(
        "POST /api/v1/packages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: 1000\r\n\r\n",
        service.token("operator")
    );
    let field = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nsign";
    for sent in ["", "--x\r\n", field] {
        let answer = service.raw(&format!("{head}{sent}")).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(service.package_files().is_empty());
    }
    service.upload(ARCHIVE, &FORM).await.expect(201);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let service = Service::start().await;
    let head = format!(
        "POST /api/v1/packages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: 200000000\r\n\r\n",
        service.token("operator")
    );
    let answer = service.raw(&head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}
