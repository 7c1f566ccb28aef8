//! `/api/v1/profiles`: what is kept and shown of them, what packages and devices are held against, and
//! the settings of their products.

use std::io::Write;

use narrowcast::clock::Utc;
use narrowcast::engine::{Command, CommandError};
use narrowcast::http::HttpLimits;
use narrowcast::model::{
    CampaignId, CampaignState, Device, DeviceModel, DeviceReport, EndpointName, Manufacturer,
    ProfileId, Record,
};
use narrowcast::store::{Page, Store};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::service::{FORM, Service, send};

/// The profile of the product that [`FORM`]'s package is for, as carriers write it.
pub(crate) fn profile() -> Value {
    json!({
        "devices": [{
            "manufacturerId": "q-1", "manufacturerName": "quectel", "model": "BC25",
            "protocolType": "CoAP", "deviceType": "WaterMeter",
            "omCapability": {
                "upgradeCapability": {"supportUpgrade": false},
                "fwUpgradeCapability": {
                    "supportUpgrade": true, "upgradeProtocolType": "LWM2M",
                    "downloadProtocolType": "CoAP",
                },
            },
        }],
        "services": [{
            "serviceType": "Battery",
            "properties": [{"propertyName": "level", "min": "0", "method": "RE"}],
        }],
    })
}

/// The same, for another product.
fn profile_of(field: &str, value: &str) -> Value {
    let mut profile = profile();
    profile["devices"][0][field] = json!(value);
    profile
}

pub(crate) async fn enter(service: &Service, profile: &Value) -> Value {
    service.post("/api/v1/profiles", profile).await.expect(201)
}

fn lint_codes(profile: &Value) -> Vec<&str> {
    let lint = profile["lint"].as_array().expect("a list");
    lint.iter()
        .map(|it| it["code"].as_str().expect("a code"))
        .collect()
}

pub(crate) async fn patch(service: &Service, body: &Value) -> crate::service::Answer {
    send(
        service
            .request(Method::PATCH, "/api/v1/profiles/1/settings")
            .json(body),
    )
    .await
}

#[tokio::test]
async fn a_profile_is_entered_shown_listed_and_taken_away() {
    let service = Service::start().await;
    let answer = service.post("/api/v1/profiles", &profile()).await;
    let entered = answer.expect(201);
    assert_eq!(answer.header("location"), "/api/v1/profiles/1");
    assert_eq!(entered["device_type"], "WaterMeter");
    assert_eq!(entered["manufacturer"], "quectel");
    assert_eq!(entered["model"], "BC25");
    assert_eq!(entered["protocol"], "CoAP");
    let capabilities = json!({
        "firmware_upgrade": true, "upgrade_protocol": "LWM2M", "download_protocol": "CoAP",
    });
    assert_eq!(entered["capabilities"], capabilities);
    assert_eq!(
        entered["document"],
        json!({"devices": profile()["devices"]})
    );
    assert_eq!(entered["services"], profile()["services"]);
    assert_eq!(entered["created_by"], "admin");
    // What is known of the model is offered, and stops nothing.
    assert_eq!(lint_codes(&entered), ["quirks_known"]);
    assert_eq!(entered["lint"][0]["severity"], "hint");
    assert_eq!(entered["lint"][0]["write"], "quirks = \"bc25\"");

    let shown = service.get("/api/v1/profiles/1").await.expect(200);
    assert_eq!(shown, entered);
    let listed = service.get("/api/v1/profiles").await.expect(200);
    assert_eq!(listed[0]["id"], 1);
    assert_eq!(listed[0].get("services"), None);
    let audited = service.get("/api/v1/audit").await.expect(200);
    let told = audited.as_array().expect("a list").iter();
    let told = told.filter(|it| it["action"] == "profile_created");
    assert_eq!(told.map(|it| &it["actor"]).collect::<Vec<_>>(), ["admin"]);

    assert_eq!(service.delete("/api/v1/profiles/1").await.status, 204);
    service
        .get("/api/v1/profiles/1")
        .await
        .problem(404, "not_found", None);
    service
        .delete("/api/v1/profiles/1")
        .await
        .problem(404, "not_found", None);
    let commands = service.engine.commands.lock().expect("not poisoned");
    assert!(
        matches!(
            commands.as_slice(),
            [Command::SetProduct(product), Command::RemoveProduct(ProfileId(1))]
                if product.profile == ProfileId(1)
        ),
        "{commands:?}"
    );
}

