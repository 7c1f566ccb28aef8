//! What may be done with a package, by whom and until when.

use narrowcast::clock::Utc;
use narrowcast::model::{
    AuditActor, AuditStamp, CampaignState, CampaignTargets, Component, DeviceReport, EndpointName,
    FirmwareVersion, Package, PackageFile, PackageId, Record, RetryPolicy,
};
use narrowcast::store::{NewCampaign, Page, Store};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::service::{Answer, FORM, Service, send};
use crate::verifier::sha256;

async fn patch(service: &Service, path: &str, body: &Value) -> Answer {
    send(service.request(Method::PATCH, path).json(body)).await
}

fn stamp() -> AuditStamp {
    AuditStamp {
        at: Utc::from_unix_ms(0),
        actor: AuditActor::server(),
    }
}

/// A campaign of a package for `d1`.
async fn campaign(service: &Service, package: u64) -> Answer {
    let body = json!({
        "name": "July", "package_id": package, "targets": {"devices": ["d1"]},
    });
    service.post("/api/v1/campaigns", &body).await
}

/// Another package of the product, as this changes the one that was uploaded.
async fn another(service: &Service, version: &str, change: impl FnOnce(&mut Package)) -> u64 {
    let mut package = service
        .store
        .package(PackageId(1))
        .await
        .expect("the first");
    package.target_version = FirmwareVersion::parse(version).expect("a version");
    change(&mut package);
    let added = service.store.add_package(package, stamp()).await;
    added.expect("a package").0
}

