//! Lists in pages.

use std::collections::BTreeSet;

use crate::service::{Answer, Service, device};

/// The path in `Link: <path>; rel="next"`.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link").strip_suffix("; rel=\"next\"")?;
    Some(link.strip_prefix('<')?.strip_suffix('>')?.to_owned())
}

#[tokio::test]
async fn following_the_links_gives_every_row_once() {
    let service = Service::start().await;
    let names: BTreeSet<_> = (0..7).map(|n| format!("urn:dev:{n} é/?&")).collect();
    for name in &names {
        service
            .post("/api/v1/devices", &device(name))
            .await
            .expect(201);
    }
    let mut path = Some("/api/v1/devices?limit=3".to_owned());
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    while let Some(at) = path {
        let answer = service.get(&at).await;
        let rows = answer.expect(200);
        let rows = rows.as_array().expect("a list");
        sizes.push(rows.len());
        seen.extend(
            rows.iter()
                .map(|row| row["endpoint"].as_str().expect("a name").to_owned()),
        );
        path = next(&answer);
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(seen, names.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_that_is_exactly_full_has_no_next() {
    let service = Service::start().await;
    for name in ["a", "b"] {
        service
            .post("/api/v1/devices", &device(name))
            .await
            .expect(201);
    }
    let answer = service.get("/api/v1/devices?limit=2").await;
    assert_eq!(answer.expect(200).as_array().map(Vec::len), Some(2));
    assert_eq!(next(&answer), None);
}

#[tokio::test]
async fn a_next_page_keeps_the_filter() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2"]).await;
    let campaign = serde_json::json!({
        "name": "July", "package_id": package, "targets": {"devices": ["d1", "d2"]},
    });
    let id = service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201)["id"]
        .clone();
    let path = format!("/api/v1/campaigns/{id}/tasks?state=pending&limit=1");
    let answer = service.get(&path).await;
    assert_eq!(answer.expect(200)[0]["endpoint"], "d1");
    let path = next(&answer).expect("a next page");
    assert!(path.contains("state=pending"), "{path}");
    assert_eq!(service.get(&path).await.expect(200)[0]["endpoint"], "d2");
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let service = Service::start().await;
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("limit=-1", "limit"),
        ("page=2", "page"),
        ("cursor=", "cursor"),
        ("cursor=x", "cursor"),
    ] {
        let answer = service.get(&format!("/api/v1/packages?{query}")).await;
        let body = answer.expect(400);
        assert_eq!(body["code"], "invalid_query", "{query}");
        assert!(
            body["detail"].as_str().expect("a detail").contains(name),
            "{query}: {body}"
        );
    }
}