fn zip_of(entries: &[(&str, &Value)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .expect("a file");
        writer
            .write_all(content.to_string().as_bytes())
            .expect("written");
    }
    writer.finish().expect("a zip").into_inner()
}

#[tokio::test]
async fn the_platforms_zip_is_taken_as_the_body_and_in_a_form() {
    let service = Service::start().await;
    for (number, form) in [(1, false), (2, true)] {
        let document = profile_of("model", &format!("NB-{number}"));
        let zip = zip_of(&[
            (
                "profile/devicetype-capability.json",
                &json!({"devices": document["devices"]}),
            ),
            (
                "service/Battery/profile/servicetype-capability.json",
                &json!({"services": document["services"]}),
            ),
        ]);
        let request = service.request(Method::POST, "/api/v1/profiles");
        let request = if form {
            let file = Part::bytes(zip).file_name("WaterMeter_q-1_NB-2.zip");
            request.multipart(Form::new().part("file", file))
        } else {
            request.header("content-type", "application/zip").body(zip)
        };
        let entered = send(request).await.expect(201);
        assert_eq!(entered["model"], format!("NB-{number}"));
        assert_eq!(entered["services"], profile()["services"]);
    }
    let page = service.get("/api/v1/profiles?limit=1").await;
    assert_eq!(page.expect(200)[0]["id"], 1);
    assert!(
        page.header("link").contains("cursor=1"),
        "{}",
        page.header("link")
    );
    let next = service.get("/api/v1/profiles?limit=1&cursor=1").await;
    assert_eq!(next.expect(200)[0]["id"], 2);
    assert_eq!(next.header("link"), "");
    let form = Form::new().text("profile", "{}");
    let request = service.request(Method::POST, "/api/v1/profiles");
    let refused = send(request.multipart(form)).await;
    refused.problem(422, "invalid_field", Some("profile"));
}

#[tokio::test]
async fn what_is_no_profile_of_one_product_is_refused_with_what_is_wrong() {
    let service = Service::start().await;
    let post = |text: &'static str| {
        let request = service.request(Method::POST, "/api/v1/profiles");
        send(
            request
                .header("content-type", "application/json")
                .body(text),
        )
    };
    post("{").await.problem(422, "profile_json", None);
    post("PK\u{3}\u{4}").await.problem(422, "profile_zip", None);
    let nameless = service
        .post("/api/v1/profiles", &profile_of("model", " "))
        .await;
    let detail = nameless.problem(422, "profile_refused", None);
    assert!(
        detail.starts_with("devices[0].model: it is empty"),
        "{detail}"
    );
    let mut two = profile();
    two["devices"] = json!([two["devices"][0], two["devices"][0]]);
    let detail = service
        .post("/api/v1/profiles", &two)
        .await
        .problem(422, "profile_refused", None);
    assert!(detail.contains("a profile is for one product"), "{detail}");
    let mut large = profile();
    large["devices"][0]["x"] = json!("x".repeat(70_000));
    let detail =
        service
            .post("/api/v1/profiles", &large)
            .await
            .problem(422, "profile_refused", None);
    assert!(detail.contains("65536 are accepted"), "{detail}");
    assert_eq!(service.get("/api/v1/profiles").await.expect(200), json!([]));
}

#[tokio::test]
async fn a_second_profile_of_a_product_is_refused_and_so_is_one_too_many() {
    let limits = HttpLimits {
        profiles_max: 2,
        ..HttpLimits::default()
    };
    let service = Service::start_with(limits, false).await;
    enter(&service, &profile()).await;
    for protocol in ["CoAP", "LWM2M"] {
        let again = service
            .post("/api/v1/profiles", &profile_of("protocolType", protocol))
            .await;
        let detail = again.problem(409, "conflict", None);
        let told =
            format!("model 'BC25', protocol '{protocol}': this product has a profile already");
        assert!(detail.ends_with(&told), "{detail}");
    }
    enter(&service, &profile_of("deviceType", "GasMeter")).await;
    let third = service
        .post("/api/v1/profiles", &profile_of("model", "BC32"))
        .await;
    third.problem(507, "limit_reached", None);
}