/// An upload as this role, of a file of this name.
async fn upload_as(
    service: &Service,
    role: &str,
    name: &'static str,
    texts: &[(&'static str, &str)],
) -> Answer {
    let mut form = Form::new();
    for (name, text) in FORM.iter().chain(texts) {
        form = form.text(*name, (*text).to_owned());
    }
    let file = Part::bytes(b"plain firmware".to_vec()).file_name(name);
    let request = service.request_as(role, Method::POST, "/api/v1/packages");
    send(request.multipart(form.part("file", file))).await
}

#[tokio::test]
async fn a_package_of_several_files_or_for_the_mcu_is_not_for_a_campaign() {
    let service = Service::start().await;
    service.seed(&["d1"]).await;
    let several = another(&service, "V3", |package| {
        package.more_files.push(PackageFile {
            name: "second.bin".to_owned(),
            sha256: sha256(b"second"),
            size_bytes: 6,
        });
    });
    let several = several.await;
    let mcu = another(&service, "V4", |package| package.component = Component::Mcu).await;
    for (package, why) in [(several, "2 files"), (mcu, "for the MCU")] {
        let answer = campaign(&service, package).await;
        let detail = answer.problem(409, "package_by_link", Some("package_id"));
        assert!(detail.contains(why), "{detail}");
        assert!(answer.text.contains("/links"), "{}", answer.text);
    }
    let shown = service.get(&format!("/api/v1/packages/{several}")).await;
    let names: Vec<_> = shown.expect(200)["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| file["name"].clone())
        .collect();
    assert_eq!(names, ["app.bin", "second.bin"]);
}

#[tokio::test]
async fn release_notes_are_shown_and_changed_until_the_package_is_used() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let path = format!("/api/v1/packages/{package}");
    let shown = patch(&service, &path, &json!({"release_notes_zh": "修复\n复位"})).await;
    assert_eq!(shown.expect(200)["release_notes_zh"], "修复\n复位");
    patch(
        &service,
        &path,
        &json!({"release_notes_en": "Resets mended"}),
    )
    .await
    .expect(200);
    let shown = service.get(&path).await.expect(200);
    assert_eq!(shown["release_notes_zh"], "修复\n复位", "left as it was");
    assert_eq!(shown["release_notes_en"], "Resets mended");

    for (field, text) in [
        ("release_notes_zh", "x".repeat(4001)),
        ("release_notes_en", "a\u{7}".to_owned()),
        ("release_notes_en", "a\u{202e}b".to_owned()),
    ] {
        let answer = patch(&service, &path, &json!({field: text})).await;
        answer.problem(422, "invalid_field", Some(field));
    }
    let other = patch(&service, &path, &json!({"version": "V9"})).await;
    assert_eq!(
        other.status, 422,
        "what was signed is not changed: {}",
        other.text
    );

    // A draft does not hold it, an activated campaign does.
    let draft = campaign(&service, package).await;
    draft.expect(201);
    patch(&service, &path, &json!({"release_notes_en": "Better"}))
        .await
        .expect(200);
    let activate = format!("{}/activate", draft.header("location"));
    send(service.request(Method::POST, &activate))
        .await
        .expect(200);
    let answer = patch(&service, &path, &json!({"release_notes_en": "Worse"})).await;
    let detail = answer.problem(409, "package_in_use", None);
    assert!(detail.contains("'July'"), "{detail}");
}

#[tokio::test]
async fn notes_come_with_the_upload() {
    let service = Service::start().await;
    service.seed(&[]).await;
    let mut form = FORM.to_vec();
    form.extend([("release_notes_zh", "新"), ("release_notes_en", "new")]);
    let uploaded = service
        .upload("signed-by k1\nother", &form)
        .await
        .expect(201);
    assert_eq!(
        (&uploaded["release_notes_zh"], &uploaded["release_notes_en"]),
        (&json!("新"), &json!("new"))
    );
}

#[tokio::test]
async fn a_package_goes_with_its_bytes_once_no_campaign_is_of_it() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    // Another package rests on the same image.
    another(&service, "V3", |package| {
        package.archive_sha256 = sha256(b"other archive")
    })
    .await;
    let path = format!("/api/v1/packages/{package}");
    let draft = campaign(&service, package).await;
    draft.expect(201);
    let detail = service
        .delete(&path)
        .await
        .problem(409, "package_in_use", None);
    assert!(detail.contains("'July'"), "{detail}");

    let location = draft.header("location").to_owned();
    assert_eq!(service.delete(&location).await.status, 204);
    assert_eq!(service.delete(&path).await.status, 204);
    service.get(&path).await.problem(404, "not_found", None);
    service.delete(&path).await.problem(404, "not_found", None);
    assert_eq!(service.package_files(), [sha256(b"image").to_string()]);
    assert_eq!(service.delete("/api/v1/packages/2").await.status, 204);
    assert!(service.package_files().is_empty());
    let page = Page {
        after: None,
        limit: 100,
    };
    let audited = service.store.audit_entries(page).await.expect("entries");
    let deleted = audited.iter().filter(|it| it.action == "package_deleted");
    assert_eq!(deleted.count(), 2);
}

#[tokio::test]
async fn what_is_not_signed_needs_an_admin_and_a_reason() {
    let service = Service::start().await;
    service.seed(&["d1"]).await;
    let before = service.package_files().len();
    let unsigned = [("unsigned", "true"), ("reason", "a trial on the bench")];
    for role in ["operator", "approver"] {
        let answer = upload_as(&service, role, "trial.bin", &unsigned).await;
        answer.problem(403, "forbidden", Some("unsigned"));
    }
    let answer = upload_as(&service, "admin", "trial.bin", &unsigned[..1]).await;
    answer.problem(422, "invalid_field", Some("reason"));
    let answer = upload_as(&service, "admin", "trial.bin", &unsigned[1..]).await;
    answer.problem(422, "invalid_field", Some("reason"));
    let answer = upload_as(&service, "admin", "trial.bin", &[]).await;
    answer.problem(422, "bad_archive", Some("file"));
    assert_eq!(service.package_files().len(), before);

    let package = upload_as(&service, "admin", "trial.bin", &unsigned)
        .await
        .expect(201);
    assert_eq!(package["key_id"], Value::Null);
    assert_eq!(
        package["unsigned"],
        json!({"by": "admin", "reason": "a trial on the bench"})
    );
    let id = package["id"].as_u64().expect("a number");
    let draft = campaign(&service, id).await;
    draft.expect(201);
    let activate = format!("{}/activate", draft.header("location"));
    send(service.request(Method::POST, &activate))
        .await
        .expect(200);
    let page = Page {
        after: None,
        limit: 100,
    };
    let audited = service.store.audit_entries(page).await.expect("entries");
    assert!(audited.iter().any(|it| it.action == "package_accepted"
        && it.actor == "admin"
        && it.details.contains("a trial on the bench")));
}

#[tokio::test]
async fn what_has_expired_is_neither_chosen_nor_started() {
    let service = Service::start().await;
    service.seed(&["d1"]).await;
    let past = Utc::from_unix_ms(1_000);
    let expired = another(&service, "V3", |package| package.not_after = Some(past)).await;
    let answer = campaign(&service, expired).await;
    answer.problem(409, "package_expired", Some("package_id"));

    // A draft that was made in time is not started after it.
    let draft = NewCampaign {
        name: "July".to_owned(),
        package: PackageId(expired),
        targets: CampaignTargets::default(),
        retry: RetryPolicy::default(),
        downgrade: None,
        admission: None,
        policy: Default::default(),
        phase_sizes: Vec::new(),
        created_at: Utc::from_unix_ms(0),
    };
    let devices = vec![EndpointName::parse("d1").expect("a name")];
    let created = service.store.create_campaign(draft, devices, stamp()).await;
    let id = created.expect("a draft").0;
    let activate = format!("/api/v1/campaigns/{id}/activate");
    let answer = send(service.request(Method::POST, &activate)).await;
    let detail = answer.problem(409, "package_expired", None);
    assert!(detail.contains("notAfter"), "{detail}");
    let shown = service.get(&format!("/api/v1/campaigns/{id}")).await;
    assert_eq!(shown.expect(200)["state"], "draft");
}

#[tokio::test]
async fn a_file_name_that_is_not_accepted_is_kept_nowhere() {
    let service = Service::start().await;
    service.seed(&[]).await;
    let name: &'static str = Box::leak("x".repeat(60_000).into_boxed_str());
    let answer = upload_as(&service, "admin", name, &[]).await;
    answer.problem(422, "invalid_field", Some("file"));
    let page = Page {
        after: None,
        limit: 100,
    };
    let audited = service.store.audit_entries(page).await.expect("entries");
    let refused = audited.iter().find(|it| it.action == "package_refused");
    assert_eq!(refused.expect("an entry").object, "");
}

#[tokio::test]
async fn a_lower_sequence_than_a_device_runs_needs_an_admin_and_a_reason() {
    let service = Service::start().await;
    service.seed(&["d1"]).await;
    let older = another(&service, "V3", |package| {
        package.sequence = Some(3);
        package.source_versions.clear();
    });
    let older = older.await;
    another(&service, "V7", |package| package.sequence = Some(7)).await;
    campaign(&service, older).await.expect(201);
    let report = Record::Report {
        endpoint: EndpointName::parse("d1").expect("a name"),
        report: DeviceReport {
            firmware_version: FirmwareVersion::parse("V7").ok(),
            ..DeviceReport::default()
        },
    };
    service.store.commit(vec![report]).await.expect("a commit");

    let body = json!({
        "name": "back", "package_id": older, "targets": {"devices": ["d1"]},
    });
    let plan = service
        .post("/api/v1/campaigns?dry_run=true", &body)
        .await
        .expect(200);
    assert_eq!(plan["excluded"][0]["reason"], "downgrade", "{plan}");
    let detail = plan["excluded"][0]["detail"].as_str().expect("a text");
    assert!(detail.contains('7') && detail.contains('3'), "{detail}");

    let mut allowed = body;
    allowed["allow_downgrade"] = json!({"reason": "V7 drains the battery"});
    let asked = service.request_as("approver", Method::POST, "/api/v1/campaigns");
    let answer = send(asked.json(&allowed)).await;
    answer.problem(403, "forbidden", Some("allow_downgrade"));
    allowed["allow_downgrade"] = json!({"reason": ""});
    let answer = service.post("/api/v1/campaigns", &allowed).await;
    answer.problem(422, "invalid_field", Some("allow_downgrade.reason"));
    allowed["allow_downgrade"] = json!({"reason": "V7 drains the battery"});
    let made = service
        .post("/api/v1/campaigns", &allowed)
        .await
        .expect(201);
    assert_eq!(
        made["downgrade"],
        json!({"by": "admin", "reason": "V7 drains the battery"})
    );
    assert_eq!(made["state"], CampaignState::Draft.word());
    assert_eq!(made["excluded_count"], 0);
    let page = Page {
        after: None,
        limit: 100,
    };
    let audited = service.store.audit_entries(page).await.expect("entries");
    assert!(
        audited
            .iter()
            .any(|it| it.action == "campaign_created"
                && it.details.contains("V7 drains the battery"))
    );
}
