//! The language of messages: by the environment in commands, by the request in REST.

use std::net::TcpListener;

use crate::program::{Run, command};
use crate::server::Site;

/// What a server says, with these variables, that cannot have its port.
fn refusal(variables: &[(&str, &str)]) -> String {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = command(
        site.path(),
        &["serve", "--data-dir", "data", "--http", &address],
    )
    .envs(variables.iter().copied())
    .output()
    .unwrap();
    Run::from(serve).exits(1).says(&[&address]).stderr
}

#[test]
fn commands_speak_the_language_of_the_locale() {
    let label = |variables: &[(&str, &str)]| {
        let refusal = refusal(variables);
        let line = refusal.lines().last().unwrap();
        line.split(": ").nth(1).unwrap().to_owned()
    };
    assert_eq!(label(&[("LANG", "zh_CN.UTF-8")]), "错误");
    assert_eq!(label(&[("LANG", "en_GB.UTF-8")]), "error");
    assert_eq!(label(&[("LANG", "zha")]), "error");
    let overridden = [("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C.UTF-8")];
    assert_eq!(label(&overridden), "error");
    let empty = [("LANG", "zh_CN.UTF-8"), ("LC_ALL", "")];
    assert_eq!(label(&empty), "错误");
}

#[tokio::test]
async fn problems_are_told_in_the_language_of_the_request() {
    let site = Site::new();
    let server = site.serve(&[]);
    let api = server.api("");
    let told = async |language: &str| {
        let answer = api.get_in("/api/v1/devices", language).await;
        answer.is_problem(401, "unauthenticated")
    };
    let chinese = told("zh-CN,zh;q=0.9,en;q=0.8").await;
    assert_eq!(chinese["title"], "需要访问令牌");
    let hint = chinese["hint"].as_str().unwrap();
    assert!(hint.contains("创建令牌"), "{hint}");
    let english = told("en-GB,en;q=0.9,zh;q=0.8").await;
    assert_eq!(english["title"], "A token is needed");
    // What is exactly wrong is for logs and programs too, and is in no language.
    assert_eq!(chinese["detail"], english["detail"]);
}