#[tokio::test]
async fn a_package_that_was_meant_for_a_product_is_told_field_by_field() {
    let service = Service::start().await;
    service.seed(&[]).await;
    let entered = enter(&service, &profile_of("manufacturerName", "Quectel")).await;
    assert_eq!(lint_codes(&entered), ["quirks_known", "differs_in_case"]);
    assert_eq!(entered["lint"][1]["path"], "devices[0].manufacturerName");
    assert_eq!(entered["lint"][1]["package_id"], 1);
    assert_eq!(entered["packages"][0]["count"], 1);
    let fields = entered["packages"][0]["fields"].as_array().expect("fields");
    let matches = fields
        .iter()
        .map(|it| (it["field"].as_str(), it["matches"].as_bool()));
    let expected = [
        (Some("device_type"), Some(true)),
        (Some("manufacturer"), Some(false)),
        (Some("model"), Some(true)),
        // The carriers' profiles say CoAP, packages LWM2M.
        (Some("protocol"), Some(true)),
    ];
    assert_eq!(matches.collect::<Vec<_>>(), expected);
    // Nobody is refused: this manufacturer's model has no profile.
    service
        .post("/api/v1/devices", &crate::service::device("d1"))
        .await
        .expect(201);
    let campaign = json!({"name": "a", "package_id": 1, "targets": {"devices": ["d1"]}});
    service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201);
    // With its own, the package is not at fault any more.
    enter(&service, &profile()).await;
    let shown = service.get("/api/v1/profiles/1").await.expect(200);
    assert_eq!(lint_codes(&shown), ["quirks_known"]);
    assert_eq!(shown["packages"], json!([]));
}

#[tokio::test]
async fn a_package_must_match_its_products_profile_where_there_is_one() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    enter(&service, &profile_of("deviceType", "GasMeter")).await;
    let campaign = json!({"name": "a", "package_id": package, "targets": {"devices": ["d1"]}});
    let refused = service.post("/api/v1/campaigns", &campaign).await;
    let detail = refused.problem(422, "profile_mismatch", Some("package_id"));
    assert_eq!(
        detail,
        "profile 1: device_type differs (profile 'GasMeter', package 'WaterMeter'), manufacturer \
         matches, model matches, protocol matches"
    );
    let upload = service.upload("signed-by k1\nother", &FORM).await;
    upload.problem(422, "profile_mismatch", None);
    let request = service.request(Method::POST, "/api/v1/campaigns");
    let chinese = send(request.header("accept-language", "zh").json(&campaign)).await;
    let detail = chinese.problem(422, "profile_mismatch", Some("package_id"));
    assert!(
        detail.contains("device_type 不一致（产品模型“GasMeter”"),
        "{detail}"
    );
    // MQTT is another protocol.
    enter(&service, &profile_of("protocolType", "MQTT")).await;
    let refused = service.post("/api/v1/campaigns", &campaign).await;
    let detail = refused.problem(422, "profile_mismatch", Some("package_id"));
    assert!(
        detail.contains("protocol differs (profile 'MQTT', package 'LWM2M')"),
        "{detail}"
    );
    enter(&service, &profile()).await;
    service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201);
    service
        .upload("signed-by k1\nother", &FORM)
        .await
        .expect(201);
}

#[tokio::test]
async fn a_profile_without_the_capability_blocks_the_activation_in_plain_words() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let mut without = profile();
    without["devices"][0]["omCapability"]["fwUpgradeCapability"]["supportUpgrade"] = json!(false);
    let entered = enter(&service, &without).await;
    assert_eq!(entered["capabilities"]["firmware_upgrade"], false);
    let campaign = json!({"name": "a", "package_id": package, "targets": {"devices": ["d1"]}});
    service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201);
    let activate = || send(service.request(Method::POST, "/api/v1/campaigns/1/activate"));
    let detail = activate().await.problem(409, "upgrade_unsupported", None);
    assert!(
        detail.starts_with(
            "profile 1: devices[0].omCapability.fwUpgradeCapability.supportUpgrade: the"
        ),
        "{detail}"
    );
    // Nor is it taken away while the draft is there.
    let used = service.delete("/api/v1/profiles/1").await;
    let detail = used.problem(409, "profile_in_use", None);
    assert_eq!(detail, "campaign 1 is for this product and not over");
    assert_eq!(service.delete("/api/v1/campaigns/1").await.status, 204);
    assert_eq!(service.delete("/api/v1/profiles/1").await.status, 204);
    enter(&service, &profile()).await;
    service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201);
    let activated = send(service.request(Method::POST, "/api/v1/campaigns/2/activate")).await;
    activated.expect(200);
}

