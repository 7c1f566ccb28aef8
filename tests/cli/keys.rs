//! Public keys over REST, and the private key that somebody sends by mistake.

use std::path::Path;
use std::process::Command;
use std::str::from_utf8;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::packages::{OTHER_PUBLIC_PEM, PRIVATE_PEM, PUBLIC_PEM};
use crate::server::{MANUFACTURER, Site};

/// Files below `folder` that hold these bytes.
fn holding(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let needle = needle.as_bytes();
        if bytes.windows(needle.len()).any(|window| window == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Private keys in the forms that people have, as OpenSSL and OpenSSH write them.
fn private_keys(folder: &Path) -> Vec<String> {
    std::fs::write(folder.join("key.pem"), PRIVATE_PEM).unwrap();
    let made = |program: &str, line: &str| {
        let words = line.split(' ');
        let ran = Command::new(program)
            .args(words)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{program} {line}: {ran:?}");
        ran.stdout
    };
    let text = |line: &str| String::from_utf8(made("openssl", line)).unwrap();
    let bare = |line: &str| STANDARD.encode(made("openssl", line));
    made("ssh-keygen", "-q -t rsa -b 2048 -N 123456 -f ssh");
    vec![
        PRIVATE_PEM.to_owned(),
        PRIVATE_PEM.replace("PRIVATE KEY", "private key"),
        format!("{PUBLIC_PEM}{PRIVATE_PEM}"),
        text("pkcs8 -topk8 -in key.pem -passout pass:123456"),
        text("rsa -in key.pem -traditional"),
        text("rsa -in key.pem -traditional -des3 -passout pass:123456"),
        text("ecparam -name secp256k1 -genkey"),
        text("genpkey -quiet -algorithm ED25519"),
        std::fs::read_to_string(folder.join("ssh")).unwrap(),
        // DER, which JSON carries as base64 alone.
        bare("pkcs8 -topk8 -in key.pem -nocrypt -outform DER"),
        bare("pkcs8 -topk8 -in key.pem -passout pass:123456 -outform DER"),
        bare("rsa -in key.pem -traditional -outform DER"),
        bare("ecparam -name secp256k1 -genkey -noout -outform DER"),
    ]
}

/// What only a private key has: the end of its base64, without the line of its label.
fn secret_of(key: &str) -> String {
    let lines = key.lines().filter(|line| !line.contains("-----"));
    let body: String = lines.collect();
    body[body.len() - 40..body.len() - 8].to_owned()
}

#[tokio::test]
async fn a_private_key_in_any_form_is_refused_and_neither_kept_nor_logged() {
    let (site, folder) = (Site::new(), tempfile::tempdir().unwrap());
    let token = site.token("admin", "admin");
    let http = ["--http", "127.0.0.1:0"];
    let server = site.serve_with(&http, &[], &[("RUST_LOG", "trace")]);
    let api = server.api(&token);
    let keys = private_keys(folder.path());
    for key in &keys {
        let body = json!({"manufacturer": MANUFACTURER, "public_key_pem": key});
        let refused = api.post("/api/v1/keys", &body).await;
        let problem = refused.is_problem(422, "private_key_refused");
        assert_eq!(problem["field"], "public_key_pem");
        assert!(!refused.text.contains(&secret_of(key)), "{}", refused.text);
    }
    assert_eq!(api.get("/api/v1/keys").await.is(200), json!([]));
    assert_eq!(server.end_by("TERM").code(), Some(0));
    let log = site.log();
    for secret in keys.iter().map(|key| secret_of(key)) {
        assert_eq!(holding(&site.data(), &secret), [""; 0]);
        assert!(!log.contains(&secret));
    }
}

#[tokio::test]
async fn each_key_that_is_not_accepted_is_told_why() {
    let site = Site::new();
    let (_server, api) = site.serve_admin(&[]);
    // The exponent is the last of an SPKI of an RSA key.
    let body: String = PUBLIC_PEM
        .lines()
        .filter(|line| !line.contains("-----"))
        .collect();
    let mut even = STANDARD.decode(body).unwrap();
    assert!(even.ends_with(&[1, 0, 1]));
    *even.last_mut().unwrap() = 0;
    let even = STANDARD.encode(even);
    let lines: Vec<_> = even
        .as_bytes()
        .chunks(64)
        .map(|line| from_utf8(line).unwrap())
        .collect();
    let even = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    );
    let weak = include_str!("../../certs/rsa1024-public.pem");
    let three = include_str!("../../certs/rsa-e3-public.pem");
    let curve = include_str!("../../certs/ec-public.pem");
    let certificate = include_str!("../../certs/signing-certificate.pem");
    let two = format!("{PUBLIC_PEM}{OTHER_PUBLIC_PEM}");
    let damaged = PUBLIC_PEM.replace("MIIB", "AAAA");
    let long = format!("{PUBLIC_PEM}{}", " ".repeat(20_000));
    for (key, why) in [
        (weak, "an RSA key of 1024 bits"),
        (three, "exponent is not 65537"),
        (&even, "exponent is not 65537"),
        (curve, "of another curve"),
        (certificate, "this is a certificate"),
        (&two, "several PEM texts"),
        (&damaged, "the PEM text is damaged"),
        (&long, "at most 16384 bytes"),
        ("hello", "not a key in PEM"),
        ("", "not a key in PEM"),
    ] {
        let body = json!({"manufacturer": MANUFACTURER, "public_key_pem": key});
        let refused = api.post("/api/v1/keys", &body).await;
        let problem = refused.is_problem(422, "key_refused");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{why}: {detail}");
    }
    assert_eq!(api.get("/api/v1/keys").await.is(200), json!([]));
    let body = json!({"manufacturer": MANUFACTURER, "public_key_pem": PUBLIC_PEM});
    api.post("/api/v1/keys", &body).await.is(201);
}

#[tokio::test]
async fn a_private_key_in_another_field_goes_no_further_and_a_public_one_is_kept() {
    let site = Site::new();
    let token = site.token("admin", "admin");
    let http = ["--http", "127.0.0.1:0"];
    let server = site.serve_with(&http, &[], &[("RUST_LOG", "trace")]);
    let api = server.api(&token);
    let secret = PRIVATE_PEM.lines().nth(9).unwrap();
    let key = |pem: &str| json!({"manufacturer": MANUFACTURER, "public_key_pem": pem});

    let lower_case = PRIVATE_PEM.replace("PRIVATE KEY", "private key");
    let behind = format!("{PUBLIC_PEM}{PRIVATE_PEM}");
    for pem in [PRIVATE_PEM, &lower_case, &behind] {
        let refused = api.post("/api/v1/keys", &key(pem)).await;
        let problem = refused.is_problem(422, "private_key_refused");
        assert_eq!(problem["field"], "public_key_pem");
        assert!(!refused.text.contains(secret), "{}", refused.text);
    }
    assert_eq!(api.get("/api/v1/keys").await.is(200), json!([]));

    // In the wrong field, and in a body that is not understood, it goes no further either.
    let misplaced = json!({"manufacturer": PRIVATE_PEM, "public_key_pem": PUBLIC_PEM});
    let unknown = json!({"private_key_pem": PRIVATE_PEM});
    for body in [misplaced, unknown] {
        let refused = api.post("/api/v1/keys", &body).await;
        assert!(matches!(refused.status, 400 | 422), "{refused:?}");
        assert!(!refused.text.contains(secret), "{}", refused.text);
    }

    // The search itself finds what was kept.
    let public = PUBLIC_PEM.lines().nth(3).unwrap();
    let entered = api.post("/api/v1/keys", &key(PUBLIC_PEM)).await.is(201);
    assert_eq!(entered["bits"], 2048);
    assert_eq!(server.end_by("TERM").code(), Some(0));
    assert!(!holding(&site.data(), public).is_empty());
    assert_eq!(holding(&site.data(), secret), [""; 0]);
    let log = site.log();
    assert!(log.contains(" TRACE "), "{log}");
    assert!(!log.contains(secret));
}
