//! Every role on every route.

use narrowcast::http::{Role, openapi};
use reqwest::Method;
use serde_json::json;

use crate::service::{Service, send};

/// Who may: `v`iewer, `o`perator, `a`pprover, `A`dmin, `k`ey-admin, or `*` without a token.
const MATRIX: &[(&str, &str, &str)] = &[
    ("GET", "/healthz", "*"),
    ("GET", "/readyz", "*"),
    ("GET", "/openapi.json", "*"),
    ("GET", "/metrics", "voaA"),
    ("GET", "/api/v1/keys", "voaAk"),
    ("POST", "/api/v1/keys", "Ak"),
    ("GET", "/api/v1/keys/{id}", "voaAk"),
    ("POST", "/api/v1/keys/{id}/retire", "Ak"),
    ("POST", "/api/v1/keys/{id}/revoke", "Ak"),
    ("GET", "/api/v1/packages", "voaA"),
    ("POST", "/api/v1/packages", "oaA"),
    ("GET", "/api/v1/packages/{id}", "voaA"),
    ("PATCH", "/api/v1/packages/{id}", "oaA"),
    ("DELETE", "/api/v1/packages/{id}", "oaA"),
    ("GET", "/api/v1/packages/{id}/links", "voaA"),
    ("POST", "/api/v1/packages/{id}/links", "oaA"),
    ("DELETE", "/api/v1/packages/{id}/links/{link}", "oaA"),
    ("GET", "/api/v1/profiles", "voaA"),
    ("POST", "/api/v1/profiles", "oaA"),
    ("GET", "/api/v1/profiles/{id}", "voaA"),
    ("DELETE", "/api/v1/profiles/{id}", "aA"),
    ("GET", "/api/v1/profiles/{id}/settings", "voaA"),
    ("PUT", "/api/v1/profiles/{id}/settings", "aA"),
    ("PATCH", "/api/v1/profiles/{id}/settings", "aA"),
    ("GET", "/api/v1/quirks", "voaA"),
    ("GET", "/api/v1/devices", "voaA"),
    ("POST", "/api/v1/devices", "oaA"),
    ("POST", "/api/v1/devices/import", "oaA"),
    ("GET", "/api/v1/devices/{endpoint}", "voaA"),
    ("PUT", "/api/v1/devices/{endpoint}", "oaA"),
    ("DELETE", "/api/v1/devices/{endpoint}", "oaA"),
    ("GET", "/api/v1/devices/{endpoint}/timeline", "voaA"),
    ("GET", "/api/v1/devices/{endpoint}/why", "voaA"),
    ("DELETE", "/api/v1/devices/{endpoint}/bar", "oaA"),
    ("GET", "/api/v1/devices/{endpoint}/resources/{path}", "oaA"),
    ("PUT", "/api/v1/devices/{endpoint}/resources/{path}", "oaA"),
    ("POST", "/api/v1/devices/{endpoint}/resources/{path}", "oaA"),
    ("GET", "/api/v1/devices/{endpoint}/requests", "voaA"),
    ("GET", "/api/v1/devices/{endpoint}/requests/{id}", "voaA"),
    ("DELETE", "/api/v1/devices/{endpoint}/requests/{id}", "oaA"),
    ("GET", "/api/v1/devices/{endpoint}/uplinks", "voaA"),
    ("POST", "/api/v1/devices/{endpoint}/downlinks", "oaA"),
    ("GET", "/api/v1/groups", "voaA"),
    ("POST", "/api/v1/groups", "oaA"),
    ("GET", "/api/v1/groups/{id}", "voaA"),
    ("PUT", "/api/v1/groups/{id}", "oaA"),
    ("DELETE", "/api/v1/groups/{id}", "oaA"),
    ("GET", "/api/v1/groups/{id}/devices", "voaA"),
    ("POST", "/api/v1/groups/{id}/devices", "oaA"),
    ("PUT", "/api/v1/groups/{id}/devices", "oaA"),
    ("DELETE", "/api/v1/groups/{id}/devices", "oaA"),
    ("DELETE", "/api/v1/groups/{id}/devices/{endpoint}", "oaA"),
    ("GET", "/api/v1/campaigns", "voaA"),
    ("POST", "/api/v1/campaigns", "oaA"),
    ("GET", "/api/v1/campaigns/{id}", "voaA"),
    ("PATCH", "/api/v1/campaigns/{id}", "oaA"),
    ("DELETE", "/api/v1/campaigns/{id}", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/activate", "aA"),
    ("POST", "/api/v1/campaigns/{id}/stop", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/retry", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/consent", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/archive", "oaA"),
    ("DELETE", "/api/v1/campaigns/{id}/archive", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/tasks/{task}/stop", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/tasks/{task}/consent", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/pause", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/halt", "oaA"),
    ("POST", "/api/v1/halt", "oaA"),
    ("POST", "/api/v1/campaigns/{id}/resume", "aA"),
    ("POST", "/api/v1/campaigns/{id}/approve", "aA"),
    ("GET", "/api/v1/campaigns/{id}/tasks", "voaA"),
    ("GET", "/api/v1/cells", "voaA"),
    ("GET", "/api/v1/cells/tiers", "voaA"),
    ("GET", "/api/v1/events", "voaA"),
    ("GET", "/api/v1/webhooks", "A"),
    ("POST", "/api/v1/webhooks", "A"),
    ("GET", "/api/v1/webhooks/{id}", "A"),
    ("PATCH", "/api/v1/webhooks/{id}", "A"),
    ("DELETE", "/api/v1/webhooks/{id}", "A"),
    ("POST", "/api/v1/webhooks/{id}/test", "A"),
    ("GET", "/api/v1/webhooks/{id}/deliveries", "A"),
    (
        "POST",
        "/api/v1/webhooks/{id}/deliveries/{number}/redeliver",
        "A",
    ),
    ("GET", "/api/v1/audit", "A"),
    ("GET", "/api/v1/audit/head", "A"),
    ("GET", "/api/v1/tokens", "A"),
    ("POST", "/api/v1/tokens", "A"),
    ("DELETE", "/api/v1/tokens/{name}", "A"),
];

fn letter(role: Role) -> char {
    match role {
        Role::Viewer => 'v',
        Role::Operator => 'o',
        Role::Approver => 'a',
        Role::Admin => 'A',
        Role::KeyAdmin => 'k',
    }
}

#[tokio::test]
async fn each_role_may_what_the_matrix_says_and_nothing_else() {
    let service = Service::start().await;
    for (method, template, may) in MATRIX {
        // Nothing has these names, so nothing changes between one role and the next.
        let path = template
            .replace("{id}", "999")
            .replace("{link}", "999")
            .replace("{endpoint}", "nobody")
            .replace("{name}", "nobody")
            .replace("{number}", "999")
            // A stream would not end.
            .replace("/events", "/events?types=none")
            .replace("{path}", "3/0/3");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let anonymous = send(service.anonymous(method.clone(), &path)).await;
        assert_eq!(
            anonymous.status != 401,
            *may == "*",
            "nobody {method} {path}"
        );
        for role in Role::ALL {
            let request = service.request_as(role.word(), method.clone(), &path);
            let status = send(request).await.status;
            let allowed = *may == "*" || may.contains(letter(role));
            assert_ne!(status, 401, "{} {method} {path}", role.word());
            assert_eq!(status != 403, allowed, "{} {method} {path}", role.word());
        }
    }
}

#[test]
fn the_matrix_has_every_operation() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    let mut operations: Vec<_> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations").keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let mut matrix: Vec<_> = MATRIX
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    operations.sort();
    matrix.sort();
    assert_eq!(operations, matrix);
}

#[tokio::test]
async fn a_token_that_is_not_known_opens_nothing() {
    let service = Service::start().await;
    for value in [
        "Bearer nc_0000",
        "Bearer ",
        "Bearer",
        "Basic bmM6bmM=",
        "nc_0000",
    ] {
        let request = service.anonymous(Method::GET, "/api/v1/devices");
        let answer = send(request.header("authorization", value)).await;
        answer.problem(401, "unauthenticated", None);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test]
async fn a_body_is_not_looked_at_before_the_token() {
    let service = Service::start().await;
    let request = service.request_as("viewer", Method::POST, "/api/v1/devices");
    let answer = send(request.json(&json!({"wrong": true}))).await;
    let detail = answer.problem(403, "forbidden", None);
    assert!(
        detail.contains("operator") && detail.contains("viewer"),
        "{detail}"
    );
}