#[tokio::test]
async fn a_profile_can_be_taken_away_once_its_campaigns_are_over() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    enter(&service, &profile()).await;
    let campaign = json!({"name": "a", "package_id": package, "targets": {"devices": ["d1"]}});
    service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201);
    let page = Page {
        after: None,
        limit: 10,
    };
    let set = async |state| {
        let record = Record::Campaign {
            id: CampaignId(1),
            state,
            at: Utc::from_unix_ms(5),
        };
        service.store.commit(vec![record]).await.expect("a commit");
    };
    for state in [CampaignState::Running, CampaignState::Stopped] {
        // A device of a stopped one may still be at work.
        set(state).await;
        let used = service.delete("/api/v1/profiles/1").await;
        used.problem(409, "profile_in_use", None);
    }
    let mut tasks = service
        .store
        .tasks(CampaignId(1), None, page)
        .await
        .expect("tasks");
    let mut task = tasks.remove(0);
    task.state = narrowcast::model::TaskState::Stopped;
    service
        .store
        .commit(vec![Record::Task(task)])
        .await
        .expect("a commit");
    assert_eq!(service.delete("/api/v1/profiles/1").await.status, 204);
}

#[tokio::test]
async fn settings_show_what_counts_and_whose_it_is() {
    let service = Service::start().await;
    enter(&service, &profile()).await;
    let settings = service.get("/api/v1/profiles/1/settings").await.expect(200);
    assert_eq!(settings["quirks"], Value::Null);
    assert_eq!(settings["own"], json!({}));
    let effective = settings["effective"].as_object().expect("an object");
    assert_eq!(effective.len(), 24);
    assert!(effective.values().all(|it| it["origin"] == "server"));
    assert_eq!(effective["awake_time"]["value"], "1m 33s");

    let body = json!({
        "quirks": "bc25", "awake_time": "20s", "radio_unit": "auto", "trust_result_only": true,
    });
    let changed = service
        .put("/api/v1/profiles/1/settings", &body)
        .await
        .expect(200);
    assert_eq!(changed["quirks"], "bc25");
    // What is said stays, even where it would be so anyway.
    assert_eq!(
        changed["own"],
        json!({"awake_time": "20s", "radio_unit": "auto", "trust_result_only": true})
    );
    let whose = |setting: &str| {
        let of = &changed["effective"][setting];
        (
            of["value"].clone(),
            of["origin"].as_str().expect("a word").to_owned(),
        )
    };
    assert_eq!(whose("awake_time"), (json!("20s"), "profile".to_owned()));
    assert_eq!(
        whose("observation_cancel"),
        (json!("after_download"), "quirks".to_owned())
    );
    assert_eq!(whose("radio_unit"), (json!("auto"), "profile".to_owned()));

    let patched = patch(
        &service,
        &json!({"awake_time": null, "sinr_borders_db": [9, 0, -6]}),
    )
    .await;
    let patched = patched.expect(200);
    let own = json!({
        "radio_unit": "auto", "sinr_borders_db": [9, 0, -6], "trust_result_only": true,
    });
    assert_eq!(patched["own"], own);
    let shown = service.get("/api/v1/profiles/1").await.expect(200);
    assert_eq!(shown["settings"], patched);
    // Which set to take is offered no more.
    assert_eq!(lint_codes(&shown), [""; 0]);
    let replaced = service
        .put("/api/v1/profiles/1/settings", &json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&replaced["quirks"], &replaced["own"]),
        (&Value::Null, &json!({}))
    );

    let commands = service.engine.commands.lock().expect("not poisoned");
    let Some(Command::SetProduct(product)) = commands.get(2) else {
        panic!("the engine is told: {commands:?}");
    };
    assert_eq!(product.changes.iter().count(), 3);
    assert_eq!(product.quirks.as_deref(), Some("bc25"));
}

