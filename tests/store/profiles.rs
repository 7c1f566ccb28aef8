//! Product profiles: what is kept of them, and what an engine is rebuilt from.

use narrowcast::model::{
    DeviceModel, DeviceType, Manufacturer, Product, ProfileId, Setting, SettingChanges,
    SettingValue,
};
use narrowcast::store::{Store, StoredProfile};

use crate::samples::{page, stamp, utc};
use crate::{is_conflict, is_not_found};

for_each_store! {
    a_profile_is_read_back_as_it_was_entered,
    a_product_has_one_profile_and_coap_and_lwm2m_are_one,
    settings_are_replaced_and_an_engine_is_rebuilt_with_them,
    a_profile_that_was_taken_away_is_gone_and_its_number_with_it,
    each_change_of_a_profile_is_audited_and_a_refused_one_is_not,
}

fn profile(model: &str, device_type: &str, protocol: &str) -> StoredProfile {
    StoredProfile {
        product: Product {
            profile: ProfileId(0),
            device_type: DeviceType::parse(device_type).unwrap(),
            manufacturer: Manufacturer::parse("quectel").unwrap(),
            model: DeviceModel::parse(model).unwrap(),
            protocol: protocol.to_owned(),
            quirks: None,
            changes: SettingChanges::default(),
        },
        document: r#"{"devices":[{"model":"NB"}],"x":"水表"}"#.to_owned(),
        services: "[]".to_owned(),
        created_at: utc(7),
        created_by: Some("gate".to_owned()),
    }
}

/// One value of each kind.
fn changes() -> SettingChanges {
    let mut changes = SettingChanges::default();
    for (setting, value) in [
        (Setting::RadioUnit, SettingValue::Word("36133")),
        (Setting::TrustResultOnly, SettingValue::Flag(true)),
        (
            Setting::AwakeTime,
            SettingValue::Time(std::time::Duration::from_millis(20_500)),
        ),
        (Setting::SinrBordersDb, SettingValue::Borders([9, 0, -6])),
        (Setting::DownloadStallMultiple, SettingValue::Number(7)),
    ] {
        changes.set(setting, value).unwrap();
    }
    changes
}

async fn add(store: &dyn Store, model: &str) -> ProfileId {
    let new = profile(model, "WaterMeter", "CoAP");
    store.add_profile(new, stamp()).await.unwrap()
}

async fn a_profile_is_read_back_as_it_was_entered(store: &dyn Store) {
    let mut entered = profile("NB-1", "WaterMeter", "CoAP");
    entered.product.quirks = Some("bc25".to_owned());
    entered.product.changes = changes();
    let id = store.add_profile(entered.clone(), stamp()).await.unwrap();
    entered.product.profile = id;
    assert_eq!(store.profile(id).await.unwrap(), entered);
    assert_eq!(store.products().await.unwrap(), [entered.product.clone()]);
    assert!(is_not_found(store.profile(ProfileId(id.0 + 1)).await));
    let other = add(store, "NB-2").await;
    let numbers = store
        .products()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.profile);
    assert_eq!(numbers.collect::<Vec<_>>(), [id, other]);
    let of = store.products_of(&entered.product.manufacturer, &entered.product.model);
    assert_eq!(of.await.unwrap(), [entered.product]);
}

async fn a_product_has_one_profile_and_coap_and_lwm2m_are_one(store: &dyn Store) {
    add(store, "NB-1").await;
    for protocol in ["CoAP", "LWM2M"] {
        let again = profile("NB-1", "WaterMeter", protocol);
        assert!(
            is_conflict(store.add_profile(again, stamp()).await),
            "{protocol}"
        );
    }
    for other in [
        profile("NB-1", "WaterMeter", "MQTT"),
        profile("NB-1", "GasMeter", "CoAP"),
        profile("nb-1", "WaterMeter", "CoAP"),
    ] {
        store.add_profile(other, stamp()).await.unwrap();
    }
    assert_eq!(store.products().await.unwrap().len(), 4);
}

async fn settings_are_replaced_and_an_engine_is_rebuilt_with_them(store: &dyn Store) {
    let (id, other) = (add(store, "NB-1").await, add(store, "NB-2").await);
    let quirks = Some("xy1100".to_owned());
    let change = store.change_product_settings(id, quirks.clone(), changes(), stamp());
    change.await.unwrap();
    let products = store.restore().await.unwrap().products;
    assert_eq!(products[0].changes, changes());
    assert_eq!(products[0].quirks, quirks);
    assert_eq!(products[1].profile, other);
    assert!(products[1].changes.is_empty());
    let none = SettingChanges::default();
    let change = store.change_product_settings(id, None, none.clone(), stamp());
    change.await.unwrap();
    assert_eq!(store.profile(id).await.unwrap().product.changes, none);
    let nobody = ProfileId(99);
    let change = store.change_product_settings(nobody, None, none, stamp());
    assert!(is_not_found(change.await));
}

async fn a_profile_that_was_taken_away_is_gone_and_its_number_with_it(store: &dyn Store) {
    let id = add(store, "NB-1").await;
    store.remove_profile(id, stamp()).await.unwrap();
    assert!(is_not_found(store.profile(id).await));
    assert!(is_not_found(store.remove_profile(id, stamp()).await));
    assert!(store.restore().await.unwrap().products.is_empty());
    assert!(add(store, "NB-1").await > id);
}

async fn each_change_of_a_profile_is_audited_and_a_refused_one_is_not(store: &dyn Store) {
    let id = add(store, "NB-1").await;
    let again = profile("NB-1", "WaterMeter", "CoAP");
    assert!(is_conflict(store.add_profile(again, stamp()).await));
    let change = store.change_product_settings(id, Some("bc25".to_owned()), changes(), stamp());
    change.await.unwrap();
    store.remove_profile(id, stamp()).await.unwrap();
    assert!(is_not_found(store.remove_profile(id, stamp()).await));
    let entries = store.audit_entries(page(100)).await.unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|it| (it.action.as_str(), it.kind.as_str()))
        .collect();
    let expected = [
        "profile_created",
        "profile_settings_changed",
        "profile_deleted",
    ];
    assert_eq!(told, expected.map(|action| (action, "profile")));
    assert!(entries.iter().all(|it| it.object == id.0.to_string()));
    for part in [
        "radio_unit=36133",
        "awake_time=20500",
        "sinr_borders_db=9 0 -6",
        "bc25",
    ] {
        assert!(entries[1].details.contains(part), "{}", entries[1].details);
    }
}
