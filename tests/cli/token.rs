//! `token create`, with and without a server.

use serde_json::{Value, json};

use crate::program::run;
use crate::server::Site;

fn create<'a>(name: &'a str, role: &'a str) -> [&'a str; 7] {
    [
        "token",
        "create",
        name,
        "--role",
        role,
        "--data-dir",
        "data",
    ]
}

#[tokio::test]
async fn a_token_made_before_or_beside_the_server_works_at_once() {
    let site = Site::new();
    let before = site.token("before", "viewer");
    let server = site.serve(&[]);
    let beside = site.token("beside", "admin");
    assert_ne!(before, beside);

    server.api(&before).get("/api/v1/groups").await.is(200);
    let group = json!({"name": "north"});
    let refused = server.api(&before).post("/api/v1/groups", &group).await;
    let problem = refused.is_problem(403, "forbidden");
    assert!(problem["detail"].as_str().unwrap().contains("viewer"));
    let api = server.api(&beside);
    api.post("/api/v1/groups", &group).await.is(201);

    let listed = api.get("/api/v1/tokens").await;
    assert_eq!(listed.is(200).as_array().map(Vec::len), Some(2));
    assert!(!listed.text.contains(&before) && !listed.text.contains(&beside));
}

#[test]
fn a_name_is_given_once() {
    let site = Site::new();
    site.token("ci", "viewer");
    run(site.path(), &create("ci", "admin"))
        .exits(1)
        .says(&["\"ci\"", "already"]);
    let _server = site.serve(&[]);
    run(site.path(), &create("ci", "admin"))
        .exits(1)
        .says(&["\"ci\"", "already"]);
}

#[test]
fn an_unknown_role_is_refused_with_those_that_there_are() {
    let site = Site::new();
    let roles = ["viewer", "operator", "approver", "admin", "key-admin"];
    run(site.path(), &create("ci", "root"))
        .exits(2)
        .says(&roles)
        .says(&["root"]);
    run(site.path(), &["token", "create", "ci"])
        .exits(2)
        .says(&["--role"]);
    assert!(!site.data().exists());
    for role in roles {
        assert!(site.token(role, role).starts_with("nc_"));
    }
}

#[test]
fn a_name_that_could_not_be_shown_is_refused() {
    let site = Site::new();
    let long = "x".repeat(51);
    for name in ["", "two\nlines", &long] {
        run(site.path(), &create(name, "viewer"))
            .exits(2)
            .says(&["1 to 50 characters"]);
    }
    site.token(&"夜".repeat(50), "viewer");
}

#[test]
fn the_result_is_one_line_of_json_where_asked_for() {
    let site = Site::new();
    let made = run(
        site.path(),
        &[&create("ci", "operator")[..], &["--json"]].concat(),
    );
    let made: Value = serde_json::from_str(&made.exits(0).stdout).unwrap();
    assert_eq!(
        (&made["name"], &made["role"]),
        (&json!("ci"), &json!("operator"))
    );
    assert!(made["token"].as_str().unwrap().starts_with("nc_"));
}