#[tokio::test]
async fn an_own_value_stands_before_the_quirk_sets_even_where_it_is_the_servers() {
    let service = Service::start().await;
    enter(&service, &profile()).await;
    let body = json!({"quirks": "bc25", "observation_cancel": "after_result"});
    let changed = patch(&service, &body).await.expect(200);
    assert_eq!(
        changed["own"],
        json!({"observation_cancel": "after_result"})
    );
    let of = &changed["effective"]["observation_cancel"];
    assert_eq!(of, &json!({"value": "after_result", "origin": "profile"}));
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_by_name_and_nothing_is_changed() {
    let service = Service::start().await;
    enter(&service, &profile()).await;
    for (body, field, told) in [
        (json!({"awake": "20s"}), "awake", "is no setting"),
        (
            json!({"radio_unit": "CSQ"}),
            "radio_unit",
            "one of auto, dbm",
        ),
        (
            json!({"result_timeout": "0s"}),
            "result_timeout",
            "more than 0",
        ),
        (
            json!({"rsrp_borders_dbm": [1, 2, 3]}),
            "rsrp_borders_dbm",
            "fall from tier",
        ),
        (
            json!({"quirks": "bc-25"}),
            "quirks",
            "must be null or one of bc25,",
        ),
        (
            json!({"quirks": 5}),
            "quirks",
            "must be null or one of bc25,",
        ),
    ] {
        let mut body = body;
        body["trust_result_only"] = json!(true);
        let detail = patch(&service, &body)
            .await
            .problem(422, "invalid_field", Some(field));
        assert!(detail.contains(told), "{detail}");
    }
    let detail = patch(&service, &json!({"download": "http"})).await;
    detail.problem(409, "no_device_http", Some("download"));
    patch(&service, &json!({"download": "http", "delivery": "push"}))
        .await
        .expect(200);
    patch(&service, &json!({"download": null, "delivery": null}))
        .await
        .expect(200);
    let missing = service.put("/api/v1/profiles/9/settings", &json!({})).await;
    missing.problem(404, "not_found", None);
    let settings = service.get("/api/v1/profiles/1/settings").await.expect(200);
    assert_eq!(settings["own"], json!({}));
}

#[tokio::test]
async fn quirk_sets_are_listed_with_their_reason_in_both_languages() {
    let service = Service::start().await;
    let sets = service.get("/api/v1/quirks").await.expect(200);
    let names = sets
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["name"].as_str());
    assert!(names.clone().any(|it| it == Some("ec616s")));
    assert!(names.clone().any(|it| it == Some("xy1100")));
    let request = service.request(Method::GET, "/api/v1/quirks");
    let chinese = send(request.header("accept-language", "zh"))
        .await
        .expect(200);
    assert!(
        sets[0]["says"]
            .as_str()
            .expect("a text")
            .contains("Source: ")
    );
    assert!(
        chinese[0]["says"]
            .as_str()
            .expect("a text")
            .contains("来源")
    );
    assert_eq!(sets[0]["settings"], chinese[0]["settings"]);
}

#[tokio::test]
async fn an_onboarded_device_has_the_type_of_the_only_profile_that_fits() {
    let service = Service::start().await;
    let package = service.seed(&[]).await;
    let endpoint = EndpointName::parse("onboarded").expect("a name");
    let report = DeviceReport {
        manufacturer: Manufacturer::parse("quectel").ok(),
        model: DeviceModel::parse("BC25").ok(),
        ..DeviceReport::default()
    };
    let device = Device {
        endpoint: endpoint.clone(),
        manufacturer: None,
        model: None,
        device_type: None,
        tags: Vec::new(),
        created_at: Utc::from_unix_ms(0),
    };
    let let_in = vec![Record::Device(device), Record::Report { endpoint, report }];
    service.store.commit(let_in).await.expect("a commit");

    let campaign =
        json!({"name": "a", "package_id": package, "targets": {"devices": ["onboarded"]}});
    let dry = async || {
        let dry = service
            .post("/api/v1/campaigns?dry_run=true", &campaign)
            .await;
        dry.expect(200)
    };
    let left_out = dry().await;
    assert_eq!(left_out["excluded"][0]["reason"], "device_type_unknown");
    let detail = left_out["excluded"][0]["detail"]
        .as_str()
        .expect("a detail");
    assert!(detail.ends_with("0 profiles have its manufacturer and model, where one would say it"));
    let shown = service.get("/api/v1/devices/onboarded").await.expect(200);
    assert_eq!(shown["device_type"], Value::Null);

    enter(&service, &profile()).await;
    assert_eq!(dry().await["included"], json!(["onboarded"]));
    let shown = service.get("/api/v1/devices/onboarded").await.expect(200);
    assert_eq!(shown["device_type"], "WaterMeter");

    // With another that fits as well, nobody can know.
    enter(&service, &profile_of("deviceType", "GasMeter")).await;
    let left_out = dry().await;
    let detail = left_out["excluded"][0]["detail"]
        .as_str()
        .expect("a detail");
    assert!(detail.ends_with("2 profiles have its manufacturer and model, where one would say it"));
    let shown = service.get("/api/v1/devices/onboarded").await.expect(200);
    assert_eq!(shown["device_type"], Value::Null);
}

#[tokio::test]
async fn what_the_engine_has_no_room_for_is_said() {
    let service = Service::start().await;
    *service.engine.refuse.lock().expect("not poisoned") =
        Some(CommandError::ProductsFull { limit: 1 });
    let full = service.post("/api/v1/profiles", &profile()).await;
    full.problem(507, "limit_reached", None);
}
